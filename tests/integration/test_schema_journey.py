"""A schema from its registration to the typed value, as an analyst and a direct consumer read it."""

import json
import uuid
from urllib.parse import quote

import clickhouse_connect
import requests
from confluent_kafka import Consumer, Message
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from tests.services import wait_until
from tests.stack import Stack

SCHEMA = {
    "type": "record",
    "name": "Purchase",
    "fields": [{"name": "revenue", "type": ["null", "double"], "default": None}],
}


def test_value_when_its_schema_was_just_registered(stack: Stack) -> None:
    """The very next event has it; Confluent's client and clickhouse-connect read the same; a misfit is a discard."""
    name = f"Bought {uuid.uuid4().hex[:8]}"
    table = f"demo.{name.lower().replace(' ', '_')}"
    warehouse = clickhouse_connect.get_client(dsn=stack.env["CLICKHOUSE_URL"])

    register(stack, name)
    fits = post(stack, name, "39.95")
    misfit = post(stack, name, "much")

    assert decoded(stack, fits)["revenue"] == 39.95
    # The last row of each event is that of demo.events.
    stored = "SELECT count() FROM demo.events WHERE event = %(name)s"
    wait_until(lambda: warehouse.query(stored, {"name": name}).result_rows == [(2,)], "both events are stored")
    rows = f"SELECT revenue FROM {table} WHERE event_id = %(id)s"
    assert warehouse.query(rows, {"id": fits}).result_rows == [(39.95,)]
    assert warehouse.query(rows, {"id": misfit}).result_rows == [(None,)]
    discards = "SELECT field, value, wanted FROM demo.discards WHERE event_id = %(id)s"
    assert warehouse.query(discards, {"id": misfit}).result_rows == [("revenue", '"much"', "double")]
    general = "SELECT toString(properties.revenue) FROM demo.events WHERE event_id = %(id)s"
    assert warehouse.query(general, {"id": fits}).result_rows == [("39.95",)]


def register(stack: Stack, name: str) -> None:
    """As curl does."""
    answer = requests.post(
        f"{stack.env['CONSOLE_URL']}/registry/subjects/{quote(f'demo.{name}')}/versions",
        json={"schema": json.dumps(SCHEMA)},
        auth=(stack.env["EVENTS_TOKEN"], ""),
        timeout=10,
    )
    assert answer.status_code == 200, answer.text


def post(stack: Stack, name: str, revenue: str) -> str:
    """The id of an event that was accepted."""
    event = {"version": 1, "type": "event", "event": name, "properties": {"revenue": revenue}}
    headers = {"X-Auth-Token": stack.env["EVENTS_TOKEN"]}
    answer = requests.post(f"{stack.env['EVENTS_API_URL']}/v1/event", json=event, headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    event_id: str = answer.json()["id"]
    return event_id


def decoded(stack: Stack, event_id: str) -> dict[str, object]:
    """What Confluent's deserializer makes of an event's record."""
    registry = {"url": f"{stack.env['CONSOLE_URL']}/registry", "basic.auth.user.info": f"{stack.env['EVENTS_TOKEN']}:"}
    with SchemaRegistryClient(registry) as client:
        record = normalized(stack, event_id)
        topic = record.topic() or ""
        value = AvroDeserializer(client)(record.value(), SerializationContext(topic, MessageField.VALUE))
    assert isinstance(value, dict)
    return value


def normalized(stack: Stack, event_id: str) -> "Message[bytes, bytes]":
    """The normalized record of an event."""
    consumer = Consumer(
        {
            "bootstrap.servers": stack.env["KAFKA_BOOTSTRAP_SERVERS"],
            "group.id": f"journey-{uuid.uuid4()}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    try:
        consumer.subscribe(["events.normalized"])
        found = wait_until(lambda: of_event(consumer.poll(0.5), event_id), "the normalized record", seconds=60)
        assert found is not None
        return found
    finally:
        consumer.close()


def of_event(record: "Message[bytes, bytes] | None", event_id: str) -> "Message[bytes, bytes] | None":
    """The record, where it is this event's."""
    headers = dict(record.headers() or []) if record is not None and record.error() is None else {}
    return record if headers.get("event_id") == event_id.encode() else None
