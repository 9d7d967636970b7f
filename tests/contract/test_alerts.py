"""Alert rules, runbook and metrics agree."""

import re

from prometheus_client.metrics import MetricWrapperBase

from schemas import metrics
from tests.contract.reference import DOCS

RULES = (DOCS.parent / "deploy/prometheus/alerts.yaml").read_text("utf-8")


def test_alert_when_it_fires() -> None:
    """Each alert names its own section of the runbook, and each section is of an alert."""
    alerts = re.findall(r"- alert: (\w+)", RULES)

    assert re.findall(r"runbook: docs/runbook\.md#(\w+)", RULES) == [alert.lower() for alert in alerts]
    assert re.findall(r"^## (\w+)", (DOCS / "runbook.md").read_text("utf-8"), re.MULTILINE) == alerts


def test_alert_when_it_is_evaluated() -> None:
    """It asks for metrics that exist."""
    declared = [metric for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase)]
    names = {described.name for metric in declared for described in metric.describe()}

    asked = set(re.findall(r"eventsapi_\w+", RULES))
    assert asked
    assert {name.removesuffix("_total") for name in asked} <= names
