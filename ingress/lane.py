"""One partition's way into Kafka: one batch in flight, and everything that arrives meanwhile shares the next one.

So the order of a partition is the order of `add`, throughput grows with load, and a request waits once per partition,
not once per record.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from ingress.envelope import RawRecord
from ingress.flush import Flush
from ingress.kafka import Batch, RawTopic, append
from schemas.errors import Unavailable

REFUSED = "Kafka refused a batch, and the ingress starts anew: send the event again with the same id."
FULL = "Too much waits for Kafka already: send the event again with the same id."


class _BatchFlush(Flush):
    """Records that are in a batch already."""

    __slots__ = ("batch",)

    def __init__(self, batch: Batch) -> None:
        super().__init__()
        self.batch = batch


class Lane:
    """The lane of an ingress that keeps what waits in memory only."""

    spilling = False

    def __init__(
        self, topic: RawTopic, partition: int, max_bytes: int, on_failure: Callable[[BaseException], None]
    ) -> None:
        self._topic = topic
        self._partition = partition
        self._max_bytes = max_bytes
        self._on_failure = on_failure
        self._waiting: deque[_BatchFlush] = deque()
        self._refused: Unavailable | None = None
        self._sending: asyncio.Task[None] | None = None
        self.pending_bytes = 0

    def add(self, record: RawRecord) -> Flush:
        """Put a record behind all others, and return what it goes out with.

        Raises:
            Unavailable: where too much waits already.
        """
        if self._refused:
            raise self._refused
        if self.pending_bytes >= self._max_bytes:
            raise Unavailable(FULL)
        flush = self._waiting[-1] if self._waiting else self._open()
        if not (size := append(flush.batch, record)):
            flush = self._open()
            size = append(flush.batch, record)
        flush.bytes += size
        self.pending_bytes += size
        # The task starts in the next round of the event loop: what arrives in this one shares its first batch.
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send_waiting())
            self._sending.add_done_callback(self._ended)
        return flush

    async def close(self, seconds: float) -> None:
        """Send what waits, for so long at most."""
        if self._sending:
            await asyncio.wait({self._sending}, timeout=seconds)

    def _open(self) -> _BatchFlush:
        flush = _BatchFlush(self._topic.open_batch())
        self._waiting.append(flush)
        return flush

    async def _send_waiting(self) -> None:
        """Send batch after batch, each when the one before is acknowledged."""
        while self._waiting:
            flush = self._waiting[0]
            await flush.fill()
            # It stays first until it is acknowledged; it is closed, so that what arrives now opens the next one.
            await self._topic.send(flush.batch, self._partition)
            self._waiting.popleft()
            self.pending_bytes -= flush.bytes
            flush.settle(None)
        self._sending = None

    def _ended(self, sending: asyncio.Task[None]) -> None:
        if sending.cancelled() or not (error := sending.exception()):
            return
        # Nothing may follow what was refused, or the partition would have a gap.
        self._refused = Unavailable(REFUSED)
        while self._waiting:
            self._waiting.popleft().settle(self._refused)
        self._on_failure(error)
