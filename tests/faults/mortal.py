"""Runs the stream or the sink so that it dies at one chosen step, once: `python -m tests.faults.mortal sink`.

The steps are the calls between reading and commit, each before it begins and after it has ended.  Which ones are due
is written into the file that MORTAL_FILE names, a line for each life; dying removes the line, and the last successor
lives.  The product knows nothing of this: the calls are wrapped from outside.
"""

import functools
import os
import runpy
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import sink.kafka
import sink.tables
import sink.writer
import stream.producer
import stream.transport
from tests.faults import planted

MORTAL_FILE = "MORTAL_FILE"
CALLS: dict[str, list[tuple[type, str]]] = {
    "stream": [
        (stream.transport.Consumer, "is_next"),
        (stream.producer.Producer, "send"),
        (stream.transport.Consumer, "finish"),
        (stream.transport.Consumer, "commit"),
    ],
    "sink": [
        (sink.kafka.Source, "committed"),
        (sink.kafka.Source, "fetch"),
        (sink.kafka.Source, "commit"),
        (sink.tables.Tables, "ensure"),
        (sink.writer.Writer, "present"),
        (sink.writer.Writer, "insert"),
    ],
}

# A sink asks once where to go on, and asks what is present only where its predecessor has left something undone.
_BEFORE = {"Source.committed": "before Source.fetch", "Writer.present": "after Writer.insert"}


def way_to(step: str) -> list[str]:
    """The deaths that bring a process to this step and let it die there."""
    before = _BEFORE.get(step.partition(" ")[2])
    return [before, step] if before else [step]


def steps(process: str) -> list[str]:
    """The names of all steps of one process."""
    return [f"{when} {kind.__name__}.{name}" for kind, name in CALLS[process] for when in ("before", "after")]


def _die_if_due(step: str) -> None:
    due = Path(os.environ[MORTAL_FILE])
    if not due.exists():
        return
    first, *others = due.read_text("utf-8").splitlines()
    if first == step:
        if others:
            due.write_text("\n".join(others), "utf-8")
        else:
            due.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def _wrap(kind: type, name: str) -> None:
    call: Callable[..., Any] = getattr(kind, name)
    label = f"{kind.__name__}.{name}"

    @functools.wraps(call)
    def mortal(*arguments: Any, **named: Any) -> Any:
        _die_if_due(f"before {label}")
        result = call(*arguments, **named)
        if isinstance(result, Awaitable):
            return _then_die(result, label)
        _die_if_due(f"after {label}")
        return result

    setattr(kind, name, mortal)


async def _then_die(result: Awaitable[Any], label: str) -> Any:
    value = await result
    _die_if_due(f"after {label}")
    return value


if __name__ == "__main__":
    process = sys.argv[1]
    if plant := planted.PLANT.get((process, os.environ.get(planted.PLANTED_BUG, ""))):
        plant()
    for kind, name in CALLS[process]:
        _wrap(kind, name)
    runpy.run_module(process, run_name="__main__", alter_sys=True)
