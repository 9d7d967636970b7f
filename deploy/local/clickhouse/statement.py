"""One statement: what kind it is, where its data begins, where a file's name goes into it.

Pure.  Invariant: nothing behind the point where an INSERT's data begins is looked at, and the text that goes to
ClickHouse is the client's own but for one inserted clause.
"""

from dataclasses import dataclass
from enum import Enum, auto

from deploy.local.clickhouse.errors import ClickHouseError
from deploy.local.clickhouse.lexer import Kind, Token, lex


class StatementKind(Enum):
    """How a statement runs."""

    SELECT = auto()
    """Its result can be written to a pipe."""
    INSERT_DATA = auto()
    """Rows follow the statement."""
    OTHER = auto()
    """All else, INSERT … SELECT included: the result is small."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement without the data that follows it, and without its last semicolon.

    Attributes:
        sql: its text, each character one byte of it.
        tokens: of the text.
        format: the name in its FORMAT clause, of the data for an insert.
        clause_at: where INTO OUTFILE or FROM INFILE goes.
        format_at: where the FORMAT clause, or VALUES, begins.
        data_at: where the data begins in what was parsed; only of an insert with data.
    """

    kind: StatementKind
    sql: str
    tokens: tuple[Token, ...]
    format: str | None
    clause_at: int
    format_at: int
    data_at: int = 0

    @property
    def words(self) -> tuple[str, ...]:
        """Its first words in capitals: what it does."""
        return tuple(token.text.upper() for token in self.tokens[:4] if token.kind is Kind.WORD)

    def into_file(self, path: str, default_format: str) -> str:
        """The same query, its result written to this file."""
        before, after = utf8(self.sql[: self.clause_at]), utf8(self.sql[self.clause_at :])
        return f"{before} INTO OUTFILE {_literal(path)} TRUNCATE {after or f'FORMAT {default_format}'}"

    def from_file(self, path: str) -> str:
        """The same insert, its data read from this file."""
        before, settings = self.sql[: self.clause_at], self.sql[self.clause_at : self.format_at]
        return f"{utf8(before)} FROM INFILE {_literal(path)} {utf8(settings)} FORMAT {utf8(self.format or '')}"

    def plain(self) -> str:
        """The statement itself."""
        return utf8(self.sql)

    def with_names_as(self, name: str, replacement: str) -> str:
        """The statement with every identifier of this name replaced."""
        parts, position = [], 0
        for token in self.tokens:
            if token.kind in {Kind.WORD, Kind.QUOTED} and token.name == name:
                parts += [self.sql[position : token.start], replacement]
                position = token.end
        return utf8("".join([*parts, self.sql[position:]]))


def _literal(path: str) -> str:
    """A path as SQL: a data folder may have an apostrophe in its name."""
    return "'" + path.replace("\\", "\\\\").replace("'", "\\'") + "'"


def utf8(text: str) -> str:
    """Bytes that were decoded as latin-1, as the text they are.

    Raises:
        ClickHouseError: 62, they are not UTF-8.
    """
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError as error:
        raise ClickHouseError(
            62, "SYNTAX_ERROR", "Syntax error: the statement is not UTF-8; send other bytes as data or as unhex('…')"
        ) from error


def parse(text: bytes) -> Statement:
    """Read the statement at the beginning of these bytes.

    Raises:
        ClickHouseError: 62, there is none, or there is a second one.
    """
    sql = text.decode("latin-1")
    tokens: list[Token] = []
    insert = _Insert()
    for token in lex(sql):
        if token.text == ";" and token.kind is Kind.MARK:
            _no_more(sql, token.end)
            break
        tokens.append(token)
        if insert.takes(token):
            return insert.statement(sql, tuple(tokens))
    if not tokens:
        raise ClickHouseError(62, "SYNTAX_ERROR", "Syntax error: Empty query")
    sql = sql[: tokens[-1].end]
    format_at = _format_clause(tokens)
    kind = StatementKind.SELECT if _reads(tokens) and not insert.seen else StatementKind.OTHER
    return Statement(
        kind,
        sql,
        tuple(tokens),
        format=None if format_at is None else tokens[format_at + 1].name,
        clause_at=len(sql) if format_at is None else tokens[format_at].start,
        format_at=len(sql) if format_at is None else tokens[format_at].start,
    )


def _no_more(sql: str, position: int) -> None:
    for token in lex(sql[position:]):
        if token.text != ";":
            raise ClickHouseError(
                62, "SYNTAX_ERROR", f"Syntax error (Multi-statements are not allowed): failed at position {position}"
            )


def _reads(tokens: list[Token]) -> bool:
    first = next((token for token in tokens if token.text != "("), tokens[0])
    return first.word("SELECT", "WITH", "FROM")


_NO_CLAUSE_AFTER = ("FROM", "JOIN", "SELECT", "AS", "BY", "WHERE", "HAVING", "AND", "OR", "NOT", "IN", "ON", "USING")


def _format_clause(tokens: list[Token]) -> int | None:
    """The index of FORMAT in `FORMAT name [SETTINGS …]` at the end, outside of brackets."""
    depth, found = 0, None
    for index, token in enumerate(tokens):
        if token.kind is Kind.MARK:
            depth += (token.text in "([{") - (token.text in ")]}")
        elif depth == 0 and token.word("FORMAT") and _is_clause(tokens, index):
            found = index
    return found


def _is_clause(tokens: list[Token], index: int) -> bool:
    if index == 0 or index + 1 >= len(tokens):
        return False
    before, name, after = tokens[index - 1], tokens[index + 1], tokens[index + 2 : index + 3]
    ends = not after or after[0].word("SETTINGS")
    operand = before.kind is Kind.MARK and before.text not in ")]}*"
    return ends and name.kind in {Kind.WORD, Kind.QUOTED} and not operand and not before.word(*_NO_CLAUSE_AFTER)


class _Insert:
    """Follows the tokens of an INSERT up to its data.

    [WITH …] INSERT [INTO] [TABLE] [FUNCTION] name[.name] [(…)] [SETTINGS …] (VALUES | FORMAT name) data
    """

    def __init__(self) -> None:
        self.seen = False
        self._depth = 0
        self._before: list[Token] = []
        self._since: list[Token] = []
        self._settings: Token | None = None
        self._over = False

    def takes(self, token: Token) -> bool:
        """Whether the data begins behind this token."""
        if token.kind is Kind.MARK:
            self._depth += (token.text in "([{") - (token.text in ")]}")
        if self._over:
            return False
        if not self.seen:
            self._look_for(token)
            return False
        self._since.append(token)
        at = len(self._since) - 1
        clauses_at = self._clauses_at()
        if self._depth or at < clauses_at or self._since[at - 1].text in {".", "="}:
            return False
        if at > clauses_at and self._since[at - 1].word("FORMAT"):
            return True
        if token.word("SETTINGS"):
            self._settings = token
        self._over = token.word("SELECT", "WITH", "FROM", "WATCH")
        return token.word("VALUES")

    def statement(self, sql: str, tokens: tuple[Token, ...]) -> Statement:
        """The insert whose data begins behind the last of these tokens."""
        last = tokens[-1]
        values = not self._since[-2].word("FORMAT")
        keyword = last if values else tokens[-2]
        return Statement(
            StatementKind.INSERT_DATA,
            sql[: last.end],
            tokens,
            format="Values" if values else last.name,
            clause_at=(self._settings or keyword).start,
            format_at=keyword.start,
            data_at=last.end if values else _data_start(sql, last.end),
        )

    def _look_for(self, token: Token) -> None:
        """INSERT comes first, or behind the last `name AS (…)` of a WITH."""
        first = self._before[0] if self._before else token
        if self._depth == 0 and token.word("INSERT"):
            self.seen = first is token or (first.word("WITH") and not self._before[-1].word("AS"))
        self._over = self._depth == 0 and not self.seen and (token.word("SELECT") or not first.word("WITH", "INSERT"))
        self._before.append(token)

    def _clauses_at(self) -> int:
        """The index of what comes behind the table's name, which may itself be `values` or `format`."""
        rest, at = self._since, 0
        for word in ("INTO", "TABLE", "FUNCTION"):
            if at + 1 < len(rest) and rest[at].word(word) and rest[at + 1].text not in {".", "("}:
                at += 1
        at += 1
        while at < len(rest) and rest[at].text == ".":
            at += 2
        return at


def _data_start(sql: str, position: int) -> int:
    """Past the spaces behind the format's name and the one line end, as ParserInsertQuery does it."""
    while sql[position : position + 1] in {" ", "\t", "\f"}:
        position += 1
    position += sql.startswith("\r", position)
    return position + sql.startswith("\n", position)
