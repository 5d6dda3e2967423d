"""The paper's own regime: its settings as printed, and rules that can hold and can fail."""

import numpy as np
import pytest

from kdlib.chapter import all_claims, claim_cards, on_record
from kdlib.experiments import CHAPTERS, Design, halves
from kdlib.experiments.claims import CLAIMS, IN_THE_REGIME
from kdlib.experiments.design import PROFILES, Results
from kdlib.experiments.standings import judged, standing
from kdlib.paths import project_root
from kdlib.results import Record
from kdlib.spec import Student, Teacher
from kdlib.stats import Estimate

D = Design("halves")
ROWS = CHAPTERS["10_halves"].runs(D)
STUDENTS = [spec for row in ROWS.values() for spec in row if isinstance(spec, Student)]


def test_the_recipe_is_the_papers_but_for_the_epochs_and_the_teachers_batch():
    """PAPER, A.2 and A.3."""
    for spec in {spec for row in ROWS.values() for spec in row}:
        t, images = spec.training, 25_000 + getattr(spec, "fresh", 0)
        assert (spec.model, spec.draw, spec.data.train, spec.data.test) == ("resnet20-bn", "he-fan-out", 25_000, 10_000)
        assert (t.optimizer, t.weight_decay, t.batch, t.warmup) == ("sgd", 1e-4, 128, 0)
        if isinstance(spec, Teacher):
            assert (t.lr, t.final_lr, t.nesterov, t.steps) == (0.1, 0.0, False, round(30 * images / 128))
        else:
            assert (t.lr, t.final_lr, t.nesterov, t.steps) == (0.05, 1e-6, True, round(45 * images / 128))


def test_all_trials_share_one_split_and_nothing_else():
    assert {spec.data.split for row in ROWS.values() for spec in row} == {0}
    for row in ROWS.values():
        assert [spec.data.trial for spec in row] == [5, 6, 7]
    assert len({t for s in STUDENTS for t in s.teachers}) == 9


def test_the_unseen_teachers_are_the_other_trials_ensembles_of_the_same_size():
    for s in STUDENTS:
        foils = s.foil, *s.foils
        assert [len(f) for f in foils] == [len(s.teachers)] * 2
        assert {f[0].data.trial for f in foils} == {5, 6, 7} - {s.data.trial}
        assert s.measures == "all"


@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_a_trial_is_the_same_run_whatever_the_number_of_trials(seeds):
    """So that records stay of use, and one trial alone has its unseen teachers."""
    for name, row in CHAPTERS["10_halves"].runs(Design("halves", seeds)).items():
        assert [*row[:3]] == [*ROWS[name][:seeds]]


def test_the_usual_students_of_the_profile_are_those_of_the_page():
    """`book/own_method.md` begins from them."""
    assert [*D.students()] == [*ROWS["tau", 1, 1.0]]


def test_the_pilot_is_none_of_the_recorded_runs():
    [pilot] = D.members(halves.PILOT, 0, 1)
    assert pilot not in {t for s in STUDENTS for t in (*s.teachers, *s.unseen)}


@pytest.mark.parametrize("low, high, printed, said", [
    (4.0, 9.0, 7.3, "comes out"), (-20.0, 23.0, 7.3, "open"), (-2.0, 1.0, 0.3, "open"), (0.1, 0.5, 0.3, "comes out"),
    (8.0, 9.0, 7.3, "higher here"), (-1.0, 2.0, 7.3, "lower here"), (-9.0, -2.0, -7.3, "comes out"),
    (-3.0, -0.1, 7.3, "opposite sign"), (0.1, 3.0, -7.3, "opposite sign"), (-3.0, 0.1, 7.3, "lower here")])
def test_a_difference_comes_out_only_where_its_interval_could_also_have_missed_it(low, high, printed, said):
    assert halves.comes_out(Estimate((low + high) / 2, low, high, 3), printed) == said


def test_targets_are_differences_of_the_printed_cells():
    """PAPER: tau 1 to 4 raises agreement by 7.3 (m = 1) and 8.9 (m = 3) points, m 1 to 3 by 5.9 and 7.5."""
    printed = {what: value for what, *_, value in halves.TARGETS}
    assert [round(printed[f"agreement, {label}"], 1) for label in (
        "tau = 4 minus 1, m = 1", "tau = 4 minus 1, m = 3", "m = 3 minus 1, tau = 1", "m = 3 minus 1, tau = 4")
            ] == [7.3, 8.9, 5.9, 7.5]


def results(**metrics):
    """{condition: {metric: mean}}: three trials about each mean, the same noise everywhere, so that differences have
    none."""
    noise = (-0.002, 0.0, 0.002)
    rows = {}
    for name in ROWS:
        own = {key: value(name) if callable(value) else value for key, value in metrics.items()}
        rows[name] = [Record("made", {}, {key: value + e for key, value in own.items()}, {}, 1.0, "", {}, "")
                      for e in noise]
    return Results(D.profile, rows, frozenset(ROWS))


def as_in_the_paper(name):
    kind, *rest = name
    if kind == "tau":
        return halves.PAPER[tuple(rest)][1] / 100
    return {"D0": 0.65, "D1": 0.67, "D0+D1": 0.72}.get(rest[0], 0.65)


def test_every_rule_can_hold_and_can_fail():
    def ece(name):
        return 0.1 if "D1" in name else 0.2

    def accuracy(name):
        return {"D1": 0.58, "D0+D1": 0.63}.get(name[1], 0.61)

    good = results(agreement=as_in_the_paper, kl=ece, ece=ece, accuracy=accuracy, teacher_accuracy=0.55,
                   independent_agreement=lambda name: 0.57 if as_in_the_paper(name) > 0.6 else 0.55,
                   independent2_agreement=lambda name: 0.57 if as_in_the_paper(name) > 0.6 else 0.55)
    bad = results(agreement=lambda name: 1.4 - as_in_the_paper(name), kl=lambda name: -ece(name),
                  ece=lambda name: -ece(name), accuracy=lambda name: -accuracy(name), teacher_accuracy=0.55,
                  independent_agreement=0.3, independent2_agreement=0.3)
    verdicts = [{claim.id: [part.verdict for part in claim.parts] for claim in judged("10_halves", r)}
                for r in (good, bad)]
    assert set(verdicts[0]) == {"F2", "F4", "F5", "P1", "D1", "D4"} == set(IN_THE_REGIME)
    for name, parts in verdicts[0].items():
        assert set(parts) == {"holds"}, name
    for name, parts in verdicts[1].items():
        assert "does not hold" in parts, name


def test_the_baseline_is_the_mean_over_all_unseen_ensembles():
    r = results(agreement=0.7, independent_agreement=0.5, independent2_agreement=0.6)
    name = ("tau", 1, 4.0)
    assert r.unseen(name).mean() == pytest.approx(0.55) == r.table([name], "unseen_agreement").mean()
    with pytest.raises(KeyError, match="unseen_kl"):
        r.unseen(name, "kl")
    assert r.specific(name) == pytest.approx(np.full(3, 0.15))
    assert r.room(name).mean() == pytest.approx(0.15 / 0.45, abs=1e-3)


def test_nobody_reads_one_of_several_unseen_ensembles_as_if_it_were_all():
    """Runs record a number each, `independent_` and `independent2_`, which `Record.number` alone puts together."""
    top = project_root()
    files = [*top.glob("kdlib/**/*.py"), *top.glob("notebooks/*.py"), *top.glob("tests/pages.py")]
    naming = {path.relative_to(top).as_posix() for path in files if "independent_" in path.read_text()}
    assert naming == {"kdlib/runs/student.py"} and "independent\\d*_" in (top / "kdlib/results.py").read_text()


@pytest.mark.parametrize("profile", PROFILES)
def test_every_claim_stands_somewhere_at_every_profile(profile):
    assert list(standing(profile)) == list(CLAIMS)
    assert list(standing("halves", only=("F2", "O4"))) == ["F2", "O4"]


def test_a_card_leads_to_the_regimes_chart_and_quotes_what_the_paper_prints_of_its_cells():
    column = {D.profile.where: {"F2": on_record("halves")["F2"]}}
    card = claim_cards(column).data
    assert 'href="10_halves.html#fig-halves"' in card and "65.31 % at m = 1, tau = 4: a gap of 34.69 points" in card
    assert "But for the paper&#x27;s regime, its rule was changed" in all_claims(column).data
