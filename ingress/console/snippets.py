"""Lines to copy into a terminal.  Pure."""

import json
import shlex
from urllib.parse import quote

FIRST_EVENT = "My first event"


def curl_line(api_url: str, token: str, event: str = FIRST_EVENT) -> str:
    """One event by curl, ready to run in any POSIX shell; with `token` in it, it is as secret as that."""
    body = json.dumps(
        {"version": 1, "type": "event", "event": event, "properties": {"hello": "world"}}, separators=(",", ":")
    )
    return " \\\n  ".join(
        [
            f"curl {shlex.quote(api_url + '/v1/event')}",
            f"-H {shlex.quote(f'X-Auth-Token: {token}')}",
            "-H 'Content-Type: application/json'",
            f"-d {shlex.quote(body)}",
        ]
    )


def register_line(console_url: str, token: str, subject: str) -> str:
    """A schema registered by curl; the token is one that may change schemas."""
    fields = [{"name": "revenue", "type": ["null", "double"], "default": None}]
    schema = json.dumps({"type": "record", "name": "Order", "fields": fields}, separators=(",", ":"))
    url = f"{console_url}/registry/subjects/{quote(subject, safe='')}/versions"
    return " \\\n  ".join(
        [
            f"curl {shlex.quote(url)}",
            f"-u {shlex.quote(f'{token}:')}",
            f"-d {shlex.quote(json.dumps({'schema': schema}))}",
        ]
    )


def infer_line(team: str, event: str) -> str:
    """A schema proposed from the events that there are."""
    return f"events schema infer {team} {shlex.quote(event)} > schema.avsc"
