"""The reproducibility report and claims.json say what is recorded."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from kdlib import cards, explorer, report
from kdlib.cli import claims
from kdlib.experiments.claims import CLAIMS, claims_at
from kdlib.experiments.profiles import PROFILES
from kdlib.experiments.standings import standing
from kdlib.paths import project_root
from kdlib.stats import Part, Standing, estimate


@pytest.fixture(scope="module")
def found():
    return explorer.sources(("workstation",))


@pytest.fixture(scope="module")
def stands(found):
    return report.standings(found)


def test_the_page_counts_every_recorded_run_once(found):
    lines = [json.loads(line) for file in (project_root() / "results" / "workstation").glob("*.jsonl")
             for line in file.read_text().splitlines()]
    told = report.cost(found, {})
    assert told.startswith(f"{len(lines):,} runs are recorded, {sum(r['spec']['kind'] == 'student' for r in lines)} st")
    hours = sum(line["seconds"] for line in lines) / 3600
    assert f"{hours:.0f} hours of one core" in told and f"| {hours:.1f} |" in told


def test_every_claim_has_one_verdict_per_profile_and_the_one_that_it_has(stands):
    rows = dict(re.findall(r"claim-(\w+)\">\1</a> \| .*<span class=\"chip chip-[\w-]+\">. ([\w ]+)</span> \|$",
                           report.claims({}, stands), re.M))
    assert rows == {name: claim.verdict for name, claim in stands["workstation"].items()} and set(rows) == set(CLAIMS)
    by_verdict = report.verdicts({}, stands)
    assert sorted(re.findall(r">(\w+)</a>", by_verdict)) == sorted(CLAIMS)


def test_the_live_trials_are_an_example_beside_those_that_verdicts_rest_on():
    made_up = {profile: {"F1": Standing("F1", profile, "Fig 2", "found", reason="no runs")}
               for profile in ("laptop", "signals", "workstation")}
    for part in (report.verdicts, report.claims):
        assert "the book's live trials" not in part({}, made_up) and "MNIST-1D" in part({}, made_up)
        assert "the book's live trials" in part({}, {"laptop": made_up["laptop"]})


def test_the_claims_of_the_regime_have_its_words_and_not_those_of_another_profile():
    regime = {"F2": Standing("F2", "halves", "Fig 9", "found", reason="no runs")}
    [alone] = json.loads(report.as_json({"halves": regime}))["claims"]
    assert "changed_since" not in alone and alone["stands"]["halves"]["earlier_verdict"] is None
    assert claims_at(PROFILES["halves"])["F2"].chapter == alone["chapter"]


def test_the_gap_is_what_is_left_of_agreement(found, stands):
    [row] = report.gaps(found, stands).splitlines()[2:]
    _, _, times, n, own, unseen, gap, _ = (cell.strip() for cell in row.split("|"))
    data = explorer.students(found)
    most = {"amount": float(times), "m": 1, "data": "cifar100-16", "policy": "baseline", "temperature": 1.0,
            "generated": 0, "copies": 0}
    runs = [run for run in data["runs"] if most.items() <= explorer.setting(data, run).items()]
    usual = min(explorer.setting(data, run)["steps"] for run in runs)  # others are trained ten times as long
    runs = [run for run in runs if explorer.setting(data, run)["steps"] == usual]
    assert len(runs) == int(n) == 3
    for shown, name in ((own, "agreement"), (unseen, "unseen_agreement")):
        mean = np.mean([run[4 + explorer.METRICS.index(name)] for run in runs]) / explorer.PARTS
        assert float(shown.split()[0]) == pytest.approx(100 * mean, abs=0.06)
    assert float(own.split()[0]) + float(gap.split()[0]) == pytest.approx(100, abs=0.11)


def test_claims_json_has_the_numbers_behind_a_verdict_and_no_infinity():
    values = np.array([0.2, 0.21, 0.24])
    earlier = Standing("F2", "statement", "Fig 1", "found", (), "no runs", rules=(("gap, x33", "> 5 points"),))
    made_up = {"F1": Standing("F1", "statement", "Fig 2", "found", (
        Part("of three", values, "above", 0.1, "points"), Part("of one", values[:1], "above", 0.1, "points"),
        Part("open", values, "above", 0.2, "points")), earlier=replace(
            earlier, parts=(Part("gap, x33", values, "above", 0.5, "points"),))),
        "F2": replace(earlier, rules=(("share, x33", "< 0.5"),), earlier=earlier)}
    there = json.loads(report.as_json({"laptop": made_up}), parse_constant=pytest.fail)
    one, two = there["claims"]
    three, single, undecided = one["stands"]["laptop"]["statistics"]
    e = estimate(values)
    assert (three["estimate"], three["low"], three["high"], three["n"]) == (e.mean, e.low, e.high, 3)
    assert three["trials"] == list(values) and three["verdict"] == "holds"
    assert (single["low"], single["high"], single["verdict"]) == (None, None, "undecided")
    assert three["excluded"] is None and single["excluded"] == {"below": None, "above": None}
    assert undecided["excluded"] == {"below": e.low, "above": e.high}
    assert (one["stands"]["laptop"]["earlier_rules"], one["stands"]["laptop"]["earlier_verdict"]) == (
        ["gap, x33 > 5 points"], "does not hold")
    assert two["stands"]["laptop"] == {"statement": "statement", "source": "Fig 1", "verdict": "not tested",
                                       "beside_all_others": None, "reason": "no runs", "rules": ["share, x33 < 0.5"],
                                       "statistics": [], "without_runs": [], "earlier_rules": ["gap, x33 > 5 points"],
                                       "earlier_verdict": "not tested"}


def test_a_claim_has_the_earlier_rules_of_its_profile_and_their_verdict(stands):
    """In the paper's own regime every rule is the first one."""
    found = {"workstation": stands["workstation"], "halves": standing("halves")}
    of = {claim["id"]: claim["stands"] for claim in json.loads(report.as_json(found))["claims"]}
    f2, o4 = of["F2"]["workstation"], of["O4"]["workstation"]
    assert (f2["earlier_rules"], f2["earlier_verdict"]) == (["1 - test agreement, m = 1, x20 > 5 points"], "holds")
    assert (o4["verdict"], o4["earlier_verdict"]) == ("undecided", "does not hold")
    assert (of["F2"]["halves"]["earlier_rules"], of["F2"]["halves"]["earlier_verdict"]) == ([], None)


def test_a_reader_of_claims_json_is_told_why_a_claim_is_open_as_on_its_card(stands):
    """Two of F4's six statistics fail by themselves."""
    of = {claim["id"]: claim["stands"]["workstation"] for claim in json.loads(report.as_json(stands))["claims"]}
    assert of["F4"]["reason"].startswith("Of 6 statistics 2 fail by themselves;")
    assert of["F4"]["reason"] in cards.cards({"here": {"F4": stands["workstation"]["F4"]}})


def test_a_profile_has_one_number_of_trials_wherever_it_is_said(found):
    for part in (report.cost, report.sizes):
        assert "3 (some rows 5)" in part(found, {})


def test_the_command_writes_the_claims_that_it_prints(tmp_path, capsys):
    claims(["F2", "P7"], profile="workstation", recorded=True, workers=None, json=tmp_path / "claims.json")
    printed = capsys.readouterr().out
    there = json.loads((tmp_path / "claims.json").read_text())
    assert [claim["id"] for claim in there["claims"]] == ["F2", "P7"]
    for claim in there["claims"]:
        stands = claim["stands"]["workstation"]
        assert stands["beside_all_others"] and f"beside all others {stands['beside_all_others']}" in printed
        assert f"{claim['id']:3} {stands['verdict']:14} {stands['statement']}" in printed
