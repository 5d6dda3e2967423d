"""Intervals against scipy, verdict rules on both sides of every threshold."""

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats as scipy_stats

from kdlib.stats import (
    LEVEL,
    Claim,
    Estimate,
    Part,
    Standing,
    Statistic,
    estimate,
    half_intervals,
    holm,
    leave_one_out_best,
    rank_correlation,
    slope,
    telling_digits,
)

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
    e = estimate([0.61, 0.61, 0.61])
    assert e.text(scale=100) == "61.0 [61.0, 61.0]"
    assert estimate([0.5]).text(digits=2) == "0.50 (of one: no interval)"


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


@pytest.mark.parametrize("side, threshold, mean", [
    (side, threshold, mean) for side, threshold in (("above", 0.0), ("below", 0.02), ("within", 0.05))
    for mean in (-0.2, -0.05, -0.01, 0.0, 0.03, 0.06, 0.2)])
def test_a_part_holds_or_fails_where_its_p_is_below_the_level(side, threshold, mean):
    each = part(mean + np.array([-0.03, 0.01, 0.0, 0.02]), side, threshold)
    assert each.verdict == ("holds" if each.p_holds < LEVEL else "does not hold" if each.p_fails < LEVEL
                            else "undecided")


def test_the_p_of_a_part_is_that_of_a_t_test():
    values = np.array([0.10, 0.02, 0.07, 0.05])
    assert part(values, "above", 0.01).p_holds == pytest.approx(scipy_stats.ttest_1samp(values, 0.01).pvalue)
    low, high = (scipy_stats.ttest_1samp(values, limit, alternative=side).pvalue
                 for limit, side in ((-0.1, "greater"), (0.1, "less")))
    assert part(values, "within", 0.1).p_holds == pytest.approx(2 * max(low, high))  # two one-sided tests
    assert part([0.1], "above").p_holds == 1 and part([0.1, 0.1], "above").p_holds == 0


def test_no_interval_of_a_share_passes_100_percent_and_verdict_and_p_agree_there():
    values = np.array([1.0, 1.0, 1.0, 0.94, 1.0])
    assert estimate(values).high > 1 >= part(values).estimate.high
    rng = np.random.default_rng(0)
    means = rng.choice(values, (20_000, 5)).mean(1)
    e = part(values).estimate
    assert (e.low, e.high) == pytest.approx(tuple(np.quantile(means, (0.025, 0.975))), abs=1e-9)
    for limit in (0.9, 0.97, 0.985, 0.9999, 1.0):
        each = part(values, "above", limit)
        assert (each.verdict == "holds") == (each.p_holds < LEVEL)
        assert (each.verdict == "does not hold") == (each.p_fails < LEVEL)
    assert part(values, unit="nats").estimate == estimate(values)  # a divergence has no such bound


def test_an_undecided_part_says_what_is_excluded():
    assert part([-0.1, 0.11, 0.12]).row()["excluded"] == "less than -26.5 and more than 35.2"
    assert part([0.5]).row()["excluded"] == "nothing" and part([0.1, 0.11, 0.12]).row()["excluded"] == ""


@pytest.mark.parametrize("side, threshold", [("above", 0.0), ("above", -0.01), ("below", 0.9), ("within", 0.01)])
@pytest.mark.parametrize("off, more", [(5, 0), (0.4, 1), (0.04, 2), (0.004, 3)])
def test_a_row_shows_on_which_side_of_its_threshold_an_interval_ends(side, threshold, off, more):
    """An end that is `off` the threshold, in units of the last digit that there usually is, takes so many more."""
    usually = ("points", 100, 1), ("share", 1, 3), ("nats", 1, 3)
    for (unit, scale, usual), end, sign in product(usually, ("low", "high"), (-1, 1)):
        values = np.array([-0.002, 0, 0.002])
        values += threshold + sign * off * 10.0**-usual / scale - getattr(estimate(values), end)
        measured = part(values, side, threshold, unit)
        row, e = measured.row(), measured.estimate
        shown = row["interval"].strip("[]").split(", ")
        for told, true in zip(shown, (e.low, e.high), strict=True):
            assert np.sign(round(float(told) - scale * threshold, 9)) == np.sign(true - threshold)
        assert {len(number.partition(".")[2]) for number in (*shown, row["estimate"])} == {usual + more}
        assert row["excluded"] in ("", f"less than {shown[0]} and more than {shown[1]}")


def test_an_end_too_near_to_its_limit_for_any_digit_does_not_hide_on_which_side_the_other_lies():
    e = Estimate(0.0, -0.0104, 0.0099999999, 5)
    assert e.text(100, telling_digits(e, [-0.01, 0.01], 100)) == "0.00 [-1.04, 1.00]"


def test_no_digit_is_added_that_would_show_nothing():
    for values, shown in (([0.5] * 3, "0.500 [0.500, 0.500]"), ([0.5 + 1e-9] * 3, "0.500 [0.500, 0.500]")):
        row = part(values, "above", 0.5, "share").row()
        assert f"{row['estimate']} {row['interval']}" == shown


def test_an_unknown_side_is_an_error():
    with pytest.raises(ValueError, match="sideways"):
        _ = part([1, 2], "sideways").verdict


HOLDS, FAILS, OPEN = part([1.0, 1.1, 1.2]), part([-1.0, -1.1, -1.2]), part([-1.0, 1.0])
FAILS_ALONE = part([-0.26, -0.2, -0.13, -0.07, -0.01])  # p = .04


@pytest.mark.parametrize("parts, verdict", [
    ((HOLDS,), "holds"), ((HOLDS, HOLDS), "holds"), ((HOLDS, OPEN), "undecided"), ((OPEN,), "undecided"),
    ((HOLDS, FAILS), "does not hold"), ((OPEN, FAILS), "does not hold"), ((), "not tested"),
])
def test_a_claim_needs_all_its_parts(parts, verdict):
    assert Standing("X1", "a statement", "Fig 1a", "found", parts).verdict == verdict


def test_of_several_parts_one_that_fails_counts_as_often_as_there_were_chances_to():
    fails = part([-0.04, -0.3, -0.15, -0.2])
    assert LEVEL / 3 < fails.p_fails < LEVEL and fails.verdict == "does not hold"
    alone, among = (Standing("X1", "", "", "", parts) for parts in ((fails,), (fails, HOLDS, HOLDS)))
    assert alone.verdict == "does not hold" and alone.p_fails == fails.p_fails
    assert among.verdict == "undecided" and among.p_fails == pytest.approx(3 * fails.p_fails)


@pytest.mark.parametrize("parts, said", [
    ((FAILS_ALONE, HOLDS), "Of 2 statistics one fails by itself; but each of the 2 was a chance to fail, and the "
                           "smallest p times 2 is not below 5 %."),
    ((FAILS_ALONE, HOLDS, FAILS_ALONE, OPEN), "Of 4 statistics 2 fail by themselves; but each of the 4 was a chance to "
                                              "fail, and the smallest p times 4 is not below 5 %."),
    ((FAILS, HOLDS), None), ((OPEN, HOLDS), None), ((HOLDS,), None)])
def test_a_claim_that_is_open_although_statistics_fail_says_how_many_and_why(parts, said):
    claim = Standing("X1", "", "", "", parts)
    assert claim.reasons == ([said] if said else []) and (claim.verdict == "undecided" or not said)


def test_a_claim_names_the_statistics_without_a_number_and_why():
    [said] = Standing("X1", "", "", "", (HOLDS,), absent={"a": "no runs", "b": "no room"}).reasons
    assert said == "Without a number here, so that the claim may fail but not hold: a (no runs); b (no room)."


def test_holm_judges_claims_together():
    def claim(id, *values):
        return Standing(id, "", "", "", (part(values),) if values else ())

    sure, fails, barely, also = claim("A", 1, 1.01, 1.02), claim("B", -0.4, -0.35, -0.3), claim("C", 0.1, 0.13, 0.2), \
        claim("D", 0.1, 0.13, 0.2)
    assert sure.p < LEVEL / 5 and fails.p < LEVEL / 4 and LEVEL / 2 < barely.p < LEVEL
    assert holm([barely, claim("E"), fails, sure]) == {
        "A": "holds", "B": "does not hold", "C": "holds", "E": "not tested"}
    assert holm([sure, fails, barely, also]) == {  # twice its p is too much, and then no later one stands
        "A": "holds", "B": "does not hold", "C": "undecided", "D": "undecided"}


def test_rows_say_what_was_measured_and_by_which_rule():
    claim = Standing("X1", "a statement", "Fig 1a", "found", (
        part([0.1, 0.1], "above", 0.05, label="gap"), part([0.02, 0.02], "within", 0.2, "nats", "kl")))
    first, second = claim.to_rows()
    assert first == {"id": "X1", "statement": "a statement", "statistic": "gap", "estimate": "10.0",
                     "interval": "(of two: no interval)", "n": 2, "rule": "> 5 points", "verdict": "holds",
                     "excluded": ""}
    assert (second["estimate"], second["rule"], second["verdict"]) == ("0.020", "within ± 0.2 nats", "holds")


def test_of_one_trial_a_table_says_that_there_is_no_interval():
    row = part([0.5]).row()
    assert (row["interval"], row["verdict"]) == ("(of one: no interval)", "undecided")


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
    assert claim.rules == GAP.stands(Made(), reason="no runs").rules == (("gap, x33", "> 5 points"),)


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


def test_a_small_number_below_zero_is_shown_as_zero():
    assert Estimate(-0.0004, -0.0003, 0.0002, 5).text(100) == "0.0 [0.0, 0.0]"


def test_two_trials_have_no_interval_worth_the_name():
    assert estimate([0.1, 0.3]).text(100) == "20.0 (of two: no interval)"
    assert estimate([0.1, 0.2, 0.3]).text(100) == "20.0 [-4.8, 44.8]"


def test_a_distance_is_in_half_intervals_of_all_recorded_trials():
    whole = estimate(np.array([0.1, 0.2, 0.3, 0.4, 0.5]))  # of 0.3, t(4) = 2.776 times 0.0707 wide to each side
    assert half_intervals([0.4, 0.4], [0.2, 0.2], whole) == pytest.approx(0.2 / 0.1963, rel=1e-3)
    assert half_intervals([0.4], [0.2], estimate(np.array([0.2, 0.2]))) == np.inf
