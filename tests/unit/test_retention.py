"""What a retention does to the warehouse's tables, and what of it the audit believes."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas.retention import FOR_EVER, Retention, Setting, past_at, past_query, retention_statements, table_ttl

NOW = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
DAY = timedelta(days=1)
SHARED = ("dead_letters", "discards", "events")
NEVER = "toDateTime('2106-01-01 00:00:00', 'UTC')"


def retention(**days: int) -> Retention:
    """Set once for each team."""
    return Retention(Setting(team, number, NOW) for team, number in days.items())


def test_ttl_when_several_teams_have_a_retention() -> None:
    """One expression for all: each team's own days, no end for the others; a dead letter may not know its receipt."""
    kept = retention(globex=14, acme=30, initech=14, hooli=FOR_EVER)

    ttls = {table: table_ttl(table, kept) for table in ("events", "dead_letters", "acme.order", "hooli.order")}

    events = (
        "multiIf(has(['globex', 'initech'], team), toStartOfDay(received_at) + toIntervalDay(15), "
        f"has(['acme'], team), toStartOfDay(received_at) + toIntervalDay(31), {NEVER})"
    )
    assert ttls == {
        "events": events,
        "dead_letters": events.replace("received_at", "ifNull(received_at, written_at)"),
        "acme.order": "toStartOfDay(received_at) + toIntervalDay(31)",
        "hooli.order": "",
    }


def test_statements_when_tables_follow_already() -> None:
    """Nothing is altered that is as it should be; what is not gets its TTL, or loses it."""
    kept = retention(acme=30, hooli=FOR_EVER)
    ttls = {table: table_ttl(table, kept) for table in (*SHARED, "acme.order")}
    assert retention_statements("w", ttls, kept) == []

    found = retention_statements("w", ttls | {"events": "", "acme.refund": "", "hooli.order": "long ago"}, kept)

    assert found == [
        "ALTER TABLE w.`events` MODIFY SETTING materialize_ttl_recalculate_only = 1",
        f"ALTER TABLE w.`events` MODIFY TTL {ttls['events']}",
        "ALTER TABLE w.`acme.refund` MODIFY SETTING materialize_ttl_recalculate_only = 1",
        f"ALTER TABLE w.`acme.refund` MODIFY TTL {ttls['acme.order']}",
        "ALTER TABLE w.`hooli.order` REMOVE TTL",
    ]


def test_statements_when_a_ttl_is_not_ours() -> None:
    """A TTL that an operator gave stays where no team asked for one, and always in tables that are not the sink's."""
    theirs = dict.fromkeys((*SHARED, "globex.order", "mine"), "toDate(received_at) + toIntervalDay(7)")

    assert retention_statements("w", theirs, Retention()) == []
    altered = " ".join(retention_statements("w", theirs, retention(acme=30)))
    assert [table for table in theirs if f"`{table}`" in altered] == list(SHARED)


def test_question_when_a_team_has_tables() -> None:
    """Only its own rows are counted, and its own tables asked."""
    asked = past_query("w", [*SHARED, "acme.order", "globex.order", "retention"], "acme", 30).split(" UNION ALL ")

    assert [each.split()[1] for each in asked] == ["'dead_letters',", "'discards',", "'events',", "'acme.order',"]
    assert all("WHERE team = 'acme' AND " in each for each in asked[:3])
    assert asked[3].endswith("WHERE toStartOfDay(received_at) + toIntervalDay(31) <= now()")


@pytest.mark.parametrize("at", [NOW, NOW.replace(hour=0, minute=0), NOW.replace(hour=23, minute=59)])
def test_row_when_its_days_are_over(at: datetime) -> None:
    """It is kept for the whole of them, and until the day ends."""
    assert past_at(at, 14) == datetime(2026, 12, 9, tzinfo=UTC)


def test_audit_when_a_row_may_have_been_deleted() -> None:
    """What held when the row was past its time counts, also where it was set back since; a younger row is missing."""
    history = Retention(
        Setting("acme", days, NOW - ago * DAY) for days, ago in ((FOR_EVER, 0), (14, 40), (FOR_EVER, 100))
    )

    def deleted(days_ago: int, team: str = "acme") -> bool:
        return history.may_have_deleted(team, NOW - days_ago * DAY, NOW + 50 * DAY)

    assert (history.days("acme"), history.days("globex")) == (FOR_EVER, FOR_EVER)
    # A day more than the 15, as tables follow late.
    assert [deleted(days_ago) for days_ago in (13, 17, 200)] == [False, True, True]
    assert not deleted(200, "globex")
