"""`python -m ingress.console`: the pages for Owners and operators."""

import sys

import uvloop

from ingress.console.app import serve
from ingress.console.settings import ConsoleSettings
from ingress.process import run


def main() -> int:
    """Run it and return the exit code."""
    return run("console", ConsoleSettings, lambda settings: uvloop.run(serve(settings)))


if __name__ == "__main__":
    sys.exit(main())
