"""What the launcher shows."""

import io

import msgspec
import pytest

from deploy.local.relay import received
from deploy.local.reports import Begun, Done, Failed, Noted, Progressed, Ready, Report
from deploy.local.screen import PlainScreen, line_of, make_screen


def shown(*reports: Report, encoding: str = "utf-8") -> list[str]:
    """The lines of these reports, not on a terminal."""
    raw = io.BytesIO()
    screen = PlainScreen(io.TextIOWrapper(raw, encoding=encoding))
    for report in reports:
        screen.report(report)
    return raw.getvalue().decode(encoding).splitlines()


def test_steps_when_not_on_a_terminal() -> None:
    """One plain line per finished step, in the columns of the line that the environment's installer prints."""
    lines = shown(
        Begun("kafka jars"),
        Progressed("kafka jars", "20 of 46", 20, 46),
        Done("kafka jars", "46 files, 44 MB", 4.04, "first time only"),
        Done("kafka", "127.0.0.1:9092", 12.3),
        Failed("sink", "failed"),
        Ready(),
    )

    installer = f"  ✓ environment        installed {21:26} s   first time only"
    assert lines[0] == f"  ✓ kafka jars         46 files, 44 MB {'4.0':>20} s   first time only"
    assert lines[0].index("   first") == installer.index("   first")
    assert lines[1].endswith(" 12 s")
    assert lines[2:] == ["  ✗ sink               failed"]


def test_steps_when_nothing_was_new() -> None:
    """Jars that were there already are not worth a line."""
    assert shown(Done("kafka jars", "46 files, 44 MB", 0.1)) == []


def test_note_when_it_has_several_lines() -> None:
    """A process's last words stand below the line that says what happened."""
    assert shown(Noted("sink keeps dying.\nThe last lines", loud=True)) == [
        "  ! sink keeps dying.",
        "    The last lines",
    ]


def test_lines_when_the_terminal_knows_no_unicode() -> None:
    """Nothing that cannot be shown is printed."""
    assert shown(Done("kafka", "…", 1), encoding="ascii")[0].startswith("  ok kafka")


def test_screen_when_colors_are_unwanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR gets plain lines, even on what says that it is a terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")

    assert isinstance(make_screen(), PlainScreen)


def test_reports_when_sent_through_a_pipe() -> None:
    """Every kind of report arrives as what it was."""
    reports: list[Report] = [Begun("a"), Progressed("a", "1 of 2", 1, 2), Done("a", "b", 0.1), Noted("c"), Ready()]

    assert list(received(msgspec.json.encode(report) + b"\n" for report in reports)) == reports
    assert line_of(Ready()) is None
