"""What is printed once everything works: what to do next, ready to be copied."""

import os
import shutil
import sys
from pathlib import Path

from deploy.local.demo_token import TEAM, read_token
from deploy.local.first_user import FirstUser
from deploy.local.state import State

_EVENT = '{"version": 1, "type": "event", "event": "Purchased an Item", "properties": {"revenue": "39.95"}}'
_QUERY = f"SELECT event, occurred_at, properties FROM {TEAM}.events FORMAT Vertical"  # noqa: S608 - a constant


def summary(state: State, user: FirstUser | None, *, detached: bool, secrets: bool) -> str:
    """Addresses and the next commands; the whole token only where `secrets` may be shown, as on a terminal.

    `user` is what there is to say while nobody has signed up.
    """
    layout = state.layout
    token = read_token(layout.token) or ""
    command = _command()
    folder = "" if _is_default(layout.data_dir) else f" --data-dir {_short(layout.data_dir)}"
    stop = f"{command} down{folder}" if detached else "Ctrl-C"
    lines = {
        "API": f"{state.addresses.api}   Kafka {state.addresses.kafka}   ClickHouse {state.addresses.clickhouse}",
        "Token": f"{token if secrets else f'{token[:8]}…{token[-4:]}'}   (team {TEAM}; in {_short(layout.token)})",
        "Console": _console(state.addresses.console, user, command),
        "Send an event": f'eval "$({command} env{folder})"',
        "": f'curl "$EVENTS_API_URL/v1/event" -H "X-Auth-Token: $EVENTS_TOKEN" '
        f"-H \"Content-Type: application/json\" -d '{_EVENT}'",
        "Read it back": f"curl \"$CLICKHOUSE_URL\" -d '{_QUERY}'",
        "Your own team": f"{command} team create acme && {command} token create acme",
        "See what runs": f"{command} status{folder}   (logs in {_short(layout.logs)})",
        "Stop": f"{stop}.  Data stays in {_short(layout.data_dir)}; `{command} down{folder} --delete-data` removes it.",
    }
    return "\n".join(f"{name:<20} {text}" for name, text in lines.items())


def _console(address: str, user: FirstUser | None, command: str) -> str:
    if user is None:
        return address
    if user.link is None:
        return f"{address}   (`{command} user setup` prints the link to your Owner account)"
    return f"{user.link}   (once; opens your Owner account for team {TEAM})"


def _command() -> str:
    """How this command was called, in the shortest way that works from here."""
    called = Path(sys.argv[0]).absolute()
    if (found := shutil.which("events")) and Path(found).absolute() == called:
        return "events"
    return _short(called) if called.name == "events" else "events"


def _is_default(data_dir: Path) -> bool:
    return data_dir == Path(os.environ.get("EVENTS_DATA_DIR") or ".events").absolute()


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
