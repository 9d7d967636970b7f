"""ClickHouse's errors over HTTP: number, name, message, status.

Invariant: whatever is refused here reads as if ClickHouse had refused it, so that clients find number and name.
"""

import re
from typing import Self

READONLY_HINT = " For queries over HTTP, method GET implies readonly. You should use method POST for modifying queries."

# src/Server/HTTP/exceptionCodeToHTTPStatus.cpp, ClickHouse 26; everything else is 500.
_STATUS = {
    194: 401,
    **dict.fromkeys((192, 193, 497, 512, 516), 403),
    **dict.fromkeys((6, 8, 15, 25, 26, 27, 36, 38, 41, 44, 53, 62, 69, 72, 117, 167, 168), 400),
    **dict.fromkeys((223, 224, 427, 441, 675, 676), 400),
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 78, 81, 106, 115, 336, 511), 404),
    **dict.fromkeys((76, 209), 503),
    48: 501,
    159: 408,
    381: 411,
    415: 415,
    439: 503,
}
_MESSAGE = re.compile(r"Code: (\d+)\. (DB::[A-Za-z]*Exception): (.*)\(([A-Z0-9_]+)\)\s*$", re.DOTALL)
_VERSION = re.compile(r"\s*\(version [0-9.]+[^)]*\)\.?\s*$")


class ClickHouseError(Exception):
    """A refusal or failure as ClickHouse words it.

    Attributes:
        code: ClickHouse's number of it.
        name: ClickHouse's name of it, in capitals.
        detail: the sentence between them.
    """

    def __init__(self, code: int, name: str, detail: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {detail} ({name})")
        self.code = code
        self.name = name
        self.detail = detail

    @classmethod
    def parse(cls, text: str) -> Self:
        """What chdb raised; it sometimes packs one message into another."""
        text = text.removeprefix("Streaming query failed: ")
        match = _MESSAGE.search(text)
        if not match:
            return cls(1001, "STD_EXCEPTION", text.strip() or "unknown failure in ClickHouse")
        detail, name = match[3].strip(), match[4]
        while (inner := _MESSAGE.match(_VERSION.sub("", detail))) and inner[1] == match[1]:
            detail, name = inner[3].strip(), inner[4]
        return cls(int(match[1]), name, detail)

    @property
    def status(self) -> int:
        """The HTTP status that ClickHouse answers with."""
        return _STATUS.get(self.code, 500)

    def text(self, version: str) -> str:
        """The body of the answer."""
        return f"{self} (version {version})\n"
