"""What a start begins and ends with, on standard output and error."""

import os
import sys

from deploy.local.demo_token import TEAM
from deploy.local.first_user import first_user
from deploy.local.options import Layout
from deploy.local.plan import local_accounts_url
from deploy.local.state import read_state
from deploy.local.summary import summary

TITLE = "Events API, everything on this machine"


def welcome(layout: Layout, *, detached: bool) -> None:
    """Print what to do next, to standard output."""
    if state := read_state(layout):
        secrets, url = sys.stdout.isatty(), os.environ.get("ACCOUNTS_URL") or local_accounts_url(layout)
        user = first_user(url, state.addresses.console, TEAM, make_link=secrets)
        sys.stdout.write(f"\n{summary(state, user, detached=detached, secrets=secrets)}\n\n")
        sys.stdout.flush()
