"""docs/numbers.md: what becomes of numbers and other odd JSON on its way into ClickHouse."""

import json
import uuid
from typing import NamedTuple

import pytest
import requests
from aiokafka import AIOKafkaConsumer

from schemas.codec import decode_envelope
from schemas.settings import KafkaSettings
from tests.docs import ROOT
from tests.ingress import raw_records
from tests.services import wait_until
from tests.stack import Stack

PAGE = (ROOT / "docs/numbers.md").read_text("utf-8")
KEPT = [
    ("-9223372036854775808", "Int64", "-9223372036854775808"),
    ("9223372036854775807", "Int64", "9223372036854775807"),
    ("18446744073709551615", "UInt64", "18446744073709551615"),
    ("123456789012345678901234567890", "String", "123456789012345678901234567890"),
    ("-9223372036854775809", "String", "-9223372036854775809"),
    ("39.950", "Float64", "39.95"),
    ("1E+2", "Float64", "100"),
    ("1e-400", "Float64", "0"),
    ('"39.950"', "String", "39.950"),
    (r'"a\u0000b"', "String", "a\0b"),
    ('1, "n": 2', "Int64", "1"),
]


class Posted(NamedTuple):
    """What was sent, all in one batch."""

    stack: Stack
    ids: list[str]
    free: list[str]

    def find(self, expressions: str, event_id: str) -> dict[str, str]:
        """The row of an event, once it is there."""
        query = f"SELECT {expressions} FROM demo.events WHERE event_id = '{event_id}' FORMAT JSONEachRow"

        def rows() -> list[str]:
            answer = requests.post(self.stack.env["CLICKHOUSE_URL"], query, timeout=30)
            answer.raise_for_status()
            return answer.text.splitlines()

        (row,) = wait_until(rows, "the event is a row", 60)
        found: dict[str, str] = json.loads(row)
        return found


@pytest.fixture(scope="module")
def posted(stack: Stack) -> Posted:
    """One event for each number."""
    free = [f'{{ "z":1, "n": {sent},"a":1}}' for sent, _, _ in KEPT]
    items = [
        f'{{"version":1,"type":"event","event":"number","id":"{uuid.uuid4()}","properties":{each}}}' for each in free
    ]
    body = f'{{"batch":[{",".join(items)}]}}'
    headers = {"X-Auth-Token": stack.env["EVENTS_TOKEN"]}
    answer = requests.post(f"{stack.env['EVENTS_API_URL']}/v1/batch", body.encode(), headers=headers, timeout=30)
    return Posted(stack, [result["id"] for result in answer.json()["results"]], free)


@pytest.mark.parametrize(("place", "kind", "value"), [(i, kind, value) for i, (_, kind, value) in enumerate(KEPT)])
def test_column_when_number_is_odd(posted: Posted, place: int, kind: str, value: str) -> None:
    """ClickHouse's JSON has the type and the value that the page says."""
    found = posted.find("dynamicType(properties.n) AS kind, toString(properties.n) AS value", posted.ids[place])

    assert found == {"kind": kind, "value": value}
    assert f"`{kind}`" in PAGE


async def test_topics_when_numbers_are_odd(posted: Posted) -> None:
    """The raw and the normalized topic have the sender's digits, order and spaces."""
    posted.find("event", posted.ids[-1])
    kafka = KafkaSettings(kafka_bootstrap_servers=posted.stack.env["KAFKA_BOOTSTRAP_SERVERS"])
    raw = {record.event_id: record.value.decode() for record in await raw_records(kafka)}
    normalized: dict[str, str] = {}
    options = kafka.kafka_options() | {"auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer(kafka.topics.normalized, **options) as consumer:
        while not set(posted.ids) <= set(normalized):
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                events = [decode_envelope(record.value) for record in records]
                normalized |= {str(event["event_id"]): event["properties_json"] for event in events}

    assert [normalized[event_id] for event_id in posted.ids] == posted.free
    assert all(free in raw[event_id] for event_id, free in zip(posted.ids, posted.free, strict=True))


@pytest.mark.parametrize("sent", ["1e400", "NaN", "Infinity"])
def test_number_when_refused(stack: Stack, sent: str) -> None:
    """What no double holds, or is no JSON, is refused."""
    body = f'{{"version":1,"type":"event","event":"number","properties":{{"n":{sent}}}}}'
    headers = {"X-Auth-Token": stack.env["EVENTS_TOKEN"], "Content-Type": "application/json"}

    answer = requests.post(f"{stack.env['EVENTS_API_URL']}/v1/event", body, headers=headers, timeout=30)

    assert answer.status_code == 400
    assert f"`{sent}`" in PAGE
