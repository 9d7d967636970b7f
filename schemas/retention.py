"""For how long rows are kept: what was ever set for a team, what of it holds, and what it does to tables.  Pure.

A row is past its time at the end of the day (UTC) on which it has been kept for so many days, so that what ClickHouse
rewrites to delete rows, it rewrites once a day.  Only tables of teams for which something was set are touched.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import NamedTuple

FOR_EVER = 0
MIN_DAYS = 14
"""A row outlives its raw record, which Kafka keeps for 7 days by default: the audit holds one against the other."""
MAX_DAYS = 10_000
# Tables follow what is set, and ClickHouse's clock is not ours.
MARGIN = timedelta(days=1)
# Of rows that name no time of their receipt: when the dead letter was written.
_RECEIVED = {"events": "received_at", "discards": "received_at", "dead_letters": "ifNull(received_at, written_at)"}
_TYPED_RECEIVED = "received_at"
_NEVER = "toDateTime('2106-01-01 00:00:00', 'UTC')"


class Setting(NamedTuple):
    """What was once set; `days` may be FOR_EVER."""

    team: str
    days: int
    set_at: datetime


class Retention:
    """All that was ever set."""

    def __init__(self, settings: Iterable[Setting] = ()) -> None:
        self._of_team: defaultdict[str, list[Setting]] = defaultdict(list)
        for setting in sorted(settings, key=lambda each: each.set_at):
            self._of_team[setting.team].append(setting)

    def __contains__(self, team: str) -> bool:
        """Whether anything was ever set for a team."""
        return team in self._of_team

    def __bool__(self) -> bool:
        """Whether anything was ever set."""
        return bool(self._of_team)

    def of(self, team: str) -> Setting | None:
        """What holds for a team; None where nothing was ever set."""
        return self._of_team[team][-1] if team in self else None

    def days(self, team: str) -> int:
        """How many days a team's rows are kept, or FOR_EVER."""
        setting = self.of(team)
        return setting.days if setting else FOR_EVER

    def teams_by_days(self) -> dict[int, list[str]]:
        """The teams whose rows are not kept for ever."""
        found: defaultdict[int, list[str]] = defaultdict(list)
        for team in sorted(self._of_team):
            if (days := self.days(team)) != FOR_EVER:
                found[days].append(team)
        return dict(sorted(found.items()))

    def may_have_deleted(self, team: str, received_at: datetime, now: datetime) -> bool:
        """Whether a row may be gone because it was past its time, by what holds or what held before."""
        return any(
            setting.days != FOR_EVER and past_at(received_at, setting.days) <= until + MARGIN
            for setting, until in self._with_ends(team, now)
        )

    def _with_ends(self, team: str, now: datetime) -> Iterator[tuple[Setting, datetime]]:
        settings = self._of_team.get(team, [])
        for setting, successor in pairwise(settings):
            yield setting, successor.set_at
        for setting in settings[-1:]:
            yield setting, now


def past_at(received_at: datetime, days: int) -> datetime:
    """When a row is past its time: the same as `_past` says in SQL."""
    day = datetime.combine(received_at.astimezone(UTC).date(), time(), UTC)
    return day + timedelta(days=days + 1)


def table_ttl(table: str, retention: Retention) -> str:
    """When a row of a table of the warehouse is past its time, as ClickHouse spells it; '' for never.

    The table of all teams has one expression however many teams there are.  Rows that stay are given a time far ahead,
    not left out by a condition: ClickHouse takes the earliest time of a part as the time to rewrite it.
    """
    team, dot, _ = table.partition(".")
    if dot:
        days = retention.days(team)
        return "" if days == FOR_EVER else _past(_TYPED_RECEIVED, days)
    branches = [
        f"has([{', '.join(map(_quoted, teams))}], team), {_past(_RECEIVED[table], days)}"
        for days, teams in retention.teams_by_days().items()
    ]
    return f"multiIf({', '.join(branches)}, {_NEVER})" if branches else ""


def retention_statements(database: str, ttls: Mapping[str, str], retention: Retention) -> list[str]:
    """What makes tables delete what is past its time, and no more than that.

    Args:
        database: the warehouse's name.
        ttls: of each table what it has now, '' for nothing.
        retention: what was set.
    """
    statements = []
    for name, ttl in ttls.items():
        if not _is_kept(name, retention) or (wanted := table_ttl(name, retention)) == ttl:
            continue
        table = f"{database}.`{name}`"
        if wanted:
            # The rows that there are learn their times without being rewritten.
            statements.append(f"ALTER TABLE {table} MODIFY SETTING materialize_ttl_recalculate_only = 1")
        statements.append(f"ALTER TABLE {table} {f'MODIFY TTL {wanted}' if wanted else 'REMOVE TTL'}")
    return statements


def past_query(database: str, tables: Iterable[str], team: str, days: int) -> str:
    """Which asks how many rows of a team each table holds that are past their time, if this many days are set."""
    retention = Retention([Setting(team, days, datetime.min.replace(tzinfo=UTC))])
    counts = []
    for table in filter(lambda each: each in _RECEIVED or each.startswith(f"{team}."), tables):
        # The index knows the team.
        of_team = f"team = {_quoted(team)} AND " if table in _RECEIVED else ""
        where = f"{of_team}{table_ttl(table, retention)} <= now()"
        counts.append(f"SELECT '{table}', count() FROM {database}.`{table}` WHERE {where}")  # noqa: S608 - our own names
    return " UNION ALL ".join(counts)


def _is_kept(table: str, retention: Retention) -> bool:
    """Whether what was set is about this table; a TTL that an operator gave to another one stays."""
    team, dot, _ = table.partition(".")
    return team in retention if dot else table in _RECEIVED and bool(retention)


def _past(received: str, days: int) -> str:
    return f"toStartOfDay({received}) + toIntervalDay({days + 1})"


def _quoted(team: str) -> str:
    return f"'{team}'"
