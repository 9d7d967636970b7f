"""The generated pages are current and whole."""

from collections.abc import Callable

import pytest

from tests.contract.reference import DOCS, PAGES, PROCESSES


@pytest.mark.parametrize(("name", "render"), PAGES.items())
def test_page_when_code_changed(name: str, render: Callable[[], str]) -> None:
    """A generated page is what the code says now (`python -m tests.contract.reference` rewrites it)."""
    assert (DOCS / name).read_text("utf-8") == render()


@pytest.mark.parametrize("process", PROCESSES)
def test_setting_when_declared(process: str) -> None:
    """Every setting says what it is for."""
    undocumented = [name for name, field in PROCESSES[process].model_fields.items() if not field.description]

    assert undocumented == []
