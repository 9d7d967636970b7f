"""Refused events of known teams come into `events.refusals`, and nothing else does."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import requests
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.settings import KafkaSettings
from tests.ingress import TEAM, Ingress, make_accounts, running_ingress
from tests.services import eventually

LAST = "the-last-one"


class Refusal(NamedTuple):
    """One record, as it lies in the topic."""

    value: dict[str, Any]
    text: bytes
    headers: dict[str, bytes]


async def in_topic(kafka: KafkaSettings) -> list[Refusal]:
    """All of it."""
    at = TopicPartition(kafka.topics.refusals, 0)
    async with AIOKafkaConsumer(**kafka.kafka_options(), auto_offset_reset="earliest") as consumer:
        consumer.assign([at])
        end, found = (await consumer.end_offsets([at]))[at], []
        while await consumer.position(at) < end:
            found += [record for records in (await consumer.getmany(timeout_ms=200)).values() for record in records]
    return [Refusal(json.loads(record.value), record.value, dict(record.headers)) for record in found]


async def told(kafka: KafkaSettings, ingress: Ingress, token: str) -> list[Refusal]:
    """What is there once everything before is: they come in order."""
    assert ingress.post(token, b"{", X_Request_Id=LAST).status_code == 400

    async def whole() -> list[Refusal]:
        found = await in_topic(kafka)
        return found if found and found[-1].value["request_id"] == LAST else []

    return (await eventually(whole, "refusals are in the topic"))[:-1]


def posts(ingress: Ingress, token: str) -> Iterator[Callable[[], requests.Response]]:
    """Each way to be refused: an event, one of a batch, one that only the body says whose it is."""
    track = {"userId": "u", "event": 7, "writeKey": token}
    basic = base64.b64encode(f"{token}:".encode()).decode()
    url = ingress.base_url
    yield lambda: ingress.post(token, json.dumps({"version": 1, "event": token}).encode())
    yield lambda: requests.post(
        f"{url}/v1/batch", json={"batch": [{"event": token}]}, headers={"X-Auth-Token": token}, timeout=30
    )
    yield lambda: requests.post(f"{url}/v1/track", json=track, timeout=30)
    yield lambda: requests.post(
        f"{url}/v1/b", json={"batch": [track | {"type": "track"}], "writeKey": token}, timeout=30
    )
    yield lambda: requests.post(f"{url}/v1/t", json=track, headers={"Authorization": f"Basic {basic}"}, timeout=30)


async def test_refusals_when_events_are_refused(kafka: KafkaSettings, tmp_path: Path) -> None:
    """Every way to be refused is told to the team with what it was answered, and nothing of it holds the token."""
    accounts_url, token = await make_accounts(tmp_path)
    with running_ingress(kafka, accounts_url, tmp_path) as ingress:
        answers = [post() for post in posts(ingress, token)]
        ingress.post("evt_nobody")
        good = ingress.post(token)

        found = await told(kafka, ingress, token)

    assert good.status_code == 200
    assert [refusal.headers["team"] for refusal in found] == [TEAM.encode()] * len(answers)
    assert [refusal.value["path"] for refusal in found] == [
        "/v1/event",
        "/v1/batch",
        "/v1/track",
        "/v1/b",
        "/v1/t",
    ]
    for answer, refusal in zip(answers, found, strict=True):
        assert answer.status_code == 400
        said = answer.json()
        first = said.get("results", [said])[0]
        assert refusal.value["code"] == first["code"]
        assert refusal.value["field"] == first["field"]
        assert refusal.value["message"] == first["message"]
        assert refusal.value["request_id"] == answer.headers["X-Request-Id"]
        assert refusal.value["body"]
        assert token.encode() not in refusal.text
        assert token[:14].encode() not in refusal.text


async def test_nothing_when_switched_off(kafka: KafkaSettings, tmp_path: Path) -> None:
    """With INGRESS_REFUSALS=false nothing is published, not even at the end."""
    accounts_url, token = await make_accounts(tmp_path)
    with running_ingress(kafka, accounts_url, tmp_path, ingress_refusals=False) as ingress:
        assert ingress.post(token, b"{").status_code == 400
        ingress.stop(20)

    assert await in_topic(kafka) == []
