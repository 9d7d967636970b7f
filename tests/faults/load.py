"""The load of a fault run: ordered senders that retry like good clients, and strangers who write poison.

Everything is noted in the ledger.  A sender sends its next event only when the last one is settled, so the order of a
key is known; what it was not told, it sends again under the same id.
"""

import asyncio
import hashlib
import json
import random
from dataclasses import dataclass
from itertools import count

import aiohttp
from aiokafka import AIOKafkaProducer

from schemas.events import FORMAT, derive_event_id
from schemas.settings import KafkaSettings
from schemas.topics import EVENT_ID, partition_for
from schemas.topics import FORMAT as FORMAT_HEADER
from tests.faults.ledger import Attempt, Ledger, Outcome

ANSWER_SECONDS = 15
RETRY_SECONDS = 0.2
REFUSED_SHARE = 0.05
RESENT_SHARE = 0.05
TIMESTAMP = "2026-11-23T12:00:00.123456Z"


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

    async def _sender(self, session: aiohttp.ClientSession, team: Team, user: str) -> None:
        for number in count():
            if self.stopping.is_set():
                return
            attempt, body = self._event(team, user, number)
            await self._settle(session, team, attempt, body)
            if self.random.random() < RESENT_SHARE:
                await self._settle(session, team, attempt, body)
            await asyncio.sleep(self.pause_seconds)

    def _event(self, team: Team, user: str, number: int) -> tuple[Attempt, bytes]:
        sender_id = f"{user}-{number}"
        event = {
            "version": 1,
            "type": "event",
            "event": f"Step {number % 7}",
            "id": sender_id,
            "userId": user,
            "timestamp": TIMESTAMP if self.random.random() >= REFUSED_SHARE else "yesterday",
            "properties": {"number": number, "noise": "x" * self.random.randrange(self.noise_bytes)},
        }
        body = json.dumps(event).encode()
        event_id = str(derive_event_id(team.slug, sender_id))
        digest = hashlib.sha256(body).hexdigest()
        return Attempt(event_id, team.slug, f"{team.slug}/{user}", number, digest, Outcome.UNKNOWN), body

    async def _settle(self, session: aiohttp.ClientSession, team: Team, attempt: Attempt, body: bytes) -> None:
        """Send until the outcome is known; each attempt is in the ledger before its answer is."""
        while (outcome := await self._post(session, team, body)) is Outcome.UNKNOWN:
            self.ledger.note(attempt)
            await asyncio.sleep(RETRY_SECONDS)
        self.ledger.note(_with(attempt, outcome))

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

    def _poisoned(self, number: int) -> tuple[Attempt, bytes]:
        value = self.random.randbytes(self.random.randrange(1, 100))
        event_id = str(derive_event_id("stranger", f"{self.run_name}-{number}"))
        digest = hashlib.sha256(value).hexdigest()
        return Attempt(event_id, "stranger", f"stranger/{number}", number, digest, Outcome.OK, poison=True), value


def _with(attempt: Attempt, outcome: Outcome) -> Attempt:
    return Attempt(attempt.event_id, attempt.team, attempt.key, attempt.number, attempt.sha256, outcome)
