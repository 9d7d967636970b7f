"""What a log line may not hold."""

import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from schemas import logs


@pytest.fixture(autouse=True)
def configuration(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test configures logging anew; afterwards it is as it was."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", root.handlers)
    monkeypatch.setattr(root, "level", root.level)
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def fail(token: str) -> None:
    """Raise an error where a secret is a local variable."""
    raise RuntimeError(f"it broke after {len(token)} characters")


@pytest.mark.parametrize("style", ["json", "text"])
def test_error_when_a_local_variable_is_secret(
    style: Literal["json", "text"], capfd: pytest.CaptureFixture[str]
) -> None:
    """A traceback names the line, never the values of its variables."""
    logs.configure("test", "info", style)
    try:
        fail("evt_hunter2")
    except RuntimeError:
        logs.get_logger(__name__).exception("failed")

    printed = capfd.readouterr().out
    assert "it broke after 11 characters" in printed
    assert "hunter2" not in printed.replace('fail("evt_hunter2")', "")
    assert style == "text" or json.loads(printed)["event"] == "failed"


def test_message_when_a_library_repeats_it(capfd: pytest.CaptureFixture[str]) -> None:
    """A library that says the same over and over is heard once; what we say ourselves is never held back."""
    logs.configure("test", "info", "json")

    for attempt in range(100):
        logging.getLogger("aiokafka.client").warning("Unable connect to node with id %s", attempt)
        logs.get_logger("sink.kafka").info("kafka_away")

    printed = capfd.readouterr().out
    assert printed.count("Unable connect") == 1
    assert printed.count("kafka_away") == 100
