"""`python -m ingress`: one process that does everything, or, with INGRESS_WORKERS, the supervisor of several."""

import asyncio
import sys

import uvloop

from ingress.process import run
from ingress.settings import IngressSettings
from ingress.workers import supervise


def main() -> int:
    """Run it and return the exit code."""
    return run("ingress", IngressSettings, _start)


def _start(settings: IngressSettings) -> None:
    if settings.ingress_workers > 1:
        asyncio.run(supervise(settings))
        return
    # A supervisor does without Kafka's and the accounts' libraries: it is there sooner, and stays small.
    from ingress.app import serve  # noqa: PLC0415

    uvloop.run(serve(settings))


if __name__ == "__main__":
    sys.exit(main())
