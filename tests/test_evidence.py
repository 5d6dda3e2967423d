"""What stands under a figure: the numbers that it reads, and the runs that these are of."""

import csv
import io
from urllib.parse import unquote

import numpy as np
import pytest
from bs4 import BeautifulSoup

from kdlib import chapter, evidence
from kdlib.experiments import so_far
from kdlib.experiments.design import NotRecorded
from kdlib.settings import from_records
from kdlib.stats import Part

SMALL, LARGE = ("size", 1, 1), ("size", 1, 33)


@pytest.fixture
def results():
    return so_far("01_fidelity_gap", "laptop")


def shown(cell, *results):
    soup = BeautifulSoup(evidence.evidence(cell, *results).data, "html.parser")
    return soup, list(csv.DictReader(io.StringIO(unquote(soup.select_one("a[download]")["href"]).partition(",")[2])))


def test_the_numbers_are_those_that_were_read_a_line_a_run_and_each_run_can_be_opened(results):
    own, unseen = results(SMALL, "agreement"), results.unseen(LARGE)
    soup, rows = shown("fig-gap", results)
    assert [row["condition"] for row in rows] == ["size 1 1"] * 5 + ["size 1 33"] * 5
    np.testing.assert_allclose([float(row["agreement"]) for row in rows[:5]], own, atol=1e-6)
    np.testing.assert_allclose([float(row["unseen_agreement"]) for row in rows[5:]], unseen, atol=1e-6)
    assert not any(row["agreement"] for row in rows[5:])
    links = [link["href"] for link in soup.select("td a")]
    assert links == [f"../runs.html#{record.key}" for name in (SMALL, LARGE) for record in results.rows[name]]
    assert [row["key"] for row in rows] == [link.partition("#")[2] for link in links]


def test_an_account_begins_anew_after_each_figure(results):
    results(SMALL, "agreement")
    shown("fig-gap", results)
    results(LARGE, "kl")
    _, rows = shown("fig-gap", results)
    assert {row["condition"] for row in rows} == {"size 1 33"} and "agreement" not in rows[0]


def test_results_of_two_data_sets_are_one_table_of_numbers(results):
    there = so_far("01_fidelity_gap", "workstation")
    results(SMALL, "agreement")
    there(SMALL, "kl")
    _, rows = shown("fig-answer", results, there)
    assert [row["profile"] for row in rows] == ["laptop"] * 5 + ["workstation"] * 3
    assert rows[0]["kl"] == rows[-1]["agreement"] == "" and rows[-1]["kl"] == f"{there(SMALL, 'kl')[-1]:.6g}"


def test_it_names_what_plans_the_runs_and_what_trains_them_again(results):
    results(SMALL, "agreement")
    soup, rows = shown("fig-gap", results)
    text = soup.get_text(" ")
    assert "kdlib/experiments/fidelity_gap.py: sizes" in text and "kdlib run 01_fidelity_gap --profile laptop" in text
    assert f"kdlib audit --key {rows[-1]['key'][:12]}" in text and "s of training on one core" in text


def test_it_names_only_those_plans_of_the_map_that_planned_what_was_read():
    there = so_far("08_errata", "workstation")
    there(("scaled", 0.5), "agreement")
    text = shown("fig-errata-lambda-cifar", there)[0].get_text(" ")
    assert "kdlib/experiments/errata.py: runs" in text and "optimization.py" not in text


def test_of_what_is_shown_of_one_trial_one_run_is_accounted():
    there = so_far("02_optimization", "workstation")
    there.curves(("surface", 0.25), "plane", 1)
    soup, rows = shown("fig-planes-cifar", there)
    assert [row["key"] for row in rows] == [there.rows["surface", 0.25][0].key]
    assert "the 1 runs behind this, of 1 trials" in soup.get_text(" ")


def test_an_account_lists_the_trials_of_each_result_that_something_was_read_of(results):
    small, regime, unread = (so_far(*of) for of in (
        ("01_fidelity_gap", "workstation"), ("10_halves", "halves"), ("08_errata", "workstation")))
    trials = [len(values) for values in (results(SMALL, "agreement"), small(("size", 1, 1), "agreement"),
                                         regime(("teacher", 0), "accuracy"))]
    text = evidence.evidence("fig-answer", results, unread, small, regime).data
    assert "of {}, {} and {} trials".format(*trials) in text


def test_what_is_asked_of_runs_that_are_not_there_is_no_number_of_an_account(results):
    results(SMALL, "agreement")
    with pytest.raises(NotRecorded):
        results(("size", 1, 7), "agreement")
    _, rows = shown("fig-gap", results)
    assert {row["condition"] for row in rows} == {"size 1 1"}


@pytest.mark.parametrize("threshold, values, said", [
    (0.0, [-0.2, -0.2, -0.2], "falls by 20.0 ["), (0.01, [-0.2, -0.2, -0.2], "falls by -20.0 ["),
    (0.01, [0.005, 0.005, 0.005], "falls by 0.5 ["), (-0.01, [-0.002, -0.002, -0.002], "holds, -0.2 [")])
def test_a_size_that_is_judged_against_another_threshold_than_0_keeps_its_sign(threshold, values, said):
    part = Part("x", np.array(values), "above", threshold, "points")
    assert chapter._of_part(part, ("holds, {}", "falls by {}", "open")).startswith(said)


@pytest.mark.parametrize("values, said", [
    ([1.0, 1.1, 1.2], "rises by 110.0"), ([-1.0, -1.1, -1.2], "falls by 110.0"), ([-1.0, 0.0, 1.2], "open")])
def test_a_word_is_what_its_interval_allows(values, said):
    assert chapter.word(values, "rises by {}", "falls by {}", "open").startswith(said)


def test_a_size_in_the_text_shows_on_which_side_its_interval_ends():
    """-0.69 [-1.04, -0.34] points of a claim that asks for more than -1; 0.4 [0.02, 0.78] that is a rise."""
    part = Part("x", -0.0069 + 0.0035 / 2.4841 * np.array([-1.0, 0, 1]), "above", -0.01, "points")
    assert chapter._of_part(part, ("holds", "fails", "open, {}")) == "open, -0.69 [-1.04, -0.34; n = 3]"
    rise = 0.004 + 0.0038 / 2.4841 * np.array([-1.0, 0, 1])
    assert chapter.word(rise, "rises by {}", "falls by {}", "open") == "rises by 0.40 [0.02, 0.78; n = 3]"
    assert chapter.word(-rise, "rises by {}", "falls by {}", "open") == "falls by 0.40 [0.02, 0.78; n = 3]"


def test_what_was_trained_here_is_counted_against_the_recorded_intervals(results):
    from dataclasses import replace

    assert chapter.your_run("01_fidelity_gap", results).data == ""
    with from_records():
        assert "nothing was trained" in chapter.your_run("01_fidelity_gap", results).data
    same = replace(results, live=results)
    whole = BeautifulSoup(chapter.your_run("01_fidelity_gap", same).data, "html.parser").get_text(" ")
    inside, _, total = whole.split("Your run")[1].split()[:3]
    assert inside == total and "Verdicts by these trials alone that differ: none" in whole
    moved = {**results.rows, LARGE: [replace(r, metrics=r.metrics | {"agreement": 0.1}) for r in results.rows[LARGE]]}
    other = BeautifulSoup(chapter.your_run("01_fidelity_gap", replace(results, live=replace(results, rows=moved))).data,
                          "html.parser").get_text(" ")
    assert int(other.split("Your run")[1].split()[0]) == int(total) - 1 and "F3: ✓ holds in the records" in other


def test_every_recorded_run_has_its_place_on_the_page_of_runs():
    from kdlib.explorer import sources

    found = sources(("laptop",))
    soup = BeautifulSoup(evidence.all_runs(found), "html.parser")
    rows = {row["id"]: row.find_parent("details") for row in soup.select("tbody tr")}
    assert rows.keys() == {r.key for r in found["laptop"].records}
    assert len(soup.select("tbody tr")) == len(rows)
    for record in found["laptop"].records:
        named = rows[record.key].summary.get_text()
        assert named.startswith(f"{record.spec['kind']}, trial {record.planned.subject.data.trial}: ")
        assert not rows[record.key].has_attr("open")  # what is not laid out costs nothing


def test_a_word_of_what_is_not_defined_says_so(monkeypatch):
    glued = {}
    monkeypatch.setattr(chapter, "glue", lambda key, text, display: glued.update({key: text}))
    chapter.follows("fuller", np.array([np.nan, np.nan]))
    assert glued == {"fuller": "(not defined here)"}
