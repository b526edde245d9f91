"""Histograms of durations, for the percentiles of INFO and for LATENCY HISTOGRAM."""

from __future__ import annotations

from collections import defaultdict
from math import ceil, log2

# Buckets for each doubling: a percentile is right to a fifth.
_STEPS_PER_DOUBLING = 4


class Histogram:
    """How often something took how long, in buckets that grow by a fifth each."""

    __slots__ = ("counts", "samples")

    def __init__(self) -> None:
        self.counts: defaultdict[int, int] = defaultdict(int)
        self.samples = 0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[_bucket_of(seconds)] += 1
        self.samples += 1

    def percentile(self, percent: float) -> float:
        """The microseconds within which so many percent of the durations were."""
        wanted = self.samples * percent / 100
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                break
        return _end_of(bucket)

    def powers_of_two(self, total: int) -> dict[int, int]:
        """How many of `total` took up to 1, 2, 4 … microseconds, from the first that is
        not zero to the one that has all.
        """
        seen = 0
        found: dict[int, int] = {}
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            power = -(-bucket // _STEPS_PER_DOUBLING)
            found[2**power] = seen * total // self.samples
        return found


def _bucket_of(seconds: float) -> int:
    """The first bucket whose end is not below a duration; the first ends at 1 µs."""
    microseconds = seconds * 1_000_000
    return 0 if microseconds <= 1 else ceil(log2(microseconds) * _STEPS_PER_DOUBLING)


def _end_of(bucket: int) -> float:
    """Where a bucket ends, in microseconds."""
    return float(2 ** (bucket / _STEPS_PER_DOUBLING))
