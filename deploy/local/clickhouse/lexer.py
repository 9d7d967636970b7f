"""ClickHouse's SQL cut into tokens: where comments, strings and names begin and end.

Invariant: it cuts where ClickHouse's own lexer cuts, so that no string or comment hides a keyword from us, or shows
one that is not there.  It works on bytes decoded as latin-1, so that a position is a byte's.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from deploy.local.clickhouse.errors import ClickHouseError


class Kind(Enum):
    """What a token is."""

    WORD = auto()
    QUOTED = auto()
    STRING = auto()
    NUMBER = auto()
    MARK = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `text` has the quotes on."""

    kind: Kind
    text: str
    start: int
    end: int

    def word(self, *words: str) -> bool:
        """Whether it is one of these keywords, whatever its case."""
        return self.kind is Kind.WORD and self.text.upper() in words

    @property
    def name(self) -> str:
        """What it names: a word as it stands, a quoted name without quotes and escapes."""
        if self.kind is not Kind.QUOTED:
            return self.text
        width = 3 if self.text[0] == "\xe2" else 1
        quote, body = self.text[0], self.text[width:-width]
        return _ESCAPE.sub(_unescape, body.replace(quote * 2, quote))


_ESCAPE = re.compile(r"\\x([0-9A-Fa-f]{2})|\\(.)", re.DOTALL)
# Stray bytes above ASCII are skipped like space: ClickHouse takes many of them for space, the rest are its errors.
_SPACE = re.compile(r"(?:[\s\x00\x80-\xe1\xe3-\xff]|\xe2(?!\x80[\x98\x9c])|--[^\n]*|//[^\n]*|#[ !][^\n]*)+")
_COMMENT_MARK = re.compile(r"/\*|\*/")
_TOKENS = (
    (Kind.WORD, re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")),
    (Kind.NUMBER, re.compile(r"[0-9][A-Za-z0-9_]*")),
    (Kind.STRING, re.compile(r"'(?:[^'\\]|\\.|'')*'", re.DOTALL)),
    (Kind.QUOTED, re.compile(r"`(?:[^`\\]|\\.|``)*`", re.DOTALL)),
    (Kind.QUOTED, re.compile(r'"(?:[^"\\]|\\.|"")*"', re.DOTALL)),
    (Kind.STRING, re.compile("\xe2\x80\x98.*?\xe2\x80\x99", re.DOTALL)),
    (Kind.QUOTED, re.compile("\xe2\x80\x9c.*?\xe2\x80\x9d", re.DOTALL)),
    (Kind.STRING, re.compile(r"\$([A-Za-z0-9_]*)\$.*?\$\1\$", re.DOTALL)),
    (Kind.WORD, re.compile(r"\$[A-Za-z0-9_$]*")),
    (Kind.MARK, re.compile(r".", re.DOTALL)),
)


_QUOTES = "'`\"\xe2"


def lex(sql: str) -> Iterator[Token]:
    """The tokens of a statement, without space and comments; cut lazily, so data behind an INSERT is never read.

    Raises:
        ClickHouseError: 62, a quote is not closed.
    """
    position = _skip(sql, 0)
    while position < len(sql):
        kind, match = next((kind, found) for kind, pattern in _TOKENS if (found := pattern.match(sql, position)))
        if kind is Kind.MARK and match[0] in _QUOTES:
            raise ClickHouseError(
                62, "SYNTAX_ERROR", f"Syntax error: the quote at position {position + 1} is not closed"
            )
        yield Token(kind, match[0], match.start(), match.end())
        position = _skip(sql, match.end())


def _skip(sql: str, position: int) -> int:
    """The position of the next token: past space, line comments, and block comments, which nest."""
    while True:
        start = position
        if match := _SPACE.match(sql, position):
            position = match.end()
        if sql.startswith("/*", position):
            position = _comment_end(sql, position)
        if position == start:
            return position


def _comment_end(sql: str, position: int) -> int:
    depth = 0
    for mark in _COMMENT_MARK.finditer(sql, position):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(sql)


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else match[2]
