"""The arithmetic of the benchmarks."""

from tests.bench.figures import Comparison, percentile


def test_comparison_when_ratio_is_short_of_target() -> None:
    """The ratio is taken repetition by repetition, and a missed target says so."""
    comparison = Comparison("sink", "plain", ours=[100, 300, 90], theirs=[100, 200, 100], target=1.1)

    assert comparison.ratios == [1.0, 1.5, 0.9]
    assert comparison.row().endswith("| 0.90 / 1.00 / 1.50 | ≥ 1.1 **missed** |")


def test_percentile_when_nearest_rank() -> None:
    """The 99th percentile of a hundred figures is the largest."""
    assert (percentile(range(100), 0.99), percentile(range(100), 0.5)) == (99, 50)
