"""Shows reports on standard error: on a terminal with spinners and a bar, elsewhere as plain lines."""

import os
import sys
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.text import Text

from deploy.local.reports import Begun, Done, Failed, Noted, Progressed, Report, Reporter

# A token made, topics that exist, files that were there already: their end is not worth a line.
_QUIET = frozenset({"accounts", "topics", "kafka jars"})
_MARKS = {Done: ("✓", "ok", "green"), Failed: ("✗", "x", "red"), Noted: ("·", "-", "dim")}
_LOUD = ("!", "!", "bold red")


def line_of(report: Report, *, ascii_only: bool = False) -> Text | None:
    """A report as it is shown, maybe on several lines; None for one that is not."""
    mark, plain, style = _LOUD if isinstance(report, Noted) and report.loud else _MARKS.get(type(report), _LOUD)
    start = Text(f"  {plain if ascii_only else mark} ", style)
    match report:
        case Done(step=step, note="") if step in _QUIET:
            return None
        case Done(step=step, text=text, seconds=seconds, note=note):
            line = start.append(f"{step:<18} ", "bold").append(f"{text:<27}{_spell(seconds):>11}", "default")
            line.append(f"   {note}" if note else "", "dim").rstrip()
            return line
        case Failed(step=step, text=text):
            return start.append(f"{step:<18} {text}", "default")
        case Noted(text=text):
            return start.append(text.replace("\n", "\n    "), "default")
        case _:
            return None


def make_screen() -> "Screen":
    """The screen for this standard error: NO_COLOR and files get neither colors nor motion."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if console.is_terminal and not console.is_dumb_terminal and not os.environ.get("NO_COLOR"):
        return LiveScreen(console)
    return PlainScreen(sys.stderr)


class Screen(Reporter):
    """Shows reports until it is closed."""

    def close(self) -> None:
        """Take away what moves."""


class PlainScreen(Screen):
    """One line per report, at once."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._ascii_only = not (out.encoding or "").lower().startswith("utf")

    def report(self, report: Report) -> None:
        """Print it."""
        if line := line_of(report, ascii_only=self._ascii_only):
            text = line.plain.rstrip()
            self._out.write((text.encode("ascii", "replace").decode() if self._ascii_only else text) + "\n")
            self._out.flush()


class LiveScreen(Screen):
    """Finished lines, and below them one that moves for each step at work."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn(" "),
            SpinnerColumn(),
            TextColumn("{task.fields[step]:<18} {task.description}"),
            _Bar(bar_width=24),
            _Seconds(),
            console=console,
            transient=True,
        )

    def report(self, report: Report) -> None:
        """Show it, and move what it moves."""
        match report:
            case Begun(step=step):
                self._progress.start()
                self._tasks[step] = self._progress.add_task("", total=None, step=step)
            case Progressed(step=step, text=text, done=done, total=total) if step in self._tasks:
                self._progress.update(self._tasks[step], description=text, completed=done, total=total)
            case Done(step=step) | Failed(step=step) if step in self._tasks:
                self._progress.remove_task(self._tasks.pop(step))
        if line := line_of(report):
            self._console.print(line)
        if not self._tasks:
            self._progress.stop()

    def close(self) -> None:
        """Take away the lines that move."""
        self._tasks.clear()
        self._progress.stop()


class _Bar(BarColumn):
    """A bar for what can be counted, nothing for the rest."""

    def render(self, task: Task) -> Text:  # type: ignore[override]  # a bar is as good a renderable as a text
        return Text() if task.total is None else super().render(task)  # type: ignore[return-value]  # as above


class _Seconds(ProgressColumn):
    """How long it has taken so far."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.elapsed or 0:.0f} s", "dim")


def _spell(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
