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
    """Confluent's client and clickhouse-connect read the same typed value; what does not fit is told as a discard."""
    name = f"Bought {uuid.uuid4().hex[:8]}"
    table = f"demo.{name.lower().replace(' ', '_')}"
    register(stack, name)
    warehouse = clickhouse_connect.get_client(dsn=stack.env["CLICKHOUSE_URL"])
    # The sink has made the table, so the stream, which reads the same topic, has read the schema, or will in a moment.
    wait_until(lambda: exists(warehouse, table), "the typed table")

    fits = wait_until(lambda: typed(stack, name, "39.95"), "an event that was written by the schema")
    assert fits is not None
    misfit = post(stack, name, "much")

    rows = f"SELECT revenue FROM {table} WHERE event_id = %(id)s"
    wait_until(lambda: warehouse.query(rows, {"id": misfit}).result_rows, "the row of the misfit")
    assert warehouse.query(rows, {"id": fits["event_id"]}).result_rows == [(39.95,)]
    assert fits["revenue"] == 39.95
    assert warehouse.query(rows, {"id": misfit}).result_rows == [(None,)]
    discards = "SELECT field, value, wanted FROM demo.discards WHERE event_id = %(id)s"
    assert warehouse.query(discards, {"id": misfit}).result_rows == [("revenue", '"much"', "double")]
    general = "SELECT toString(properties.revenue) FROM demo.events WHERE event_id = %(id)s"
    assert warehouse.query(general, {"id": fits["event_id"]}).result_rows == [("39.95",)]


def register(stack: Stack, name: str) -> None:
    """As curl does."""
    answer = requests.post(
        f"{stack.env['CONSOLE_URL']}/registry/subjects/{quote(f'demo.{name}')}/versions",
        json={"schema": json.dumps(SCHEMA)},
        auth=(stack.env["EVENTS_TOKEN"], ""),
        timeout=10,
    )
    assert answer.status_code == 200, answer.text


def exists(warehouse: clickhouse_connect.driver.Client, table: str) -> bool:
    """Whether there is such a table or view."""
    return bool(warehouse.command(f"EXISTS TABLE {table}"))


def post(stack: Stack, name: str, revenue: str) -> str:
    """The id of an event that was accepted."""
    event = {"version": 1, "type": "event", "event": name, "properties": {"revenue": revenue}}
    headers = {"X-Auth-Token": stack.env["EVENTS_TOKEN"]}
    answer = requests.post(f"{stack.env['EVENTS_API_URL']}/v1/event", json=event, headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    event_id: str = answer.json()["id"]
    return event_id


def typed(stack: Stack, name: str, revenue: str) -> dict[str, object] | None:
    """Post an event, and what Confluent's deserializer makes of its record; None where no schema wrote it yet."""
    event_id = post(stack, name, revenue)
    registry = {"url": f"{stack.env['CONSOLE_URL']}/registry", "basic.auth.user.info": f"{stack.env['EVENTS_TOKEN']}:"}
    with SchemaRegistryClient(registry) as client:
        record = normalized(stack, event_id)
        topic = record.topic() or ""
        decoded = AvroDeserializer(client)(record.value(), SerializationContext(topic, MessageField.VALUE))
    assert isinstance(decoded, dict)
    assert str(decoded["event_id"]) == event_id
    return decoded if "revenue" in decoded else None


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
