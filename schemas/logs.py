"""Logs: one event name and its fields per line, to standard output; text on a terminal, JSON otherwise.

Never a payload, never a token.  The libraries' own loggers come out the same way, from level warning on.
"""

import logging
import sys
from typing import Literal

import structlog

_SHARED: list[structlog.types.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]
# Local variables may hold a token or a payload.
_TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))

OWN = ("ingress", "stream", "sink", "deploy", "schemas")
REPEAT_SECONDS = 10.0
MAX_MESSAGES = 1_000


class _Seldom(logging.Filter):
    """Passes a library's message once in REPEAT_SECONDS: aiokafka says tens of times a second that Kafka is away."""

    def __init__(self) -> None:
        super().__init__()
        self._passed: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.split(".", 1)[0] in OWN:
            return True
        message = (record.name, str(record.msg))
        if record.created - self._passed.get(message, 0.0) < REPEAT_SECONDS:
            return False
        if len(self._passed) >= MAX_MESSAGES:
            self._passed.clear()
        self._passed[message] = record.created
        return True


def configure(process: str, level: str, style: Literal["auto", "text", "json"]) -> None:
    """Send all logging of this process to standard output; every line carries the process's name."""
    as_text = style == "text" or (style == "auto" and sys.stdout.isatty())
    renderers: list[structlog.types.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if as_text
        else [_TRACEBACKS, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    handler.addFilter(_Seldom())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for own in OWN:
        logging.getLogger(own).setLevel(level.upper())
    structlog.contextvars.bind_contextvars(process=process)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of one module; `name` is its `__name__`."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
