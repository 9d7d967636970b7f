"""`events audit`: is every raw record a row or a dead letter, and once?"""

import asyncio
import importlib.util
import json
import logging
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn

import structlog
import typer
from pydantic import SecretStr

from deploy.audit import AuditSettings, NoSuchPartition, Report, Request
from deploy.audit import audit as carry_out
from deploy.commands.options import DEFAULT_DATA_DIR, DataDir
from schemas.errors import Unavailable
from schemas.settings import SettingsError, load
from sink.audit import Finding, Span, Violation, ranges

HELP = """Example: events audit --since 1h

Hold the raw topic against ClickHouse and the dead letters: each raw offset that is settled must be one row of the
warehouse or one dead letter.  Names every one that is missing, doubled (several rows), or both.  Changes nothing.

Merged: a sender's retry whose row ClickHouse has merged into that of its first sending.  Foreign: rows of another raw
topic, which was made anew since.  What runs from --data-dir is audited, unless KAFKA_BOOTSTRAP_SERVERS names another
Kafka; then that, and CLICKHOUSE_URL with the sink's user.

Exit codes: 0 clean, 1 violations found, 2 wrong usage or settings, 5 Kafka or ClickHouse does not answer.
"""
VIOLATIONS = 1
USAGE = 2
UNAVAILABLE = 5
MOST_RANGES = 10
MOST_LISTED = 1_000
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} must be a number and one of s, m, h, d: 30m, 1h, 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} must be a time such as 2026-11-23T10:00:00Z") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command("audit", help=HELP)
def audit(  # noqa: PLR0913 - one per option
    *,
    since: Annotated[
        timedelta | None, typer.Option(parser=_duration, metavar="1h", help="only what was posted in this last time")
    ] = None,
    from_: Annotated[
        datetime | None, typer.Option("--from", parser=_time, metavar="TIME", help="only what was posted from here on")
    ] = None,
    to: Annotated[
        datetime | None, typer.Option(parser=_time, metavar="TIME", help="only what was posted before; UTC by default")
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
    # Standard output is for the result; what goes wrong is said once, by us.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)
    try:
        settings = _settings(data_dir)
        reports = asyncio.run(
            carry_out(settings, Request(_milliseconds(from_), _milliseconds(to), partition), _progress)
        )
    except SettingsError as error:
        _end(USAGE, str(error))
    except NoSuchPartition as error:
        raise typer.BadParameter(str(error), param_hint="--partition") from error
    except Unavailable as error:
        _end(UNAVAILABLE, f"{error}\n`events up` starts both; or set KAFKA_BOOTSTRAP_SERVERS and CLICKHOUSE_URL.")
    clean = not any(sum(report.violations.values()) for report in reports)
    if as_json:
        typer.echo(json.dumps({"clean": clean, "partitions": [_document(report) for report in reports]}, indent=2))
    else:
        _print(reports, clean=clean)
    raise typer.Exit(0 if clean else VIOLATIONS)


def _settings(data_dir: Path) -> AuditSettings:
    """Of what runs from the data folder, unless the environment names another Kafka."""
    settings = load(AuditSettings, "AUDIT_")
    if importlib.util.find_spec("psutil") is None:
        return settings
    from deploy.local.clickhouse.users import Role, ensure_users  # noqa: PLC0415 - needs the extra `local`
    from deploy.local.options import Layout  # noqa: PLC0415 - as above
    from deploy.local.plan import with_credentials  # noqa: PLC0415 - as above
    from deploy.local.state import read_state  # noqa: PLC0415 - as above

    state = read_state(Layout(data_dir))
    if state is None or not state.is_running():
        return settings
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS", state.addresses.kafka) != state.addresses.kafka:
        return settings
    url = state.clickhouse_url
    if "clickhouse" in state.addresses.embedded:
        # Not the analyst's, whose queries have limits.
        password = ensure_users(state.layout.clickhouse_users).password(Role.SINK)
        url = with_credentials(state.addresses.clickhouse, Role.SINK.value, password)
    ours = {"kafka_bootstrap_servers": state.addresses.kafka, "clickhouse_url": SecretStr(url)}
    return settings.model_copy(update=ours)


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
        **{violation.value: count for violation, count in report.violations.items()},
        "violations": [
            {"kind": kind, "offset": offset, "event_id": event_id, "received_at": _text(time_ms)}
            for kind, offset, event_id, time_ms in sorted(result.findings)[:MOST_LISTED]
        ],
    }


def _print(reports: Sequence[Report], *, clean: bool) -> None:
    table = [("partition", "offsets", "rows", "dead letters", "merged", "foreign", *Violation)]
    for report in reports:
        span, result = report.span, report.result
        offsets = f"{span.start} to {span.stop - 1}" if span.stop > span.start else "–"
        numbers = (result.rows, result.dead_letters, result.merged, result.foreign, *report.violations.values())
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
        lines.append(f"partition {partition}  {violation}  offset {offsets}  received {_text(times[start])}")
    if len(spans) > MOST_RANGES:
        lines.append(f"partition {partition}  {violation}  and at {len(spans) - MOST_RANGES} more places: --json")
    return lines


def _text(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1_000, UTC).isoformat(timespec="milliseconds")


def _milliseconds(time: datetime | None) -> int | None:
    return None if time is None else max(0, round(time.timestamp() * 1_000))


def _end(code: int, message: str) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    raise typer.Exit(code)
