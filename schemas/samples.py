"""Recent events of one name, as ClickHouse tells them: what schemas are proposed from and tried on.  Pure."""

import re
from base64 import b64decode

MAX_SAMPLE_BYTES = 64 << 10
"""Of what properties; larger ones are few, and a thousand of them would be a large answer."""
# ClickHouse keeps a text that looks like a time as one, and shows it so: in UTC, with nine digits or none.
_SHOWN_TIME = re.compile(rb'"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d{9})?)"')


def sample_statement(table: str, event: str, most: int, team: str = "") -> str:
    """What asks for the properties of the last events, newest first; `properties_of` reads each row's only cell.

    Args:
        table: a view of one team's events, or a table of all teams'.
        event: the name, any text.
        most: how many at most.
        team: whose events, in a table of all teams'; a checked slug.
    """
    of_team = f" AND team = '{team}'" if team else ""
    # In hexadecimal and base64 neither side needs an escape.
    return (
        f"SELECT base64Encode(sample) FROM (SELECT toJSONString(properties) AS sample FROM {table} "  # noqa: S608 - checked slugs, and numbers
        f"WHERE event = unhex('{event.encode().hex()}'){of_team} ORDER BY received_at DESC LIMIT {most:d}) "
        f"WHERE length(sample) <= {MAX_SAMPLE_BYTES}"
    )


def properties_of(cell: str | bytes) -> bytes:
    """The properties in a cell, as JSON."""
    return _SHOWN_TIME.sub(rb'"\1T\2Z"', b64decode(cell))
