"""ClickHouse DDL as lists of statements.  Every statement may be run again at any time.

The SQL itself is in `schemas/clickhouse/`; numbered files are applied in order.
"""

import re
from collections.abc import Sequence
from importlib.resources import files

from schemas.names import ALL_MAJORS
from schemas.registered import Version

_FOLDER = files("schemas").joinpath("clickhouse")
_SLUG = re.compile(r"[a-z][a-z0-9_]{0,62}")
_SHARED = "event_id, user_id, anonymous_id, occurred_at, sent_at, received_at, inserted_at, _raw_partition, _raw_offset"
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


def typed_table(database: str, version: Version) -> str:
    """The physical table of a version, as SQL names it."""
    return f"{database}.`{version.subject.team}.{version.table}`"


def typed_statements(version: Version, database: str) -> list[str]:
    """What makes the table and the view of a version, or adds to them what it is the first to have."""
    columns = [f"`{column.name}` {column.type}" for column in version.columns]
    return _statements(
        "typed.sql",
        database=database,
        team=version.subject.team,
        table=version.table,
        columns=",\n    ".join(columns),
        added=", ".join(f"ADD COLUMN IF NOT EXISTS {column}" for column in columns),
    )


def union_statement(versions: Sequence[Version]) -> str:
    """What makes the view over all majors of an event, of which it is given every version.

    A column that an earlier major has with another type is a column of its own there: `revenue_v1`.
    """
    by_major: dict[int, dict[str, str]] = {}
    tables: dict[int, str] = {}
    for version in sorted(versions, key=lambda each: (each.subject.major, each.number)):
        major = version.subject.major
        by_major.setdefault(major, {}).update({column.name: column.type for column in version.columns})
        tables[major] = version.table
    newest = by_major[max(by_major)]
    named = {
        major: {
            (name if newest.get(name, of) == of else f"{name}_v{major}"): (name, of) for name, of in columns.items()
        }
        for major, columns in by_major.items()
    }
    every = {shown: of for columns in named.values() for shown, (_, of) in columns.items()}
    team = versions[0].subject.team
    selects = []
    for major, columns in sorted(named.items()):
        cells = [f"{major} AS _major"]
        for shown, of in every.items():
            cells.append(
                f"stored.`{columns[shown][0]}` AS `{shown}`" if shown in columns else f"{_empty(of)} AS `{shown}`"
            )
        selects.append(f"SELECT {_SHARED}, {', '.join(cells)} FROM {team}.`{tables[major]}` AS stored")  # noqa: S608 - our own names
    return (
        f"CREATE OR REPLACE VIEW {team}.`{tables[min(tables)]}{ALL_MAJORS}` "
        f"DEFINER = CURRENT_USER SQL SECURITY DEFINER AS {' UNION ALL '.join(selects)}"
    )


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


def _empty(of: str) -> str:
    """What stands in a column of this type where there is no value."""
    return f"defaultValueOfTypeName('{of.replace(chr(39), chr(92) + chr(39))}')"
