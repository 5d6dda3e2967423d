"""What is declared once: chapters and claims. None can be forgotten, dropped or shown under another number."""

import re
import subprocess
from dataclasses import replace
from fnmatch import fnmatch
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from conftest import teacher

from kdlib import chapter, experiments, results
from kdlib.compute import compute
from kdlib.experiments import (
    CHAPTERS,
    PAGES,
    figure_map,
    halves,
    in_order,
    optimization,
)
from kdlib.experiments.claims import CLAIMS, IN_THE_REGIME, by_id, claims_at
from kdlib.experiments.design import PROFILES, Design, NotRecorded, Results
from kdlib.experiments.standings import (
    ELSEWHERE,
    asked_by,
    claims_of,
    elsewhere,
    judged,
    runs_read_by,
    standing,
)
from kdlib.paths import project_root, results_dir
from kdlib.results import Record, Recorded
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
    assert code == 0 and "X1  holds          statement of X1 (Fig 1)" in out and f"{len(CLAIMS)} claims" in out
    shown = judged("04_paradox", made_up("04_paradox", Design("smoke")))
    assert "X1" in [c.id for c in shown]
    assert all("X1" in page.data for page in (
        chapter.claim_table(shown), chapter.verdicts("04_paradox", made_up("04_paradox", Design("smoke")))))


def test_claims_make_and_parse_only_what_they_read_once(monkeypatch):
    made, parsed, student, whole = [], [], Design.student, results._whole
    monkeypatch.setattr(Design, "student", lambda self, *args, **options: made.append(args) or student(
        self, *args, **options))
    monkeypatch.setattr(results, "_whole", lambda line, where: parsed.append(where) or whole(line, where))
    standing("laptop", only=["O1"])
    asked = runs_read_by(["O1"], "02_optimization", Design("laptop"))[0]
    keys = {s.key for row in asked.values() for s in row}
    assert len(parsed) == len(set(parsed)) == len(keys) and len(made) == 2 * len(keys)  # here once more
    assert len(Recorded("laptop").records) > 5 * len(keys)


def test_a_statistic_that_has_no_value_is_named_and_decides_nothing(declared):
    """Nets that always say the same leave no room above an unseen teacher's agreement: 0 of 0."""
    same = {"agreement": 1.0, "independent_agreement": 1.0}
    declared(lambda r: Results(r.profile, {"a": [Record("key", {}, same, {}, 1.0, "", {}, "")] * 2}).room("a"))
    found = next(c for c in judged("04_paradox", made_up("04_paradox", Design("smoke"))) if c.id == "X1")
    assert not found.tested and "not defined on these runs" in found.reason


def test_a_claim_whose_runs_are_nowhere_planned_is_shown_with_a_reason(declared, kdlib):
    declared(lambda r: r("no-such-run", "accuracy"))
    code, out, _ = kdlib("claims", "--profile", "laptop")
    assert code == 0 and "profile laptop has no runs “no-such-run”" in out and "found of X1" in out
    table = chapter.claim_table(judged("04_paradox", made_up("04_paradox", Design("smoke")))).data
    assert "<td>x</td><td>profile smoke has no runs “no-such-run”</td><td></td><td>&gt; 0 points</td>" in table
    assert "– not tested" in table


def test_a_claim_says_why_it_cannot_be_tested_where_it_says_so():
    reasons = {name: c.reason for name, c in standing("laptop").items() if not c.tested}
    assert {name: reasons[name] for name in ("A3", "A4")} == {name: CLAIMS[name].untested for name in ("A3", "A4")}
    assert {name: why for name, why in reasons.items() if name not in ("A3", "A4")} == {
        "O3": "profile laptop has no runs “patient longest”", "O4": "profile laptop has no runs “near 0.0”",
        "O5": "profile laptop has no runs “basin 0.0”", "O7": "profile laptop has no runs “near 1.0”"}


def test_a_claim_whose_runs_are_planned_and_not_recorded_says_how_to_record_them():
    lacking = Results(PROFILES["workstation"], {}, frozenset({("members", m) for m in (1, 2, 3, 4)}))
    reasons = {c.id: c.reason for c in judged("04_paradox", lacking)}
    assert reasons["P4"] == "not recorded yet: `kdlib record 04_paradox --profile workstation`"
    with pytest.raises(NotRecorded, match="members 1"):
        CLAIMS["P4"].on(lacking)


def test_claims_are_the_papers_in_its_order_and_every_one_belongs_to_a_chapter_with_runs():
    assert " ".join(CLAIMS) == ("F1 F2 F3 F4 F5 P1 P2 P3 P4 P5 P6a P6b P6c P7 D1 D2 D3 D4 D5 O1 O2 O3 O4 O5 O6 O7 O8 "
                                "A1 A2 A3 A4")
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
        runs, few = CHAPTERS[page].runs(design), runs_read_by([name], page, design)[0]
        assert few.items() <= runs.items() and (len(few) < len(runs) or not runs)
        made = made_up(page, design)
        only = Results(made.profile, {row: made.rows[row] for row in few}, made.planned)
        one, other = judged_alone(name, page, only), judged_alone(name, page, made)
        assert one.tested == other.tested and one.reason == other.reason


def judged_alone(name, page, r):
    return next(claim for claim in judged(page, r) if claim.id == name)


# --- every rule can hold and can fail

JUDGED = Design("signals", 3)
PLANNED = {name: page.runs(JUDGED) for name, page in CHAPTERS.items()}


def as_the_paper_has_it(name, metric):
    """A number of a condition in a world where every claim holds."""
    kind, *rest = name if isinstance(name, tuple) else (name,)
    number = {"agreement": 0.7, "accuracy": 0.6, "teacher_accuracy": 0.55, "kl": 0.3, "ece": 0.1, "train_kl": 0.1,
              "train_agreement": 0.9, "unseen_train_agreement": 0.7, "unseen_agreement": 0.65
              }.get(metric, 0.5)
    if kind in ("size", "passes"):
        m, factor = rest if kind == "size" else (1, rest[0])
        doublings = np.log2(factor)
        return {"agreement": 0.7 + 0.02 * doublings + 0.01 * m, "unseen_agreement": 0.66 + 0.015 * doublings,
                "accuracy": 0.6 + (0.001 if m > 1 else -0.001) * doublings,
                "train_agreement": 0.99 - 0.01 * doublings}.get(metric, number)
    if kind == "longer":
        return {"agreement": 0.8, "unseen_agreement": 0.75}.get(metric, number)
    if kind == "easy":
        return {"agreement": 0.995, "accuracy": 0.99, "teacher_accuracy": 0.99}.get(metric, number)
    if kind == "members":
        return {"accuracy": 0.6 + 0.01 * min(rest[0], 4), "agreement": 0.7 + 0.01 * rest[0]}.get(metric, number)
    if kind == "policy":
        m, policy, t = (*rest, 1.0)[:3]
        rank = {("mixup", 4.0): 9, ("baseline", 4.0): 8, ("combined", 1.0): 7, ("noise", 1.0): -2, ("ood", 1.0): -2,
                ("fresh", 4.0): 20}.get((policy, t), ("baseline", "mixup", "scale", "shift", "jitter").index(policy)
                                        if policy in ("baseline", "mixup", "scale", "shift", "jitter") else 5)
        return {"agreement": 0.7 + 0.01 * rank, "ece": 0.2 - 0.005 * rank, "kl": 0.3 - 0.01 * rank,
                "accuracy": 0.6 + (0.02 if policy == "mixup" else -0.01 if policy in ("noise", "ood") else 0),
                "train_agreement": 0.6 if policy == "combined" else 0.9}.get(metric, number)
    if kind == "recycle":
        place = ("D0", "D1", "D0+D1").index(rest[0])
        return {"agreement": (0.65, 0.7, 0.75)[place], "kl": 0.3 - 0.1 * place, "ece": 0.2 - 0.05 * place,
                "accuracy": (0.62, 0.6, 0.64)[place], "unseen_agreement": 0.6}.get(metric, number)
    if kind == "alpha":
        return 0.7 - 0.02 * rest[1] if metric == "agreement" else number
    if kind in ("near", "lambda"):
        late = rest[0] >= (0.375 if kind == "near" else 0.3)
        return {"train_kl": 0.01 if late else 0.5, "train_agreement": 0.995 if late else 0.8}.get(metric, number)
    if kind in ("basin", "surface"):
        return 0.0 if rest[0] >= 0.3 else 2.0
    if kind == "start" and metric.startswith("cka"):
        return 0.9 + 0.05 * (rest[0] == "teacher-initial")
    return number


# other worlds, in which one thing or another is not as in the paper
WORLDS = {
    "turned round": lambda name, metric: 1 - 5 * as_the_paper_has_it(name, metric),
    "calibration turned round": lambda name, metric: (-1 if metric == "ece" else 1) * as_the_paper_has_it(name, metric),
    "nothing generic": lambda name, metric: 0.0 if metric.startswith("unseen") or metric == "teacher_accuracy"
    else as_the_paper_has_it(name, metric),
    "nothing sudden": lambda name, metric: (name[1] if metric == "train_agreement" else 1 - name[1])
    if name[0] in ("near", "lambda") else as_the_paper_has_it(name, metric),
    "starts differ": lambda name, metric: as_the_paper_has_it(name, metric) + 0.1 * (name[-1] == "random"),
    "baselines differ": lambda name, metric: as_the_paper_has_it(name, metric) - 0.3 * (
        name[:3] == ("policy", 5, "baseline")),
    "patience, size, members help": lambda name, metric: as_the_paper_has_it(name, metric) + 0.1 * (
        (name[0], metric) in (("patient", "train_agreement"), ("members", "accuracy")) or name == ("size", 3, 1)
        or (name[-1], metric) == ("cnn1d-w48", "agreement")),
}


def standings(world):
    """{claim: Standing} on three trials with the same noise everywhere, so that differences have none."""
    found = {}
    for name, rows in PLANNED.items():
        metrics = {row: [_Numbers(world, row, noise) for noise in (-1e-6, 0.0, 1e-6)] for row in rows}
        r = Results(JUDGED.profile, {row: [Record("made", {}, each, {}, 0.0, "", {}, "") for each in three]
                                     for row, three in metrics.items()}, frozenset(rows))
        found |= {c.id: c for c in judged(name, r)}
    return found


class _Numbers(dict):
    def __init__(self, world, row, noise):
        super().__init__()
        self.world, self.row, self.noise = world, row, noise

    def __missing__(self, metric):
        return self.world(self.row, metric) + self.noise


def test_every_claim_can_hold():
    found = standings(as_the_paper_has_it)
    assert {name: c.verdict for name, c in found.items() if c.verdict != "holds"} == {
        "A3": "not tested", "A4": "not tested"}
    assert not any(c.absent for c in found.values())


def test_every_statistic_of_every_claim_can_fail():
    fails = {(id, part.label) for world in WORLDS.values() for id, c in standings(world).items()
             for part in c.parts if part.verdict == "does not hold"}
    there = {(id, part.label) for id, c in standings(as_the_paper_has_it).items() for part in c.parts}
    assert there - fails == set()


def test_a_changed_rule_stays_beside_the_new_one_and_says_why():
    changed = {name: claim for name, claim in CLAIMS.items() if claim.why}
    assert all(claim.before or claim.why.startswith("new: ") for claim in changed.values())
    assert {name for name, claim in CLAIMS.items() if claim.before} <= set(changed)
    found = standing("laptop")
    assert {name: c.earlier.rules for name, c in found.items() if c.earlier} == {
        name: Claim("", "", "", "", "", claim.before).stands(Results(PROFILES["laptop"], {})).rules
        for name, claim in CLAIMS.items() if claim.before}
    assert (found["O4"].earlier.verdict, found["O4"].verdict) == ("does not hold", "not tested")


def test_a_claim_stands_on_the_statistics_of_which_there_are_runs_and_names_the_others():
    [o1] = [c for c in judged("02_optimization", made_up("02_optimization", Design("laptop"))) if c.id == "O1"]
    assert [part.label for part in o1.parts] == ["slope of train agreement per doubling, m = 1"]
    assert o1.absent == {"slope of train agreement per doubling, as many passes, m = 1":
                         "profile laptop has no runs “passes 1”"}
    assert "profile laptop has no runs" in chapter.claim_table([o1]).data
    assert standing("laptop", only=["O1"])["O1"].verdict == "undecided"  # its one part holds, the other is not there


# --- the recorded trials of signals

def test_the_judged_trials_are_fresh_and_their_unseen_teachers_all_that_exist():
    rows = [row for runs in PLANNED.values() for row in runs.values()]
    assert {s.subject.data.trial if hasattr(s.subject, "data") else s.subject.teachers[0].data.trial
            for row in rows for s in row} == {100, 101, 102}
    students = [s for row in rows for s in row if s.kind == "student"]
    for m, ensembles in ((1, 12), (2, 6), (3, 4), (5, 2), (12, 1)):
        some = [s for s in students if len(s.teachers) == m and s.data.name == "mnist1d" and s.draw == "torch"
                and s.teachers[0].model == "cnn1d"]
        assert some and {len((s.foil, *s.foils)) for s in some} == {ensembles}
        assert all(len(set(s.unseen)) == m * ensembles for s in some)
    assert PROFILES["signals"].seeds == 30


def test_the_judged_trials_have_the_runs_that_claims_read_and_no_others():
    asked = {name for claim in CLAIMS.values() for name in asked_by([claim], JUDGED)}
    planned = {name for rows in PLANNED.values() for name in rows}
    assert {name for name in planned if name[0] != "moved"} == asked - {("photographs", 5), ("text", 5)}


def test_no_verdict_is_another_where_half_of_the_trials_were_trained_on_another_processor():
    found = elsewhere("signals")
    assert found.processor.endswith("AVX512") and found.other.endswith("AVX2")
    assert 2 * found.again == found.trials and found.differ == []


def test_a_verdict_that_another_processor_changes_is_named(declared):
    name = "size", 1, 1
    spec = CHAPTERS["04_paradox"].runs(Design("signals"))[name][0]
    here, there = (Recorded("signals", results_dir() / folder).get(spec).number("kl") for folder in (".", ELSEWHERE))
    declared(lambda r: np.sign(here - there) * np.sign(r(name, "kl")[0] - (here + there) / 2) * np.ones(3))
    assert standing("signals")["X1"].verdict == "holds" and elsewhere("signals").differ == ["X1"]


def test_what_moves_a_student_is_planned_for_every_combination_in_twenty_trials():
    moved = {name: row for name, row in CHAPTERS["02_optimization"].runs(Design("signals")).items()
             if name[0] == "moved"}
    assert len(moved) == 7 * 2 * 2 * 2 * 2 and {len(row) for row in moved.values()} == {20}
    one = {name: row[0] for name, row in moved.items()}
    for (_, x, decay, rate, optimizer, draw), s in one.items():
        assert (s.training.weight_decay == 0) == (decay == "none") and s.draw == s.teachers[0].draw == draw
        assert s.training.optimizer == optimizer.lower()
        full = one["moved", 0.0, decay, "fixed", optimizer, draw].training.lr
        assert s.training.lr == pytest.approx(max(1e-6, full * (1 - x)) if rate == "scaled" else full)


def test_the_lambda_axis_has_the_papers_proportions_of_teacher_and_random_weights():
    """PAPER, A.2: PyTorch's draw is sqrt(6) times smaller, so that .25 to .375 lies at .12 to .20."""
    for x in (0.125, 0.25, 0.375, 0.75):
        ours = optimization.own_lambda(x, "torch")
        assert ours / (1 - ours) * 6**0.5 == pytest.approx(x / (1 - x))
        assert optimization.own_lambda(x, "he-fan-out") == x
        for draw in ("torch", "he-fan-out"):
            assert optimization.paper_lambda(optimization.own_lambda(x, draw), draw) == pytest.approx(x)
    assert [round(optimization.own_lambda(x, "torch"), 2) for x in (0.0, 0.25, 0.375, 1.0)] == [0, 0.12, 0.2, 1]


def test_a_start_as_the_teacher_that_ends_no_nearer_to_it_is_no_sudden_success():
    """What the steepest step takes is a share of what such a start saves: of nothing, nothing."""
    def starting(*curves):
        rows = {("near", x): [Record("made", {}, {"train_kl": kl}, {}, 0.0, "", {}, "") for kl in column]
                for x, column in zip(optimization.AXIS, zip(*curves, strict=True), strict=True)}
        return optimization.steepest(Results(PROFILES["signals"], rows))

    falls = [0.8, 0.8, 0.8, 0.2, 0.2, 0.2, 0.1, 0.0, 0.0]
    assert starting(falls, falls) == pytest.approx([0.6 / 0.8, 0.6 / 0.8])
    assert starting(falls, falls, [*falls[:-1], 0.9]) == pytest.approx([0.75, 0.75, 0.0])  # thrown out at the last
    assert starting([0.5] * 9, [0.5] * 9).tolist() == [0.0, 0.0]


def test_charts_of_starts_show_the_runs_that_claims_rest_on_where_these_are_all_there():
    there = made_up("02_optimization", Design("workstation", 2))
    for near, other in (("near", "lambda"), ("basin", "surface")):
        assert optimization.starts(there, near, other) == {x: (near, x) for x in optimization.AXIS}
        lacks = replace(there, rows={name: row for name, row in there.rows.items() if name != (near, 1.0)})
        shown = optimization.starts(lacks, near, other)
        assert list(shown.values()) == [(other, x) for x in optimization.LAMBDAS]
        assert [round(x, 2) for x in shown] == [0, 0.26, 0.45, 0.6, 0.71, 0.88, 1]  # of PyTorch's draw, as in the paper


@pytest.fixture
def few_trials(monkeypatch, tmp_path):
    """Profile signals with one chapter of one run a trial."""
    monkeypatch.setenv("KDLIB_RESULTS", str(tmp_path / "results"))
    page = SimpleNamespace(stem="x", runs=lambda design: {"row": [teacher(trial=t) for t in design.trials]})
    monkeypatch.setattr("kdlib.experiments.CHAPTERS", {"01_x": page})
    return tmp_path / "results" / "signals" / "trials.jsonl.xz"


def test_trials_are_recorded_whole_one_after_another_as_metrics_in_one_compressed_file(kdlib, few_trials):
    assert kdlib("record", "--profile", "signals", "--seeds", 2, "--workers", 1)[:2] == (
        0, "trials.jsonl.xz: 2 runs of 2 trials\n")
    first = Recorded("signals").records
    code, out, error = kdlib("record", "--profile", "signals", "--seeds", 3, "--workers", 1)
    assert (code, out) == (0, "trials.jsonl.xz: 3 runs of 3 trials\n") and "1/1" in error
    source = Recorded("signals")
    assert source.trials == {100, 101, 102} and first.items() <= source.records.items()
    assert all(r.metrics["accuracy"] >= 0 and r.curves == {} for r in source.records.values())
    _, out, _ = kdlib("record", "--profile", "signals", "--seeds", 1, "--stored")
    assert out == "trials.jsonl.xz: 3 runs of 3 trials\n"  # none is dropped
    assert subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=few_trials.parent).returncode == 0
    assert kdlib("audit", "--profile", "signals", "--sample", 1)[0] == 0  # trained again, to the bit


def test_of_the_store_only_whole_trials_are_recorded(kdlib, few_trials):
    compute([teacher(trial=100), teacher(trial=102)], workers=1)
    assert kdlib("record", "--profile", "signals", "--stored")[1] == "trials.jsonl.xz: 1 runs of 1 trials\n"
    code, _, error = kdlib("record", "01_x", "--profile", "signals")
    assert code == 2 and "kdlib record all" in error


def test_a_compressed_file_that_is_damaged_is_named(kdlib, few_trials):
    assert kdlib("record", "--profile", "signals", "--seeds", 1, "--workers", 1)[0] == 0
    few_trials.write_bytes(few_trials.read_bytes()[:-9])
    code, _, error = kdlib("claims", "--profile", "signals")
    assert code == 2 and str(few_trials) in error and "restore it" in error and error.count("\n") == 1


# --- chapters

def test_numbers_and_file_names_agree_with_the_table_of_contents():
    toc = yaml.safe_load((project_root() / "_toc.yml").read_text())
    globs = [page["glob"] for part in toc["parts"] for page in part["chapters"] if "glob" in page]
    files = [toc["root"], *(page["file"] for part in toc["parts"] for page in part["chapters"] if "file" in page)]
    for name in PAGES:  # each is there once
        assert sum(fnmatch(f"book/executed/{name}", wanted) for wanted in (*globs, *files)) == 1
    assert sorted(PAGES) == list(PAGES)
    assert [int(name[:2]) for name in PAGES] == list(range(len(PAGES)))
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
    planned = {d: [page.runs(d) for page in CHAPTERS.values()]
               for d in (Design("paper"), Design("halves"), Design("signals", 1))}
    for shown in figure_map.FIGURES:
        for plan in shown.plans if isinstance(shown.plans, tuple) else (shown.plans,):
            d, rows = next((d, rows) for d in planned
                           if (d.profile.halves is None) == (plan.__module__ != halves.__name__) and (rows := plan(d)))
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
