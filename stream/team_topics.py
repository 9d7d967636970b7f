"""Copies of raw records for teams with a topic of their own.  Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from schemas.topics import MAX_RECORD_BYTES, RAW_OFFSET, TEAM
from stream.records import RawRecord, Record, size_bytes


def copies(records: Sequence[RawRecord], topic_of: Mapping[bytes, str]) -> dict[str, list[Record]]:
    """What goes into each team's topic, in the order of the raw records.

    Args:
        records: of one run.
        topic_of: the topic of each team that has one, by the header `team`.
    """
    copied: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records if topic_of else ():
        topic = topic_of.get(dict(record.headers).get(TEAM) or b"")
        if topic is not None:
            copied[topic].append(_copy(record))
    return copied


def _copy(record: RawRecord) -> Record:
    """The raw record as it is, with its offset.

    Where that would exceed MAX_RECORD_BYTES its value is left out, then its key and all headers but two.  The ingress
    takes no event that is so large.
    """
    place = RAW_OFFSET, b"%d" % record.offset
    headers = [*(header for header in record.headers if header[0] != RAW_OFFSET), place]
    copy = Record(record.key, record.value, headers)
    if size_bytes(copy) <= MAX_RECORD_BYTES:
        return copy
    copy = Record(record.key, None, headers)
    if size_bytes(copy) <= MAX_RECORD_BYTES:
        return copy
    return Record(None, None, [(TEAM, dict(record.headers)[TEAM]), place])
