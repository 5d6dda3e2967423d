"""Claims as cards: what stands in them is what was measured."""

import re
from dataclasses import replace

import numpy as np
import pytest
from bs4 import BeautifulSoup

from kdlib import cards
from kdlib.experiments.claims import CLAIMS
from kdlib.experiments.design import Results
from kdlib.experiments.profiles import PROFILES
from kdlib.stats import Part, Standing


def standing(name, values, side="above", threshold=0.1):
    return Standing(name, f"statement of {name}", "Fig 3, 4", "<found>", (
        Part("a label", np.array(values), side, threshold, "points"),))


HERE = {"F1": standing("F1", [0.2, 0.21, 0.22]), "F2": standing("F2", [0.01, 0.02, 0.03])}
THERE = {"F1": standing("F1", [0.0, 0.1, 0.3]), "F2": Standing("F2", "statement of F2", "Fig 1", "", (), "no runs")}


def read(text):
    return BeautifulSoup(text, "html.parser")


def test_a_card_has_a_chip_and_an_interval_for_every_data_set_or_the_reason():
    one, two = read(cards.cards({"here": HERE, "there": THERE})).select(".claim")
    assert [chip.text for chip in one.select(".chip")] == ["✓ holds", "? undecided"]
    assert [chip.text for chip in two.select(".chip")] == ["✗ does not hold", "– not tested"]
    assert [n.text.split(",")[-1].split("·")[0].strip() for n in one.select(".number")] == ["n = 3", "n = 3"]
    assert two.select_one(".reason").text == "no runs" and "<found>" in one.select_one(".found").text
    [label] = [svg["aria-label"] for svg in one.select(".stands svg")][:1]
    row = HERE["F1"].to_rows()[0]
    assert label == f"{row['estimate']} {row['interval']}, asked: {row['rule']}"
    assert one["data-stands"] == "here=holds there=undecided"


def test_a_card_says_why_a_verdict_is_not_what_its_intervals_say():
    fails = Part("fails by itself", np.array([-0.26, -0.2, -0.13, -0.07, -0.01]), "above", 0.0, "points")  # p = .04
    several = Standing("F1", "s", "Fig 1", "", (fails, fails))
    assert (fails.verdict, several.verdict) == ("does not hold", "undecided")
    assert "Of 2 statistics 2 fail by themselves;" in read(cards.cards({"here": {"F1": several}})).text
    lacking = replace(HERE["F1"], absent={"train agreement": "no runs"})
    assert lacking.verdict == "undecided"
    assert "may fail but not hold: train agreement (no runs)." in read(cards.cards({"here": {"F1": lacking}})).text
    jointly = {"F1": replace(HERE["F1"], corrected="undecided")}
    [card] = read(cards.cards({"here": jointly})).select(".claim")
    assert "✓ holds with all others undecided" in card.select_one(".chips").text
    assert "(Holm): undecided." in card.select_one(".reason").text
    assert "here: 1 hold; judged all together 1 undecided" in read(cards.tally({"here": jointly})).text
    assert not read(cards.cards({"here": HERE})).select(".reason, small")


def test_a_card_shows_the_rule_of_a_claim_before_there_are_runs():
    untested = replace(THERE["F2"], rules=(("gap", "< 5 points"), ("a", "> 0")))
    [card] = read(cards.cards({"there": {"F2": untested}})).select(".claim")
    assert [item.text for item in card.select(".stands li")] == ["gapasked: < 5 points", "aasked: > 0"]


def test_a_card_says_where_the_paper_says_it_and_says_it_once():
    stands = {name: claim.stands(Results(PROFILES["signals"], {})) for name, claim in CLAIMS.items()}
    stands["X1"] = Standing("X1", "", "Sec 3.2", "half of 5 (or so)", (), "no runs")
    for card in read(cards.cards({"here": stands})).select(".claim"):
        said = card.select_one(".found").text
        first, last = re.match(r"The paper \(", said), re.search(r"\((Fig|Table|Sec|[A-Z]\.\d)[^)]*\)$", said)
        assert bool(first) != bool(last)


def test_a_card_says_what_became_of_its_rule():
    said = {"F1": "Its rule was changed: it asked for <nothing>.", "F2": ""}
    one, two = read(cards.cards({"here": HERE}, changed=said.get)).select(".claim")
    assert said["F1"] in one.select_one("details").text and "changed" not in two.text


@pytest.mark.parametrize("side, values, inside", [
    ("above", [0.2, 0.21], True), ("above", [0.0, 0.01], False), ("below", [0.0, 0.01], True),
    ("within", [0.0, 0.01], True), ("within", [0.2, 0.21], False), ("above", [0.3], None)])
def test_the_dot_lies_in_what_is_asked_for_where_the_estimate_does(side, values, inside):
    [svg] = read(cards.interval(standing("F1", values, side).parts[0])).select("svg")
    asked, dot = svg.select_one(".asked"), float(svg.circle["cx"])
    left = float(asked["x"])
    lies = left < dot < left + float(asked["width"])
    assert lies == (inside is None or inside)
    assert bool(svg.select(".range")) == (len(values) > 1)  # one trial has no interval
    assert 0 <= dot <= cards.WIDTH


def test_the_tally_counts_every_claim_once():
    text = read(cards.tally({"here": HERE, "there": THERE})).text
    assert "here: 1 hold, 1 do not" in text and "there: 1 undecided, 1 not tested" in text


def test_a_choice_lists_every_verdict_data_set_and_chapter():
    form = read(cards.chooser({"real data": HERE}, ["The gap"]))
    values = {option["value"] for option in form.select("option")}
    assert values == {"", "holds", "does_not_hold", "undecided", "not_tested", "real_data", "The gap"}


@pytest.mark.parametrize("source, found", [
    ("Fig 3, 4", ["Fig 3", "Fig 4"]), ("Sec 3.2, Fig 11", ["Fig 11"]), ("Fig 1b, 10", ["Fig 1b", "Fig 10"]),
    ("Table 2, IMDB", ["Table 2"]), ("Sec 7", [])])
def test_the_figures_that_a_source_names(source, found):
    assert cards.figures_of(source) == found
