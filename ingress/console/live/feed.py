"""One team's events as they pass: the ring that the Live page shows.  Pure: no I/O, and time is an argument.

Invariant: its memory has a bound, whatever passes; what is left out is counted.
"""

from collections import OrderedDict, deque
from typing import NamedTuple

import msgspec

from ingress.console.live.entries import (
    Entry,
    Fault,
    Place,
    Seen,
    Sent,
    describe,
    milliseconds,
    sent_of,
    text,
)
from ingress.console.live.pulse import Pulses
from ingress.refusals import MAX_BODY_BYTES, Refused
from schemas import events, segment, topics

MAX_ENTRIES = 500
MAX_RING_BYTES = 4 << 20
MAX_EARLY = 1_000
_FORMATS = frozenset({events.FORMAT.encode(), segment.FORMAT.encode()})
_refused = msgspec.json.Decoder(Refused).decode


class Mark(NamedTuple):
    """How far a viewer has come.

    Attributes:
        version: of the feed; all changes up to there were sent.
        serial: so many entries had come by then.
    """

    version: int
    serial: int


class Changes(NamedTuple):
    """What a viewer is to be sent.

    Attributes:
        entries: in the order of their changes; with True where the event itself is new to the viewer.
        skipped: how many the viewer never saw, since it reads too slowly.
    """

    entries: list[tuple[Entry, bool]]
    skipped: int
    mark: Mark


class Feed:
    """The last events of a team.

    Args:
        per_second: how many new ones are shown; of refused ones and dead letters so many besides.
        run: tells this feed from an earlier one of the same team, of which marks are worth nothing here.
    """

    def __init__(self, per_second: int, run: str = "") -> None:
        self.run = run
        self.pulses = Pulses()
        self.per_second = per_second
        self._budgets = {True: _Budget(per_second), False: _Budget(per_second)}
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._arrived: deque[Entry] = deque()
        # Normalized records whose raw record was not read yet: another topic's answer may come first.
        self._early: OrderedDict[Place, Seen] = OrderedDict()
        self._unstored: dict[int, dict[str, int]] = {}
        self._version = self._serial = self._bytes = 0

    @property
    def start(self) -> Mark:
        """Where a viewer begins who has seen nothing."""
        return Mark(0, self._arrived[0].serial if self._arrived else self._serial)

    @property
    def held_bytes(self) -> int:
        """What the payloads in the ring take."""
        return self._bytes

    def after(self, mark: Mark) -> Changes:
        """What has changed since."""
        found: list[tuple[Entry, bool]] = []
        for entry in reversed(self._entries.values()):
            if entry.changed <= mark.version:
                break
            found.append((entry, entry.told > mark.version))
        oldest = self._arrived[0].serial if self._arrived else self._serial
        return Changes(found[::-1], max(0, oldest - mark.serial), Mark(self._version, self._serial))

    def accepted(self, record: Seen, now: float) -> None:
        """A record of the raw topic."""
        place = Place(record.partition, record.offset)
        if not record.late:
            self.pulses.at(now).accepted += 1
        early = self._early.pop(place, None)
        entry = self._entries.get(_key(place))
        if entry is None:
            entry = self._new(_key(place), sent_of(record, place), None if record.late else now, is_fault=False)
            if entry is None:
                return
        elif entry.sent.payload is None:
            # Its dead letter was here first, without the event.
            self._replace_sent(entry, sent_of(record, place))
        if entry.stages.accepted is None:
            entry.stages.accepted = milliseconds(record.headers, topics.RECEIVED_AT) or record.timestamp_ms
        self._touch(entry)
        if early is not None:
            self._normalize(entry, early)

    def normalized(self, record: Seen) -> None:
        """A record of the normalized topic; what was not shown is not shown now."""
        place = Place(record.partition, _number(record, topics.RAW_OFFSET))
        entry = self._entries.get(_key(place))
        if entry is not None:
            self._normalize(entry, record)
        else:
            # The value is not needed, and may be large.
            self._early.setdefault(place, record._replace(value=None))
            if len(self._early) > MAX_EARLY:
                self._early.popitem(last=False)

    def dead_letter(self, record: Seen, now: float) -> None:
        """A dead letter, of the stream or of the sink."""
        if not record.late:
            self.pulses.at(now).dead_letters += 1
        place = Place(_number(record, topics.RAW_PARTITION), _number(record, topics.RAW_OFFSET))
        key = _key(place) if min(place) >= 0 else f"dead:{record.partition}:{record.offset}"
        entry = self._entries.get(key)
        if entry is None:
            is_raw = record.headers.get(topics.FORMAT) in _FORMATS
            sent = sent_of(record if is_raw else record._replace(value=None), place)
            entry = self._new(key, sent, None if record.late else now)
            if entry is None:
                return
            entry.stages.accepted = milliseconds(record.headers, topics.RECEIVED_AT)
        self._unstored.get(record.partition, {}).pop(entry.key, None)
        entry.stages.stored, entry.stages.dead_letter = None, record.timestamp_ms
        reason, field, detail = (text(record.headers, name) for name in (topics.REASON, topics.FIELD, topics.DETAIL))
        entry.fault = Fault(reason, field or None, detail)
        self._touch(entry)

    def refused(self, record: Seen, now: float) -> None:
        """A record of the refusals."""
        if not record.late:
            self.pulses.at(now).refused += 1
        try:
            refused = _refused(record.value or b"")
        except (msgspec.MsgspecError, RecursionError):
            return
        body = None if refused.body is None else refused.body.encode()
        sent = msgspec.structs.replace(
            describe(body),
            cut=len(body or b"") >= MAX_BODY_BYTES,
            token_id=text(record.headers, topics.TOKEN_ID),
            path=refused.path,
            request_id=refused.request_id,
        )
        entry = self._new(f"refused:{record.partition}:{record.offset}", sent, None if record.late else now)
        if entry is not None:
            entry.stages.refused = int(refused.received_at.timestamp() * 1000)
            entry.fault = Fault(refused.code, refused.field, refused.message)
            self._touch(entry)

    def stored(self, partition: int, committed: int, now: float) -> None:
        """The sink has committed the normalized records of a partition below this offset."""
        waiting = self._unstored.get(partition, {})
        for key in [key for key, offset in waiting.items() if offset < committed]:
            del waiting[key]
            entry = self._entries[key]
            entry.stages.stored = 0 if entry.late else int(now * 1000)
            if entry.stages.accepted is not None and not entry.late:
                self.pulses.at(now).note_freshness(max(0.0, now - entry.stages.accepted / 1000))
            self._touch(entry)

    def _normalize(self, entry: Entry, record: Seen) -> None:
        """The first one counts: the sink drops repeats."""
        if entry.stages.normalized is None:
            entry.stages.normalized, entry.late = record.timestamp_ms, record.late
            if entry.stages.dead_letter is None:
                self._unstored.setdefault(record.partition, {})[entry.key] = record.offset
            self._touch(entry)

    def _new(self, key: str, sent: Sent, now: float | None, *, is_fault: bool = True) -> Entry | None:
        """A new entry, where one more may be shown in this second; None for one that was there before."""
        if now is not None:
            if not self._budgets[is_fault].take(now):
                return None
            self.pulses.at(now).shown += 1
        entry = Entry(key, self._serial, sent)
        self._serial += 1
        self._entries[key] = entry
        self._arrived.append(entry)
        self._bytes += entry.payload_bytes
        entry.told = self._touch(entry)
        while len(self._arrived) > MAX_ENTRIES or (self._bytes > MAX_RING_BYTES and len(self._arrived) > 1):
            self._forget(self._arrived.popleft())
        return entry

    def _replace_sent(self, entry: Entry, sent: Sent) -> None:
        self._bytes -= entry.payload_bytes
        entry.sent = sent
        self._bytes += entry.payload_bytes
        entry.told = self._touch(entry)

    def _forget(self, entry: Entry) -> None:
        del self._entries[entry.key]
        self._bytes -= entry.payload_bytes
        for waiting in self._unstored.values():
            waiting.pop(entry.key, None)

    def _touch(self, entry: Entry) -> int:
        self._version += 1
        entry.changed = self._version
        self._entries.move_to_end(entry.key)
        return self._version


class _Budget:
    """So many in each second."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._second = self._taken = 0

    def take(self, now: float) -> bool:
        """Take one, where there is one."""
        if int(now) != self._second:
            self._second, self._taken = int(now), 0
        if self._taken >= self._per_second:
            return False
        self._taken += 1
        return True


def _key(place: Place) -> str:
    return f"{place.partition}:{place.offset}"


def _number(record: Seen, name: str) -> int:
    header = record.headers.get(name) or b""
    return int(header) if header.isdigit() and len(header) < 20 else -1
