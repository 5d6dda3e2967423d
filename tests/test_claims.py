"""What is declared once: chapters and claims. None can be forgotten, dropped or shown under another number."""

import re

import numpy as np
import pytest
import yaml

from kdlib import chapter, experiments
from kdlib.experiments import CHAPTERS, PAGES, claims_of, figure_map, halves, in_order, judged, read_by, standing
from kdlib.experiments.claims import CLAIMS, IN_THE_REGIME, by_id, claims_at
from kdlib.experiments.design import PROFILES, Design, NotRecorded, Results
from kdlib.paths import project_root, results_dir
from kdlib.results import Record
from kdlib.stats import Claim, Statistic


def made_up(name, design):
    """A chapter's results with any numbers."""
    rng = np.random.default_rng(0)

    class Numbers(dict):
        def __missing__(self, key):
            return rng.uniform(0.4, 0.6)

    runs = CHAPTERS[name].runs(design)
    return Results.of(design.profile, runs, {
        s: Record(s.key, {}, Numbers(), {}, 1.0, "none", {}, "none") for row in runs.values() for s in row})


def claim(id, chapter, values, untested=""):
    return Claim(id, chapter, f"statement of {id}", "Fig 1", f"found of {id}",
                 (Statistic("x", values, "above", 0.0, "points"),), untested)


@pytest.fixture
def declared(monkeypatch):
    """One more claim than there are, declared in its one place."""
    def declare(values, untested="", chapter="paradox"):
        monkeypatch.setitem(CLAIMS, "X1", claim("X1", chapter, values, untested))

    return declare


# --- claims

@pytest.mark.parametrize("profile", PROFILES)
def test_every_claim_has_a_standing_at_every_profile(profile, kdlib):
    assert list(standing(profile)) == list(CLAIMS)
    code, out, error = kdlib("claims", "F2", "D4", "--profile", profile)
    assert (code, error) == (0, "") and out.endswith("\n") and "2 claims" in out


def test_the_claims_of_a_chapter_are_those_that_it_decides_at_the_profile():
    assert claims_of(["10_halves"], "halves") == [name for name in CLAIMS if name in IN_THE_REGIME]
    assert claims_of(["10_halves"], "laptop") == [] and standing("laptop", only=[]) == {}


def test_a_claim_that_is_declared_is_shown_at_every_profile_and_on_every_page(declared, kdlib):
    declared(lambda r: np.ones(3))
    assert standing("laptop")["X1"].verdict == "holds"
    code, out, _ = kdlib("claims")
    assert code == 0 and "X1  holds          statement of X1 (Fig 1)" in out and "27 claims" in out
    shown = judged("04_paradox", made_up("04_paradox", Design("smoke")))
    assert "X1" in [c.id for c in shown]
    assert all("X1" in page.data for page in (
        chapter.claim_table(shown), chapter.comparison(shown, made_up("04_paradox", Design("smoke")))))


def test_a_claim_whose_runs_are_nowhere_planned_is_shown_with_a_reason(declared, kdlib):
    declared(lambda r: r("no-such-run", "accuracy"))
    code, out, _ = kdlib("claims")
    assert code == 0 and "profile laptop has no runs “no-such-run”" in out and "found of X1" in out
    table = chapter.claim_table(judged("04_paradox", made_up("04_paradox", Design("smoke")))).data
    assert "profile smoke has no runs “no-such-run”" in table and "– not tested" in table


def test_a_claim_says_why_it_cannot_be_tested_where_it_says_so():
    assert {name: c.reason for name, c in standing("laptop").items() if not c.tested} == {
        name: CLAIMS[name].untested for name in ("A3", "A4")}


def test_a_claim_whose_runs_are_planned_and_not_recorded_says_how_to_record_them():
    lacking = Results(PROFILES["workstation"], {}, frozenset({("members", 4)}))
    reasons = {c.id: c.reason for c in judged("04_paradox", lacking)}
    assert reasons["P4"] == "not recorded yet: its runs “members 4” (`kdlib record 04_paradox --profile workstation`)"
    with pytest.raises(NotRecorded, match="members 4"):
        CLAIMS["P4"].on(lacking)


def test_claims_are_the_papers_26_in_its_order_and_every_one_belongs_to_a_chapter_with_runs():
    assert " ".join(CLAIMS) == ("F1 F2 F3 F4 F5 P1 P2 P3 P4 P5 P6 P7 D1 D2 D3 D4 O1 O2 O3 O4 O5 O6 A1 A2 A3 A4")
    assert {c.chapter for c in CLAIMS.values()} <= {page.stem for page in CHAPTERS.values()}
    assert list(standing("laptop")) == list(standing("workstation")) == list(CLAIMS)


def test_a_claim_of_an_unknown_chapter_is_an_error_and_not_left_out(declared):
    declared(lambda r: np.ones(3), chapter="paradoxes")
    with pytest.raises(KeyError, match="X1"):
        standing("laptop")


def test_two_claims_of_one_name_are_an_error():
    with pytest.raises(ValueError, match="same id"):
        by_id(claim("X1", "scale", None), claim("X1", "paradox", None))


def test_what_is_specific_to_a_teacher_is_the_metric_less_that_with_an_unseen_one():
    metrics = {"agreement": 0.9, "independent_agreement": 0.7, "train_kl": 0.1, "independent_train_kl": 0.4}
    r = Results(None, {"a": [Record("key", {}, metrics, {}, 1.0, "", {}, "")]})
    assert r.specific("a") == pytest.approx([0.2]) and r.unseen("a") == [0.7]
    assert r.specific("a", "train_kl") == pytest.approx([-0.3])


@pytest.mark.parametrize("profile", ["smoke", "laptop", "workstation", "halves"])
def test_a_claim_is_decided_by_the_runs_that_it_reads_alone(profile):
    design = Design(profile)
    for name, there in claims_at(design.profile).items():
        page = next(page for page in CHAPTERS if CHAPTERS[page].stem == there.chapter)
        runs, few = CHAPTERS[page].runs(design), read_by([name], page, design)
        assert few.items() <= runs.items() and (len(few) < len(runs) or not runs)
        made = made_up(page, design)
        only = Results(made.profile, {row: made.rows[row] for row in few}, made.planned)
        one, other = judged_alone(name, page, only), judged_alone(name, page, made)
        assert one.tested == other.tested and one.reason == other.reason


def judged_alone(name, page, r):
    return next(claim for claim in judged(page, r) if claim.id == name)


# --- chapters

def test_numbers_and_file_names_agree_with_the_table_of_contents():
    toc = yaml.safe_load((project_root() / "_toc.yml").read_text())
    files = [part["file"] for part in toc["chapters"]]
    assert [f.removeprefix("book/executed/") for f in files if f.startswith("book/executed/")] == list(PAGES)
    assert [int(name[:2]) for name in PAGES] == list(range(1, len(PAGES) + 1))
    notebooks = project_root() / "notebooks"
    assert {p.name for p in notebooks.iterdir() if p.is_file()} == {
        f"{name}.{ext}" for name in PAGES for ext in ("py", "ipynb")}
    for folder in results_dir().iterdir():
        if folder.is_dir():
            assert {p.stem for p in folder.glob("*.jsonl")} <= set(CHAPTERS)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_the_title_and_reads_the_runs_that_its_declaration_says(name):
    text = (project_root() / "notebooks" / f"{name}.py").read_text()
    assert re.search(r"^# # (.*)$", text, re.M)[1] == PAGES[name].title
    if any(f"{call}(name" in text for call in ("so_far", "trained")):  # for every chapter
        read = set(CHAPTERS)
    else:
        read = set(re.findall(r'(?:so_far|open_chapter|judged)\("(\d\d_\w+)"', text))
    own = {name} if PAGES[name].plan else set()
    assert read == own | {n for n in CHAPTERS if CHAPTERS[n].stem in PAGES[name].reads}


def test_a_page_is_executed_after_those_whose_runs_it_shows():
    order = in_order()
    assert sorted(order) == list(PAGES)
    stems = [PAGES[name].stem for name in order]
    assert all(stems.index(stem) < place for place, name in enumerate(order) for stem in PAGES[name].reads)


def test_the_chapter_table_is_what_the_command_line_knows():
    assert experiments.chapters("all") == list(CHAPTERS)


# --- the map of figures

def test_the_map_in_the_readme_is_that_of_the_declarations():
    assert figure_map.readme() == (project_root() / "README.md").read_text(), \
        "write it anew: python -m kdlib.experiments.figure_map"


def test_the_map_has_every_figure_and_table_of_the_paper_and_files_that_exist():
    ids = [shown.id for shown in figure_map.FIGURES]
    assert ids == [f"Fig {n}" for n in (1, 2, 3, 4, 5, "6a", "6b", "6c", *range(7, 15))] + ["Table 1", "Table 2"]
    links = re.findall(r"\]\(([^)]+)\)", figure_map.table())
    assert links and all((project_root() / link).is_file() for link in links)


def test_what_plans_a_figure_plans_runs_of_its_chapter():
    planned = {d: [page.runs(d) for page in CHAPTERS.values()] for d in (Design("paper"), Design("halves"))}
    for shown in figure_map.FIGURES:
        for plan in shown.plans if isinstance(shown.plans, tuple) else (shown.plans,):
            d = next(d for d in planned if (d.profile.halves is None) == (plan.__module__ != halves.__name__))
            rows = plan(d)
            assert rows and any(rows.items() <= runs.items() for runs in planned[d]), shown.id


def test_the_book_refers_to_the_figures_that_the_map_names():
    """Its own table, with links that only the book has, on the page of all claims."""
    page = (project_root() / "notebooks" / "07_claims.py").read_text()
    found = re.findall(r"^# \| ((?:Fig|Table) \w+) \| (.*?) \| (.*?) \| (.*?) \|$", page, re.M)
    rows = {id: rest for id, *rest in found}
    for shown in figure_map.FIGURES:
        title, *columns = rows.pop(shown.id)
        assert title == shown.shows
        for column, cells in zip(columns, (shown.signals, shown.real), strict=True):
            assert re.findall(r"\{numref\}`(.*?)`", column) == [c for c in cells if c.startswith("fig-")], shown.id
    assert not rows


def test_a_cell_that_is_on_no_page_or_on_two_is_an_error():
    for cell in ("fig-nowhere", "CIFAR-100 (recorded)"):
        with pytest.raises(LookupError, match=re.escape(cell)):
            figure_map.page_of(cell)
