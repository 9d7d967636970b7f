"""What may not pass, whoever grants what inside ClickHouse.

Pure.  Access to tables, files and addresses is ClickHouse's own affair: the engine's roles carry grants (engine.py).
This refuses what those grants cannot: files read or written by the client side of chdb, which is this process, the
one function that reads files without a grant, and a change of role.
"""

import re
from collections.abc import Mapping
from itertools import pairwise

from deploy.local.clickhouse.errors import READONLY_HINT, ClickHouseError
from deploy.local.clickhouse.lexer import Kind, Token
from deploy.local.clickhouse.statement import Statement
from deploy.local.clickhouse.users import Role

_READS = frozenset(("SELECT", "WITH", "FROM", "SHOW", "DESC", "DESCRIBE", "EXISTS", "EXPLAIN", "CHECK", "SET", "USE"))
# Functions that read files, reach addresses or read this process's memory, and ask for no grant.
_NOT_FOR_ANALYSTS = frozenset(("file", "executable", "python", "arrowstream", "eval")) | frozenset(
    f"ai{verb}" for verb in ("classify", "embed", "extract", "filter", "generate", "redact", "similarity", "translate")
)
_IDENTIFIER_PARAMETER = re.compile(r"\{\s*\w+\s*:\s*Identifier\s*\}")


def check(statement: Statement, role: Role, parameters: Mapping[str, str], *, readonly: bool) -> None:
    """Refuse what this role may not ask, or not by GET (`readonly`).

    Raises:
        ClickHouseError: as ClickHouse words it, or 48 for what needs a real server.
    """
    _no_files(statement)
    _no_role(statement)
    if readonly:
        _only_reads(statement, role, READONLY_HINT)
    if role is Role.ANALYST:
        _only_reads(statement, role, "")
        _no_reading_functions(statement, parameters)


def _no_files(statement: Statement) -> None:
    tokens = statement.tokens
    for before, token, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        outside = (before.word("INTO") and token.word("OUTFILE")) or (before.word("FROM") and token.word("INFILE"))
        if outside and after.kind is not Kind.MARK:
            raise ClickHouseError(
                1, "UNSUPPORTED_METHOD", f"{before.text} {token.text} is not allowed over HTTP: files are the client's"
            )
    if statement.words[:1] == ("INSERT",) and any(
        token.word("INPUT") and after.text == "(" for token, after in pairwise(tokens)
    ):
        raise ClickHouseError(
            48,
            "NOT_IMPLEMENTED",
            "input() needs a real ClickHouse server (set CLICKHOUSE_URL); insert the rows as they are",
        )


def _no_role(statement: Statement) -> None:
    words = statement.words
    if words[:2] == ("SET", "ROLE") or words[:3] == ("SET", "DEFAULT", "ROLE") or words[:2] == ("EXECUTE", "AS"):
        raise ClickHouseError(512, "SET_NON_GRANTED_ROLE", "The role comes with the user and cannot be changed")


def _only_reads(statement: Statement, role: Role, hint: str) -> None:
    first = next((token for token in statement.tokens if token.text != "("), statement.tokens[0])
    words = statement.words
    temporary = words[:2] == ("CREATE", "TEMPORARY") or words[:2] == ("DROP", "TEMPORARY")
    inserts = any(token.word("INSERT") for token in statement.tokens[1:]) and first.word("WITH", "EXPLAIN")
    if temporary or (first.word(*_READS) and not inserts):
        return
    raise ClickHouseError(164, "READONLY", f"{role.value}: Cannot execute query in readonly mode.{hint}")


def _no_reading_functions(statement: Statement, parameters: Mapping[str, str]) -> None:
    """A name stands for a function before a bracket, but also as an argument: arrayMap(file, …), APPLY file."""
    for index, token in enumerate(statement.tokens):
        if _names_a_reading_function(token) and _may_be_called(statement.tokens, index):
            raise _no_function(token.name)
    if _IDENTIFIER_PARAMETER.search(statement.sql):
        for value in parameters.values():
            if value.strip('`"').lower() in _NOT_FOR_ANALYSTS or "\\" in value:
                raise _no_function(value)


def _names_a_reading_function(token: Token) -> bool:
    return token.kind in {Kind.WORD, Kind.QUOTED} and token.name.lower() in _NOT_FOR_ANALYSTS


def _may_be_called(tokens: tuple[Token, ...], index: int) -> bool:
    before = tokens[index - 1] if index else None
    after = tokens[index + 1] if index + 1 < len(tokens) else None
    column = before is not None and (before.text == "." or before.word("AS"))
    return not column or (after is not None and after.text == "(")


def _no_function(name: str) -> ClickHouseError:
    return ClickHouseError(
        497,
        "ACCESS_DENIED",
        f"{Role.ANALYST.value}: Not enough privileges: {name!r} may be a function that reads outside of the tables. "
        "A column of that name is written as table.column.",
    )
