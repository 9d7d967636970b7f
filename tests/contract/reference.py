"""Writes the generated pages of docs/ from the code; `python -m tests.contract.reference` brings them up to date."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client.metrics import MetricWrapperBase
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from deploy.local.clickhouse.settings import EndpointSettings
from ingress.console.settings import ConsoleSettings
from ingress.settings import IngressSettings
from schemas import metrics
from schemas.errors import ErrorCode
from sink.settings import SinkSettings
from stream.settings import StreamSettings

DOCS = Path(__file__).parents[2] / "docs"
PROCESSES: dict[str, type[BaseSettings]] = {
    "ingress": IngressSettings,
    "ingress.console": ConsoleSettings,
    "stream": StreamSettings,
    "sink": SinkSettings,
    "deploy.local.clickhouse": EndpointSettings,
}


def errors_page() -> str:
    """The closed list of codes."""
    rows = [f"| `{code}` | {code.status} | {code.meaning} |" for code in ErrorCode]
    return "\n".join(
        [
            "# Error codes",
            "",
            "The same word stands in the HTTP body, the dead letter's header `reason` and the metrics.  The message",
            "beside it says what to do; `field` names the member or header at fault.",
            "",
            "| code | HTTP status | what is wrong |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def metrics_page() -> str:
    """Every metric with its type and labels."""
    declared = [metric for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase)]
    rows = [_metric_row(metric) for metric in declared]
    head = [
        "# Metrics",
        "",
        "Prometheus, on each process's own metrics port.",
        "",
        "| name | type | labels | what |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *rows, ""])


def _metric_row(metric: MetricWrapperBase) -> str:
    (described,) = metric.describe()
    suffix = "_total" if described.type == "counter" else ""
    labels = ", ".join(f"`{label}`" for label in metric._labelnames) or "–"
    return f"| `{described.name}{suffix}` | {described.type} | {labels} | {described.documentation} |"


def configuration_page() -> str:
    """Every setting, shared ones once."""
    lines = [
        "# Configuration",
        "",
        "Environment variables, read once at start; all problems are reported together.",
        "",
    ]
    shared = set.intersection(*(set(kind.model_fields) for kind in PROCESSES.values()))
    lines += _settings_table("Every process", next(iter(PROCESSES.values())), lambda name: name in shared)
    for process, kind in PROCESSES.items():
        lines += _settings_table(f"`python -m {process}`", kind, lambda name: name not in shared)
    return "\n".join(lines)


def _settings_table(title: str, kind: type[BaseSettings], wanted: Callable[[str], bool]) -> list[str]:
    rows = [
        f"| `{name.upper()}` | {_default(field.get_default(call_default_factory=True))} | {field.description or '–'} |"
        for name, field in kind.model_fields.items()
        if wanted(name)
    ]
    return [f"## {title}", "", "| variable | default | what |", "|---|---|---|", *rows, ""]


def _default(value: Any) -> str:
    if value is None or value in ("", ()):
        return "–"
    return f"`{value.get_secret_value() if isinstance(value, SecretStr) else value}`"


PAGES: dict[str, Callable[[], str]] = {
    "configuration.md": configuration_page,
    "errors.md": errors_page,
    "metrics.md": metrics_page,
}

if __name__ == "__main__":
    for name, render in PAGES.items():
        (DOCS / name).write_text(render(), "utf-8")
