"""Estimates with intervals over trials, and claims with verdicts by rules fixed before the runs.

A claim is declared (`Claim`, of `Statistic`s); on results it has a `Standing`, whose `Part`s are measured.
"""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy.special import stdtr, stdtrit  # of Student's t, where scipy.stats would take a second to import


@dataclass(frozen=True)
class Estimate:
    """A mean over n trials and its 95 % interval."""

    mean: float
    low: float
    high: float
    n: int

    def text(self, scale=1.0, digits=1) -> str:
        """For example 61.2 [59.9, 62.5]."""
        return f"{self.mean * scale:z.{digits}f} {self.interval(scale, digits)}"

    def interval(self, scale=1.0, digits=1) -> str:
        """For example [59.9, 62.5]."""
        if self.n == 1 and math.isinf(self.low):
            return "(of one: no interval)"
        if self.n == 2:  # thirteen standard errors to a side
            return "(of two: no interval)"
        return f"[{self.low * scale:z.{digits}f}, {self.high * scale:z.{digits}f}]"


MORE_DIGITS = 3  # at most, to show on which side of a limit an end of an interval lies
LEVEL = 0.05  # of every interval and of every test
# metrics of 0 to 1, by their names
SHARE = re.compile(r"(agreement|accuracy|ece|_top(_real|_\d)?|(cka|columns|places)\d)$")
RESAMPLES = 10_000


def resampled(values) -> np.ndarray:
    """Means of bootstrap samples of trials [n] -> [RESAMPLES], the same for equal values."""
    values = np.asarray(values, dtype=float)
    return values[np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))].mean(1)


def estimate(values, confidence: float = 1 - LEVEL, bound: float = math.inf) -> Estimate:
    """Mean and Student-t interval of independent trials [n]; one trial alone says nothing about the spread. ValueError
    unless all are finite.

    `bound`: no value can lie beyond +-bound, as of a share +-1. Where the t-interval would, trials near the bound are
    skewed, and the interval is the bootstrap's (percentiles of the means of resampled trials).

    >>> estimate([0.1, 0.2, 0.3]).text(100)
    '20.0 [-4.8, 44.8]'
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise ValueError("an estimate needs a row of finite values, one per trial")
    n, mean = len(values), float(values.mean())
    if n == 1:
        return Estimate(mean, -math.inf, math.inf, 1)
    half = _half(values, confidence)
    if abs(mean) + half > bound:
        low, high = np.quantile(resampled(values), (0.5 - confidence / 2, 0.5 + confidence / 2))
        return Estimate(mean, float(low), float(high), n)
    return Estimate(mean, mean - half, mean + half, n)


def bound_of(metric: str) -> float:
    """What neither a metric nor a difference of two lies beyond, for `estimate`: 1 if it is a share."""
    return 1.0 if SHARE.search(metric) else math.inf


def percent(shares, digits: int = 1) -> str:
    """The estimate of shares, or of differences of shares, as text in percent: none lies beyond 100."""
    return estimate(shares, bound=1.0).text(100, digits)


def telling_digits(e: Estimate, limits: Collection[float], scale: float = 1.0, digits: int = 1) -> int:
    """How many digits show on which side of each limit the ends of an interval lie: `digits`, or as many more (at most
    MORE_DIGITS) as that takes. An end that none of these tell from a limit does not count.

    >>> e = Estimate(-0.0069, -0.0104, -0.0034, 5)
    >>> e.text(100, telling_digits(e, [-0.01], 100))  # and not [-1.0, -0.3], as if -1 were no part of it
    '-0.69 [-1.04, -0.34]'
    """
    def tells(shown, end, limit):
        return np.sign(float(f"{end * scale:.{shown}f}") - float(f"{limit * scale:g}")) == np.sign(end - limit)

    allowed = range(digits, digits + MORE_DIGITS + 1)
    pairs = [(end, limit) for end in (e.low, e.high) if math.isfinite(end) for limit in limits
             if tells(allowed[-1], end, limit)]
    return next(shown for shown in allowed if all(tells(shown, *pair) for pair in pairs))


def _half(values, confidence: float = 1 - LEVEL) -> float:
    """Half the t-interval of two trials or more."""
    n = len(values)
    return float(stdtrit(n - 1, 0.5 + confidence / 2) * values.std(ddof=1) / math.sqrt(n))


def half_intervals(here, there, whole: Estimate) -> float:
    """How far the means of the same trials lie apart, in half-widths of the interval over all."""
    apart = abs(float(np.mean(here) - np.mean(there)))
    return 0.0 if apart == 0 else apart / (whole.high - whole.mean) if whole.high > whole.mean else math.inf


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
# shares, shown times 100; shares and correlations, shown as they are; of KL and losses; a ratio
Unit = Literal["points", "share", "nats", ""]
BOUNDED: tuple[Unit, ...] = ("points", "share")  # none is beyond +-1


@dataclass(frozen=True)
class Part:
    """One statistic of a claim, measured: values [trials], and the rule that they must meet."""

    label: str
    values: np.ndarray
    side: Side
    threshold: float
    unit: Unit

    @property
    def bound(self) -> float:
        """What no value can lie beyond."""
        return 1.0 if self.unit in BOUNDED else math.inf

    @property
    def estimate(self) -> Estimate:
        """The mean over trials and its interval."""
        return estimate(self.values, bound=self.bound)

    @property
    def limits(self) -> tuple[float, ...]:
        """What parts the side that is asked for from the others."""
        return (-self.threshold, self.threshold) if self.side == "within" else (self.threshold,)

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

    def _p(self, limit: float, above: bool) -> float:
        """Two-sided p of the mean lying above (or below) `limit`; below LEVEL if and only if the interval does."""
        sign, n = 1 if above else -1, len(self.values)
        if n == 1:
            return 1.0
        if abs(self.values.mean()) + _half(self.values) > self.bound:  # as in `estimate`
            wrong = (sign * (resampled(self.values) - limit) <= 0).mean()
            return float(np.clip(2 * wrong, 2 / RESAMPLES, 1))
        distance, error = sign * (self.values.mean() - limit), self.values.std(ddof=1) / math.sqrt(n)
        if error == 0:
            return 0.0 if distance > 0 else 1.0
        return float(min(1.0, 2 * stdtr(n - 1, -distance / error)))

    @property
    def p_holds(self) -> float:
        """Two-sided p of what the claim says of this part."""
        if self.side == "within":
            return max(self._p(-self.threshold, True), self._p(self.threshold, False))
        return self._p(self.threshold, self.side == "above")

    @property
    def p_fails(self) -> float:
        """Two-sided p of the contrary."""
        if self.side == "within":
            return min(self._p(self.threshold, True), self._p(-self.threshold, False))
        return self._p(self.threshold, self.side != "above")

    def row(self) -> dict:
        """As a row of a table: shares in points, by their unit; with as many digits as its verdict takes."""
        scale, digits = (100, 1) if self.unit == "points" else (1, 3)
        if (self.unit == "points" and 0 < abs(self.threshold) < 0.005) or "per " in self.label:
            digits = 2
        e = self.estimate
        digits = telling_digits(e, self.limits, scale, digits)
        low, high = (f"{value * scale:z.{digits}f}" for value in (e.low, e.high))
        return {"statistic": self.label, "estimate": f"{e.mean * scale:z.{digits}f}",
                "interval": e.interval(scale, digits), "n": e.n, "rule": rule(self), "verdict": self.verdict,
                "excluded": "" if self.verdict != "undecided" else "nothing" if e.n == 1 else
                f"less than {low} and more than {high}"}


@dataclass(frozen=True)
class Statistic:
    """One statistic of a claim, declared: `values`, [trials], are a function of results; the claim asks that they lie
    "above" or "below" the threshold, or "within" +- it. In `label`, {words} stand for what a profile decides
    (`design.Results.words`)."""

    label: str
    values: Callable[[Any], np.ndarray]
    side: Side
    threshold: float
    unit: Unit

    def on(self, results) -> Part:
        """As measured on results."""
        return Part(self.label.format(**results.words), self.values(results), self.side, self.threshold, self.unit)


def rule(of: Part | Statistic) -> str:
    """What it asks for, for example > 5 points."""
    sign = {"above": ">", "below": "<", "within": "within ±"}[of.side]
    scale, unit = {"points": (100, " points"), "nats": (1, " nats")}.get(of.unit, (1, ""))
    return f"{sign} {of.threshold * scale:g}{unit}"


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
    before: tuple[Statistic, ...] = ()  # an earlier rule, kept beside the one that took its place
    why: str = ""  # what was wrong with it, or why the claim was added

    def on(self, results) -> "Standing":
        """As results decide it; what the results lack, they raise."""
        return self.stands(results, tuple(statistic.on(results) for statistic in self.statistics))

    def stands(self, results, parts: tuple[Part, ...] = (), reason: str = "",
               absent: Mapping[str, str] | None = None) -> "Standing":
        """With these parts, or none for a reason; `absent`: the statistics that have no number, and why."""
        statement, source = (text.format(**results.words) for text in (self.statement, self.source))
        rules = tuple((s.label.format(**results.words), rule(s)) for s in self.statistics)
        return Standing(self.id, statement, source, self.found, parts, reason, absent or {}, rules=rules)


@dataclass(frozen=True)
class Standing:
    """A claim and where it stands; without parts it is not tested, for a reason.

    It holds if every part does, and none is absent: the largest of their p decides. It does not hold if any part does
    not: the smallest decides, times the number of parts (Bonferroni), since each was a chance to fail."""

    id: str
    statement: str
    source: str
    found: str
    parts: tuple[Part, ...] = ()
    reason: str = ""
    absent: Mapping[str, str] = field(default_factory=dict)  # labels of statistics that have no number, and why
    corrected: str = ""  # the verdict beside all other claims (`holm`); "" where they are not all there
    rules: tuple[tuple[str, str], ...] = ()  # what it asks for, measured or not: (("gap, x33", "> 5 points"),)
    earlier: "Standing | None" = None  # where it stands by the rule that it had before

    @property
    def tested(self) -> bool:
        """Whether it has a verdict."""
        return bool(self.parts)

    @property
    def p_holds(self) -> float:
        """Of all parts together; 1 where one is absent."""
        return 1.0 if self.absent else max((part.p_holds for part in self.parts), default=1.0)

    @property
    def p_fails(self) -> float:
        """That some part does not hold, corrected for their number."""
        return min(1.0, len(self.parts) * min((part.p_fails for part in self.parts), default=1.0))

    @property
    def p(self) -> float:
        """Of whichever verdict is nearer."""
        return min(self.p_holds, self.p_fails)

    @property
    def verdict(self) -> str:
        """That of all parts: "holds", "does not hold", "undecided" or "not tested"."""
        if not self.tested:
            return "not tested"
        if self.p >= LEVEL:
            return "undecided"
        return "holds" if self.p_holds < self.p_fails else "does not hold"

    @property
    def reasons(self) -> list[str]:
        """Why there is no verdict, or why it is not what those of the statistics alone would say."""
        found = [] if self.tested else [self.reason]
        if self.absent:
            without = "; ".join(f"{label} ({why})" for label, why in self.absent.items())
            found.append(f"Without a number here, so that the claim may fail but not hold: {without}.")
        n, fail = len(self.parts), sum(part.verdict == "does not hold" for part in self.parts)
        if fail and self.verdict == "undecided":
            some = "one fails by itself" if fail == 1 else f"{fail} fail by themselves"
            found.append(f"Of {n} statistics {some}; but each of the {n} was a chance to fail, and the smallest p "
                         f"times {n} is not below {100 * LEVEL:g} %.")
        return found

    def to_rows(self) -> list[dict]:
        """A row of a table for each part."""
        return [{"id": self.id, "statement": self.statement} | part.row() for part in self.parts]


def holm(claims: Iterable[Standing]) -> dict[str, str]:
    """Verdicts by id when all claims are judged together (Holm, 1979): from the smallest p on each is multiplied by how
    many are left, until one is not below LEVEL; that and all later ones are undecided."""
    claims = list(claims)
    found = {claim.id: "not tested" for claim in claims}
    tested, stands = sorted((claim for claim in claims if claim.tested), key=lambda claim: claim.p), True
    for i, claim in enumerate(tested):
        stands = stands and claim.p * (len(tested) - i) < LEVEL
        found[claim.id] = claim.verdict if stands else "undecided"
    return found
