"""The load of a fault run: ordered senders that retry like good clients, singly and in batches; strangers with poison.

Everything is noted in the ledger.  A sender sends its next event only when the last one is settled, so the order of a
key is known; what it was not told, it sends again under the same id.
"""

import asyncio
import hashlib
import json
import random
from dataclasses import dataclass, replace
from itertools import count

import aiohttp
from aiokafka import AIOKafkaProducer

from schemas.events import FORMAT, derive_event_id
from schemas.settings import KafkaSettings
from schemas.topics import EVENT_ID, partition_for
from schemas.topics import FORMAT as FORMAT_HEADER
from tests.faults.ledger import Attempt, Ledger, Outcome
from tests.faults.schemas import CHANGING

ANSWER_SECONDS = 15
RETRY_SECONDS = 0.2
REFUSED_SHARE = 0.05
RESENT_SHARE = 0.05
TIMESTAMP = "2026-11-23T12:00:00.123456Z"
BATCH_EVENTS = 6
EVENT: tuple[dict[str, object], str] = {"version": 1, "type": "event"}, "id"
CALL: tuple[dict[str, object], str] = {"type": "track"}, "messageId"
"""What events of each format have in common, and the member with the sender's own id."""
STATUS_OUTCOMES = {"accepted": Outcome.OK, "rejected": Outcome.REFUSED, "unknown": Outcome.UNKNOWN}

Sending = tuple[Attempt, bytes]
"""An event to be sent, and its bytes."""


@dataclass(frozen=True, slots=True)
class Team:
    """One sender's team and its token."""

    slug: str
    token: str


@dataclass
class Load:
    """One run's load; `stopping` ends it at the next settled event of each sender."""

    api_url: str
    kafka: KafkaSettings
    teams: list[Team]
    ledger: Ledger
    random: random.Random
    senders_per_team: int = 8
    batch_senders_per_team: int = 2
    pause_seconds: float = 0.02
    poison_pause_seconds: float = 0.5
    noise_bytes: int = 200

    def __post_init__(self) -> None:
        self.stopping = asyncio.Event()
        self.run_name = f"{self.random.getrandbits(48):012x}"

    async def run(self) -> None:
        """Send until told to stop."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as senders:
            senders.create_task(self._poison())
            for team in self.teams:
                for name in range(self.senders_per_team):
                    senders.create_task(self._sender(session, team, f"{self.run_name}-{name}"))
                for name in range(self.batch_senders_per_team):
                    senders.create_task(self._batch_sender(session, team, f"{self.run_name}-batch-{name}"))

    async def _sender(self, session: aiohttp.ClientSession, team: Team, user: str) -> None:
        for number in count():
            if self.stopping.is_set():
                return
            attempt, body = self._event(team, user, number)
            await self._settle(session, team, attempt, body)
            if self.random.random() < RESENT_SHARE:
                await self._settle(session, team, attempt, body)
            await asyncio.sleep(self.pause_seconds)

    async def _batch_sender(self, session: aiohttp.ClientSession, team: Team, user: str) -> None:
        """Batches in which our events and the Segment family's calls alternate."""
        for first in count(step=BATCH_EVENTS):
            if self.stopping.is_set():
                return
            numbers = range(first, first + BATCH_EVENTS)
            await self._settle_batch(
                session, team, [self._event(team, user, number, EVENT if number % 2 else CALL) for number in numbers]
            )
            await asyncio.sleep(self.pause_seconds * BATCH_EVENTS)

    def _event(self, team: Team, user: str, number: int, members: tuple[dict[str, object], str] = EVENT) -> Sending:
        sender_id = f"{user}-{number}"
        fixed, id_member = members
        event = fixed | {
            "event": f"Step {number % 7}",
            id_member: sender_id,
            "userId": user,
            "timestamp": TIMESTAMP if self.random.random() >= REFUSED_SHARE else "yesterday",
            "properties": {"number": number, "noise": "x" * self.random.randrange(self.noise_bytes)},
        }
        body = json.dumps(event).encode()
        event_id = str(derive_event_id(team.slug, sender_id))
        digest = hashlib.sha256(body).hexdigest()
        attempt = Attempt(event_id, team.slug, f"{team.slug}/{user}", number, digest, Outcome.UNKNOWN)
        return replace(attempt, changing=(team.slug, event["event"]) == CHANGING), body

    async def _settle(self, session: aiohttp.ClientSession, team: Team, attempt: Attempt, body: bytes) -> None:
        """Send until the outcome is known; each attempt is in the ledger before its answer is."""
        while (outcome := await self._post(session, team, body)) is Outcome.UNKNOWN:
            self.ledger.note(attempt)
            await asyncio.sleep(RETRY_SECONDS)
        self.ledger.note(replace(attempt, outcome=outcome))

    async def _settle_batch(self, session: aiohttp.ClientSession, team: Team, sendings: list[Sending]) -> None:
        """Send those of the batch whose outcome is not known again, until there are none."""
        while sendings:
            outcomes = await self._post_batch(session, team, sendings)
            for (attempt, _), outcome in zip(sendings, outcomes, strict=True):
                self.ledger.note(replace(attempt, outcome=outcome))
            pairs = zip(sendings, outcomes, strict=True)
            sendings = [sending for sending, outcome in pairs if outcome is Outcome.UNKNOWN]
            await asyncio.sleep(RETRY_SECONDS if sendings else 0)

    async def _post_batch(self, session: aiohttp.ClientSession, team: Team, sendings: list[Sending]) -> list[Outcome]:
        body = b'{"batch": [%b]}' % b", ".join(event for _, event in sendings)
        headers = {"X-Auth-Token": team.token, "Content-Type": "application/json"}
        try:
            async with session.post(f"{self.api_url}/v1/batch", data=body, headers=headers) as answer:
                told = json.loads(await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError):
            return [Outcome.UNKNOWN] * len(sendings)
        if "results" not in told:
            return [Outcome.UNKNOWN if answer.status >= 500 else Outcome.REFUSED] * len(sendings)
        return [STATUS_OUTCOMES[result["status"]] for result in told["results"]]

    async def _post(self, session: aiohttp.ClientSession, team: Team, body: bytes) -> Outcome:
        headers = {"X-Auth-Token": team.token, "Content-Type": "application/json"}
        try:
            async with session.post(f"{self.api_url}/v1/event", data=body, headers=headers) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return Outcome.UNKNOWN
        if answer.status == 200:
            return Outcome.OK
        return Outcome.REFUSED if answer.status < 500 else Outcome.UNKNOWN

    async def _poison(self) -> None:
        """Now and then somebody else writes into the raw topic what nobody can normalize."""
        async with AIOKafkaProducer(**self.kafka.kafka_options(), acks="all", enable_idempotence=True) as producer:
            partitions = len(await producer.partitions_for(self.kafka.topics.raw))
            for number in count():
                if self.stopping.is_set():
                    return
                attempt, value = self._poisoned(number)
                headers = [(EVENT_ID, attempt.event_id.encode()), (FORMAT_HEADER, FORMAT.encode())]
                self.ledger.note(attempt)
                await producer.send_and_wait(
                    self.kafka.topics.raw,
                    value,
                    key=attempt.key.encode(),
                    partition=partition_for(attempt.key.encode(), partitions),
                    headers=headers,
                )
                await asyncio.sleep(self.poison_pause_seconds)

    def _poisoned(self, number: int) -> Sending:
        value = self.random.randbytes(self.random.randrange(1, 100))
        event_id = str(derive_event_id("stranger", f"{self.run_name}-{number}"))
        digest = hashlib.sha256(value).hexdigest()
        return Attempt(event_id, "stranger", f"stranger/{number}", number, digest, Outcome.OK, poison=True), value
