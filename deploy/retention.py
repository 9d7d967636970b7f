"""How long a team's rows are kept, as `events team retention` asks for it and changes it."""

from collections.abc import Callable, Mapping

from deploy.audit import QUERY_SECONDS, AuditSettings
from deploy.errors import NotConfirmed
from schemas.retention import FOR_EVER, Setting
from sink.retention import RetentionTable
from sink.tables import Tables
from sink.writer import Writer

Confirm = Callable[[Mapping[str, int]], bool]
"""Told how many rows of which tables are past their time by what is to be set, and asked."""


async def ask(settings: AuditSettings, team: str) -> Setting | None:
    """What holds for a team; None where nothing was ever set.

    Raises:
        Unavailable: ClickHouse does not answer.
    """
    async with Writer(settings, QUERY_SECONDS) as writer:
        return (await RetentionTable(writer, settings.clickhouse_database).read()).of(team)


async def keep(settings: AuditSettings, team: str, days: int, confirm: Confirm) -> Setting | None:
    """Set for how many days a team's rows are kept, or FOR_EVER; returns what holds then.

    Raises:
        NotConfirmed: rows would go that are kept until now.
        Unavailable: ClickHouse does not answer; what was done already stays, and it may be said again.
    """
    async with Writer(settings, QUERY_SECONDS) as writer:
        # The sink may never have run.
        await Tables(writer, settings.clickhouse_database).ensure()
        table = RetentionTable(writer, settings.clickhouse_database)
        before = (await table.read()).days(team)
        if _is_shorter(days, before) and (past := await table.past(team, days)) and not confirm(past):
            raise NotConfirmed
        if days != before:
            await table.set(team, days)
        await table.apply()
        return (await table.read()).of(team)


def _is_shorter(days: int, before: int) -> bool:
    return days != FOR_EVER and (before == FOR_EVER or days < before)
