"""ClickHouse DDL as lists of statements.  Every statement may be run again at any time.

The SQL itself is in `schemas/clickhouse/`; numbered files are applied in order.
"""

import re
from importlib.resources import files

_FOLDER = files("schemas").joinpath("clickhouse")
_SLUG = re.compile(r"[a-z][a-z0-9_]{0,62}")
RESERVED_SLUGS = frozenset({"default", "system", "information_schema", "warehouse"})


def is_team_slug(slug: str) -> bool:
    """Whether this may name a team: it also names the team's database, so it is a plain identifier."""
    return _SLUG.fullmatch(slug) is not None and slug not in RESERVED_SLUGS


def warehouse_statements(database: str) -> list[str]:
    """What makes the warehouse and its tables, in order."""
    numbered = sorted(path.name for path in _FOLDER.iterdir() if path.name[:4].isdigit())
    return [statement for name in numbered for statement in _statements(name, database=database)]


def team_statements(team: str, database: str) -> list[str]:
    """What makes one team's database and views.

    Raises:
        ValueError: where the slug may not name a team.
    """
    if not is_team_slug(team) or team == database:
        raise ValueError(f"{team!r} cannot name a team's database")
    return _statements("team.sql", team=team, database=database)


def analyst_statements(team: str, password_sha256: str) -> list[str]:
    """What lets one team's analysts in on a server with access control, each statement on one line.

    The password's hash is in hexadecimal.

    Raises:
        ValueError: where the slug may not name a team.
    """
    if not is_team_slug(team):
        raise ValueError(f"{team!r} cannot name a team's database")
    found = _statements("analysts.sql", team=team, password_sha256=password_sha256)
    return [" ".join(statement.split()) for statement in found]


def _statements(name: str, **names: str) -> list[str]:
    text = "\n".join(line for line in _FOLDER.joinpath(name).read_text("utf-8").splitlines() if "--" not in line)
    return [statement.strip() for statement in text.format(**names).split(";") if statement.strip()]
