"""`events audit`: is every raw record a row or a dead letter, and once?"""

import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from deploy.audit import NoSuchPartition, Report, Request
from deploy.audit import audit as carry_out
from deploy.commands.options import DEFAULT_DATA_DIR, DataDir, end_with
from deploy.commands.running import silence_libraries, warehouse_settings
from deploy.commands.times import duration, milliseconds, moment
from deploy.text import time_text
from schemas.errors import Unavailable
from schemas.settings import SettingsError
from sink.audit import Finding, Span, Violation, ranges

HELP = """Example: events audit --since 1h

Hold the raw topic against ClickHouse and the dead letters: each raw offset that is settled must be one row of the
warehouse or one dead letter.  Names every one that is missing, doubled (several rows), or both.  Changes nothing.

Merged: a sender's retry whose row ClickHouse has merged into that of its first sending.  Foreign: rows of another raw
topic, which was made anew since.  Deleted: rows older than what their team keeps.  What runs from --data-dir is
audited, unless KAFKA_BOOTSTRAP_SERVERS names another Kafka; then that, and CLICKHOUSE_URL with the sink's user.

Exit codes: 0 clean, 1 violations found, 2 wrong usage or settings, 5 Kafka or ClickHouse does not answer.
"""
VIOLATIONS = 1
USAGE = 2
UNAVAILABLE = 5
MOST_RANGES = 10
MOST_LISTED = 1_000
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command("audit", help=HELP)
def audit(  # noqa: PLR0913 - one per option
    *,
    since: Annotated[
        timedelta | None, typer.Option(parser=duration, metavar="1h", help="only what was posted in this last time")
    ] = None,
    from_: Annotated[
        datetime | None, typer.Option("--from", parser=moment, metavar="TIME", help="only what was posted from here on")
    ] = None,
    to: Annotated[
        datetime | None, typer.Option(parser=moment, metavar="TIME", help="only what was posted before; UTC by default")
    ] = None,
    partition: Annotated[int | None, typer.Option(min=0, help="only this one of the raw topic")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Find what was lost and what is there twice."""
    if since is not None:
        if from_ is not None:
            raise typer.BadParameter("say --since or --from, not both")
        from_ = datetime.now(UTC) - since
    silence_libraries()
    try:
        settings = warehouse_settings(data_dir)
        reports = asyncio.run(carry_out(settings, Request(milliseconds(from_), milliseconds(to), partition), _progress))
    except SettingsError as error:
        end_with(USAGE, str(error))
    except NoSuchPartition as error:
        raise typer.BadParameter(str(error), param_hint="--partition") from error
    except Unavailable as error:
        end_with(UNAVAILABLE, f"{error}\n`events up` starts both; or set KAFKA_BOOTSTRAP_SERVERS and CLICKHOUSE_URL.")
    clean = not any(sum(report.violations.values()) for report in reports)
    if as_json:
        typer.echo(json.dumps({"clean": clean, "partitions": [_document(report) for report in reports]}, indent=2))
    else:
        _print(reports, clean=clean)
    raise typer.Exit(0 if clean else VIOLATIONS)


def _progress(partition: int, span: Span, reached: int) -> None:
    """On a terminal one line that grows; elsewhere one line per partition."""
    size, done = span.stop - span.start, reached - span.start
    line = f"partition {partition}: {done:,} of {size:,} settled offsets"
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{line}{chr(10) if done == size else ''}")
    elif done == size:
        sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _document(report: Report) -> dict[str, Any]:
    result = report.result
    return {
        "partition": report.partition,
        "start": report.span.start,
        "stop": report.span.stop,
        "rows": result.rows,
        "dead_letters": result.dead_letters,
        "merged": result.merged,
        "foreign": result.foreign,
        "deleted": result.deleted,
        **{violation.value: count for violation, count in report.violations.items()},
        "violations": [
            {"kind": kind, "offset": offset, "event_id": event_id, "received_at": time_text(time_ms)}
            for kind, offset, event_id, time_ms in sorted(result.findings)[:MOST_LISTED]
        ],
    }


def _print(reports: Sequence[Report], *, clean: bool) -> None:
    table = [("partition", "offsets", "rows", "dead letters", "merged", "foreign", "deleted", *Violation)]
    for report in reports:
        span, result = report.span, report.result
        offsets = f"{span.start} to {span.stop - 1}" if span.stop > span.start else "–"
        known = (result.rows, result.dead_letters, result.merged, result.foreign, result.deleted)
        numbers = (*known, *report.violations.values())
        table.append((str(report.partition), offsets, *map(str, numbers)))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        typer.echo("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    for report in reports:
        for violation in Violation:
            for line in _lines(report.partition, violation, report.result.of(violation)):
                typer.echo(line)
    typer.echo("clean" if clean else "docs/runbook.md says what to do")


def _lines(partition: int, violation: Violation, findings: Sequence[Finding]) -> list[str]:
    """The first offsets with their times; neighbors on one line."""
    times = {finding.offset: finding.time_ms for finding in findings}
    spans = ranges(times)
    lines = []
    for start, stop in spans[:MOST_RANGES]:
        offsets = f"{start}" if stop == start + 1 else f"{start} to {stop - 1}"
        lines.append(f"partition {partition}  {violation}  offset {offsets}  received {time_text(times[start])}")
    if len(spans) > MOST_RANGES:
        lines.append(f"partition {partition}  {violation}  and at {len(spans) - MOST_RANGES} more places: --json")
    return lines
