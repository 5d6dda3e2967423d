"""Estimates with intervals over trials, and claims with verdicts by rules fixed before the runs.

A claim is declared (`Claim`, of `Statistic`s); on results it has a `Standing`, whose `Part`s are measured.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import stdtrit  # the quantile of Student's t, where scipy.stats would take a second to import


@dataclass(frozen=True)
class Estimate:
    """A mean over n trials and its 95 % interval."""

    mean: float
    low: float
    high: float
    n: int

    def text(self, scale=1.0, digits=1) -> str:
        """For example 61.2 [59.9, 62.5]."""
        return f"{self.mean * scale:.{digits}f} {self.interval(scale, digits)}"

    def interval(self, scale=1.0, digits=1) -> str:
        """For example [59.9, 62.5]."""
        if self.n == 1 and math.isinf(self.low):
            return "(one trial: no interval)"
        return f"[{self.low * scale:.{digits}f}, {self.high * scale:.{digits}f}]"


def estimate(values, confidence: float = 0.95) -> Estimate:
    """Mean and Student-t interval of independent trials [n]; one trial alone says nothing about the spread. ValueError
    unless all are finite."""
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise ValueError("an estimate needs a row of finite values, one per trial")
    n, mean = len(values), float(values.mean())
    if n == 1:
        return Estimate(mean, -math.inf, math.inf, 1)
    half = float(stdtrit(n - 1, 0.5 + confidence / 2) * values.std(ddof=1) / math.sqrt(n))
    return Estimate(mean, mean - half, mean + half, n)


def slope(x, ys) -> np.ndarray:
    """Least-squares slope in each trial: x [k], ys [trials, k] -> [trials]."""
    x = np.asarray(x, dtype=float)
    x = x - x.mean()
    return np.asarray(ys, dtype=float) @ x / (x @ x)


def rank_correlation(one, other) -> float:
    """Spearman's, of two rows [k]: the correlation of their ranks, of which equal values share the mean."""
    def ranks(x):
        _, place, count = np.unique(x, return_inverse=True, return_counts=True)
        return (np.cumsum(count) - (count - 1) / 2)[place]

    return float(np.corrcoef(ranks(one), ranks(other))[0, 1])


def leave_one_out_best(scores) -> np.ndarray:
    """[trials, items] -> [trials]: the item with the highest mean over the OTHER trials.

    What is chosen on one trial and judged on the same one is flattered; this is not.
    """
    scores = np.asarray(scores, dtype=float)
    if len(scores) < 2:
        return scores.argmax(1)
    return (scores.sum(0) - scores).argmax(1)


Side = Literal["above", "below", "within"]
Unit = Literal["points", "nats", ""]  # shares, shown times 100; of KL and losses; a ratio or a correlation


@dataclass(frozen=True)
class Part:
    """One statistic of a claim, measured: values [trials], and the rule that they must meet."""

    label: str
    values: np.ndarray
    side: Side
    threshold: float
    unit: Unit

    @property
    def estimate(self) -> Estimate:
        """The mean over trials and its interval."""
        return estimate(self.values)

    @property
    def verdict(self) -> str:
        """Where the interval lies: on the side that is claimed ("holds"), the other ("does not hold"), both."""
        e, limit = self.estimate, self.threshold
        if self.side == "within":
            inside, outside = -limit < e.low and e.high < limit, e.low > limit or e.high < -limit
        elif self.side == "above":
            inside, outside = e.low > limit, e.high < limit
        elif self.side == "below":
            inside, outside = e.high < limit, e.low > limit
        else:
            raise ValueError(f"unknown side {self.side!r}; there are above, below and within")
        return "holds" if inside else "does not hold" if outside else "undecided"

    @property
    def trials_to_decide(self) -> int | None:
        """How many trials would decide an undecided part if their mean and spread stayed what they are."""
        n, e = len(self.values), self.estimate
        if self.verdict != "undecided" or n < 2:
            return None
        limits = (-self.threshold, self.threshold) if self.side == "within" else (self.threshold,)
        distance, spread = min(abs(e.mean - limit) for limit in limits), self.values.std(ddof=1)
        while n <= 10_000 and stdtrit(n - 1, 0.975) * spread / math.sqrt(n) >= distance:
            n += 1
        return n

    def row(self) -> dict:
        """As a row of a table: shares in points, by their unit."""
        scale, digits = (100, 1) if self.unit == "points" else (1, 3)
        if (self.unit == "points" and 0 < abs(self.threshold) < 0.005) or "per " in self.label:
            digits = 2
        sign = {"above": ">", "below": "<", "within": "within ±"}[self.side]
        e = self.estimate
        return {"statistic": self.label, "estimate": f"{e.mean * scale:.{digits}f}",
                "interval": e.interval(scale, digits), "n": e.n,
                "rule": f"{sign} {self.threshold * scale:g} {self.unit}".strip(), "verdict": self.verdict,
                "trials to decide": self.trials_to_decide}


@dataclass(frozen=True)
class Statistic:
    """One statistic of a claim, declared: `values`, [trials], are a function of results; the claim asks that they lie
    "above" or "below" the threshold, or "within" +- it. In `label`, {words} stand for what a profile decides
    (`results.words`)."""

    label: str
    values: Callable[[Any], np.ndarray]
    side: Side
    threshold: float
    unit: Unit

    def on(self, results) -> Part:
        """As measured on results."""
        return Part(self.label.format(**results.words), self.values(results), self.side, self.threshold, self.unit)


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, declared: all that is known of it before anything runs."""

    id: str
    chapter: str  # whose runs decide it
    statement: str
    source: str  # where the paper makes it
    found: str  # what the paper prints; "about" marks values read off a chart
    statistics: tuple[Statistic, ...]
    untested: str = ""  # why a profile that does not plan its runs cannot test it

    def on(self, results) -> "Standing":
        """As results decide it; what the results lack, they raise."""
        return self.stands(results, tuple(statistic.on(results) for statistic in self.statistics))

    def stands(self, results, parts: tuple[Part, ...] = (), reason: str = "") -> "Standing":
        """With these parts, or none for a reason."""
        statement, source = (text.format(**results.words) for text in (self.statement, self.source))
        return Standing(self.id, statement, source, self.found, parts, reason)


@dataclass(frozen=True)
class Standing:
    """A claim and where it stands: it holds if every part does, and does not if any part does not; without parts it is
    not tested, for a reason."""

    id: str
    statement: str
    source: str
    found: str
    parts: tuple[Part, ...] = ()
    reason: str = ""

    @property
    def tested(self) -> bool:
        """Whether it has a verdict."""
        return bool(self.parts)

    @property
    def verdict(self) -> str:
        """That of all parts: "holds", "does not hold", "undecided" or "not tested"."""
        verdicts = {part.verdict for part in self.parts}
        if not verdicts:
            return "not tested"
        if "does not hold" in verdicts:
            return "does not hold"
        return "holds" if verdicts == {"holds"} else "undecided"

    def to_rows(self) -> list[dict]:
        """A row of a table for each part."""
        return [{"id": self.id, "statement": self.statement} | part.row() for part in self.parts]
