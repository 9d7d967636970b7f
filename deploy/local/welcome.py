"""What a start begins and ends with, on standard output and error."""

import sys

from deploy.local.options import Layout
from deploy.local.state import read_state
from deploy.local.summary import summary

TITLE = "Events API, everything on this machine"


def welcome(layout: Layout, *, detached: bool) -> None:
    """Print what to do next, to standard output."""
    if state := read_state(layout):
        sys.stdout.write(f"\n{summary(state, detached=detached, secrets=sys.stdout.isatty())}\n\n")
        sys.stdout.flush()
