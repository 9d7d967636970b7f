"""How many events of one name become dead letters for want of a required member."""

from schemas.codec import DISCARDS_SCHEMA_ID, schema_id
from schemas.registered import Registered, Subject
from stream.dead_letter_limit import MINUTE_MICROS, Bounds, DeadLetterLimit
from stream.normalize import TOO_MANY, normalize_run
from stream.writers import Writers
from tests.typed import version
from tests.unit.test_normalize_typed import DISCARDS_SCHEMA, REVENUE, decoded, raw


def test_limit_when_few_and_many_events_come() -> None:
    """Of few events so many, of many their share; what was refused before counts."""
    limit = DeadLetterLimit(Bounds(least=2, share=0.5))

    assert [limit.allow(0, 3, 3), limit.allow(0, 1, 1), limit.allow(0, 6, 4)] == [2, 0, 3]


def test_limit_when_the_next_minute_begins() -> None:
    """It begins anew; an event of an earlier minute that comes late takes from the later one."""
    limit = DeadLetterLimit(Bounds(least=1, share=0))

    assert [limit.allow(MINUTE_MICROS - 1, 2, 2), limit.allow(MINUTE_MICROS, 1, 1), limit.allow(0, 1, 1)] == [1, 1, 0]


def test_run_when_one_name_has_too_many_dead_letters() -> None:
    """Its other events are stored without typed fields, and say why; those that fit, and other names, are as ever."""
    registered = Registered()
    for at, name in enumerate(("e", "other")):
        registered.apply(version("demo", [REVENUE], event=name, writer_id=1_001 + 2 * at), taken_at=1)
    sent = [*[raw("{}")] * 4, raw('{"revenue":1}'), raw("{}", "other")]
    run = normalize_run(sent, Writers(registered, Bounds(least=2, share=0)))

    assert [len(run.dead_letters), run.spared] == [3, {Subject("demo", "e"): 2}]
    assert [schema_id(record.value or b"") for record in run.normalized] == [DISCARDS_SCHEMA_ID] * 2 + [1_001]
    (why,) = decoded(run.normalized[0], DISCARDS_SCHEMA)["discards"]
    assert why["reason"].startswith("properties.revenue is missing")
    assert why["reason"].endswith(TOO_MANY)
