"""Lines to copy into a terminal.  Pure."""

import json
import shlex

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
