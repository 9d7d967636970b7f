"""Figures of repeated measurements, and how they are printed."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ours against an alternative, measured in turn in one run.

    Attributes:
        ours: events or rows per second, one figure per repetition.
        theirs: the alternative's figures, in the same order.
        target: the ratio that ours / theirs should reach.
    """

    name: str
    alternative: str
    ours: Sequence[float]
    theirs: Sequence[float]
    target: float

    @property
    def ratios(self) -> list[float]:
        """Ours / theirs, repetition by repetition."""
        return [mine / other for mine, other in zip(self.ours, self.theirs, strict=True)]

    def row(self) -> str:
        """One line of a Markdown table."""
        reached = "reached" if median(self.ratios) >= self.target else "**missed**"
        rates = f"{spread(self.ours, '{:,.0f}')} | {spread(self.theirs, '{:,.0f}')}"
        ratios = spread(self.ratios, "{:.2f}")
        return f"| {self.name} | {self.alternative} | {rates} | {ratios} | ≥ {self.target} {reached} |"


COMPARISON_HEAD = (
    "| ours | alternative | ours per second | theirs per second | ratio | target (median) |\n|---|---|---|---|---|---|"
)


def spread(figures: Sequence[float], style: str) -> str:
    """Minimum, median and maximum."""
    return " / ".join(style.format(figure) for figure in (min(figures), median(figures), max(figures)))


def percentile(figures: Sequence[float], share: float) -> float:
    """The figure below which this share of all lies: nearest rank."""
    ordered = sorted(figures)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
