"""The dead letters as the sink reads them: the offsets of a group of its own, that nobody joins.

Who reads a partition is decided by the sink's own group, which has the same partition numbers.  So there is no second
membership, and an offset may be committed by two sinks at once: then records are read again, and none is left out.
"""

import asyncio
from collections.abc import Collection, Mapping

from schemas.settings import KafkaSettings
from sink.topic_log import ANSWER_SECONDS, TopicLog, translated


class DeadLetterLog(TopicLog):
    """Every method raises Unavailable where Kafka does not answer."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__(settings, group=settings.topics.dead_letter_group)

    async def position(self, partition: int) -> int:
        """The committed offset, or the start of the log where none was, or one that does not lie within the log."""
        at = self.dead_at(partition)
        bounds = await self.bounds(at)
        with translated():
            committed: int | None = await self._consumer.committed(at)
        return committed if committed is not None and bounds.start <= committed <= bounds.stop else bounds.start

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        """The offsets of the next records."""
        with translated():
            found = await self._consumer.end_offsets([self.dead_at(partition) for partition in partitions])
        return {at.partition: end for at, end in found.items()}

    async def commit(self, ends: Mapping[int, int]) -> None:
        """Commit the offsets of the next records to read."""
        offsets = {self.dead_at(partition): end for partition, end in ends.items()}
        # The client commits nothing but what is assigned to it.
        self._consumer.assign(list(offsets))
        self._consumer.pause(*offsets)
        with translated():
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._consumer.commit(offsets)
