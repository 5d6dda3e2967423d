"""Intervals against scipy, verdict rules on both sides of every threshold."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from kdlib.stats import Claim, Part, Standing, Statistic, estimate, leave_one_out_best, rank_correlation, slope

VALUES = np.array([0.60, 0.62, 0.59, 0.65, 0.61])


def part(values, side="above", threshold=0.0, unit="points", label="x"):
    return Part(label, np.asarray(values, dtype=float), side, threshold, unit)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_the_interval_is_students_t(confidence):
    e = estimate(VALUES, confidence)
    low, high = scipy_stats.t.interval(confidence, 4, VALUES.mean(), scipy_stats.sem(VALUES))
    assert (e.mean, e.low, e.high, e.n) == pytest.approx((VALUES.mean(), low, high, 5))


def test_two_trials_by_hand():
    e = estimate([1.0, 3.0])  # mean 2, standard error 1, t(0.975, 1) = 12.7062
    assert (e.mean, e.low, e.high) == pytest.approx((2, 2 - 12.7062047, 2 + 12.7062047))


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rows = np.random.default_rng(0).normal(size=(2000, 5))
    covered = np.mean([e.low <= 0 <= e.high for e in map(estimate, rows)])
    assert covered == pytest.approx(0.95, abs=0.015)


def test_one_trial_is_undecided():
    e = estimate([0.7])
    assert (e.mean, e.low, e.high, e.n) == (0.7, -math.inf, math.inf, 1)
    assert {part([9.0], side).verdict for side in ("above", "below", "within")} == {"undecided"}


@pytest.mark.parametrize("values", [[], [0.1, math.nan], [0.1, math.inf], [[0.1, 0.2]]])
def test_values_without_an_estimate_are_errors(values):
    with pytest.raises(ValueError, match="an estimate needs a row of finite values"):
        estimate(values)


def test_an_estimate_as_text():
    e = estimate([0.61, 0.61])
    assert e.text(scale=100) == "61.0 [61.0, 61.0]"
    assert estimate([0.5]).text(digits=2) == "0.50 (one trial: no interval)"


def test_slope_equals_polyfit_in_every_trial():
    x, ys = [0.0, 1.0, 3.0, 3.5], np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_allclose(slope(x, ys), [np.polyfit(x, y, 1)[0] for y in ys])
    np.testing.assert_allclose(slope([1, 2, 4], [[5, 7, 11]]), [2])


def test_the_best_is_chosen_by_the_other_trials():
    # item 1 wins only through its own trial 0; without that trial item 0 is ahead
    scores = np.array([[0.5, 9.0], [0.6, 0.5], [0.6, 0.5]])
    assert leave_one_out_best(scores).tolist() == [0, 1, 1]


def test_choosing_among_equals_flatters_no_item():
    noise = np.random.default_rng(0).normal(size=(4000, 5, 8))
    chosen = np.mean([s[np.arange(5), leave_one_out_best(s)].mean() for s in noise])
    naive = np.mean([s.max(1).mean() for s in noise])
    assert abs(chosen) < 0.02 < 1 < naive


@pytest.mark.parametrize("side, threshold, values, verdict", [
    ("above", 0.0, [0.10, 0.11, 0.12], "holds"),
    ("above", 0.0, [-0.10, -0.11, -0.12], "does not hold"),
    ("above", 0.0, [-0.10, 0.11, 0.12], "undecided"),
    ("above", 0.2, [0.10, 0.11, 0.12], "does not hold"),
    ("below", 0.0, [-0.10, -0.11, -0.12], "holds"),
    ("below", 0.0, [0.10, 0.11, 0.12], "does not hold"),
    ("below", 0.11, [0.10, 0.11, 0.12], "undecided"),
    ("within", 0.2, [0.10, 0.11, 0.12], "holds"),
    ("within", 0.2, [-0.10, -0.11, -0.12], "holds"),
    ("within", 0.05, [0.10, 0.11, 0.12], "does not hold"),
    ("within", 0.05, [-0.10, -0.11, -0.12], "does not hold"),
    ("within", 0.11, [0.10, 0.11, 0.12], "undecided"),
    ("within", 0.2, [-0.9, 0.0, 0.9], "undecided"),  # wider than the band on both sides
])
def test_verdict_rules(side, threshold, values, verdict):
    assert part(values, side, threshold).verdict == verdict


@pytest.mark.parametrize("side, threshold", [("above", 0.0), ("below", 0.0), ("within", 0.05)])
def test_trials_to_decide_are_the_fewest_whose_interval_clears_the_threshold(side, threshold):
    few = part(np.tile([-0.09, 0.11], 3), side, threshold)
    needed = few.trials_to_decide

    def half(n):
        return scipy_stats.t.ppf(0.975, n - 1) * few.values.std(ddof=1) / math.sqrt(n)

    distance = 0.01 if threshold == 0 else 0.04
    assert half(needed) < distance <= half(needed - 1)
    assert part([0.10, 0.11, 0.12]).trials_to_decide is None


def test_an_unknown_side_is_an_error():
    with pytest.raises(ValueError, match="sideways"):
        _ = part([1, 2], "sideways").verdict


HOLDS, FAILS, OPEN = part([1.0, 1.1, 1.2]), part([-1.0, -1.1, -1.2]), part([-1.0, 1.0])


@pytest.mark.parametrize("parts, verdict", [
    ((HOLDS,), "holds"), ((HOLDS, HOLDS), "holds"), ((HOLDS, OPEN), "undecided"), ((OPEN,), "undecided"),
    ((HOLDS, FAILS), "does not hold"), ((OPEN, FAILS), "does not hold"), ((), "not tested"),
])
def test_a_claim_needs_all_its_parts(parts, verdict):
    assert Standing("X1", "a statement", "Fig 1a", "found", parts).verdict == verdict


def test_rows_say_what_was_measured_and_by_which_rule():
    claim = Standing("X1", "a statement", "Fig 1a", "found", (
        part([0.1, 0.1], "above", 0.05, label="gap"), part([0.02, 0.02], "within", 0.2, "nats", "kl")))
    first, second = claim.to_rows()
    assert first == {"id": "X1", "statement": "a statement", "statistic": "gap", "estimate": "10.0",
                     "interval": "[10.0, 10.0]", "n": 2, "rule": "> 5 points", "verdict": "holds",
                     "trials to decide": None}
    assert (second["estimate"], second["rule"], second["verdict"]) == ("0.020", "within ± 0.2 nats", "holds")


def test_of_one_trial_a_table_says_that_there_is_no_interval():
    row = part([0.5]).row()
    assert (row["interval"], row["verdict"], row["trials to decide"]) == ("(one trial: no interval)", "undecided", None)


class Made(dict):
    """Results as far as a claim reads them: values by name, and the words of a profile."""

    words = {"largest": 33}


GAP = Claim("X1", "a_chapter", "At x{largest} a gap remains", "Fig 1, x{largest}", "20 points", (
    Statistic("gap, x{largest}", lambda r: r["gap"], "above", 0.05, "points"),))


def test_a_declared_claim_is_measured_on_results_and_worded_by_their_profile():
    claim = GAP.on(Made(gap=np.array([0.1, 0.1])))
    assert (claim.statement, claim.source, claim.found) == ("At x33 a gap remains", "Fig 1, x33", "20 points")
    [row] = claim.to_rows()
    assert (row["statistic"], row["rule"], claim.verdict, claim.tested) == ("gap, x33", "> 5 points", "holds", True)


def test_a_claim_without_parts_says_why():
    claim = GAP.stands(Made(), reason="needs ImageNet")
    assert (claim.verdict, claim.reason, claim.tested, claim.to_rows()) == ("not tested", "needs ImageNet", False, [])


def test_results_that_lack_what_a_claim_reads_are_an_error():
    with pytest.raises(KeyError):
        GAP.on(Made())


@pytest.mark.parametrize("values", [2, 5, 1000])
def test_the_rank_correlation_is_spearmans_with_ties_or_without(values):
    for draw in range(20):
        a, b = np.random.default_rng(draw).integers(values, size=(2, 18))
        assert rank_correlation(a, b) == pytest.approx(scipy_stats.spearmanr(a, b).statistic, abs=1e-12)
