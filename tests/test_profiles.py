"""The profile `paper`: its runs and their hyperparameters against what the paper states, typed here from the paper, and
two real steps of every kind of run on made-up data."""


import json

import numpy as np
import pytest
import torch
from conftest import images, photographs, teacher
from pydantic import TypeAdapter

from kdlib import data
from kdlib.compute import levels
from kdlib.data import draws
from kdlib.experiments import CHAPTERS
from kdlib.experiments.design import PROFILES, Design, Results
from kdlib.experiments.profile import FIRST
from kdlib.experiments.standings import judged
from kdlib.results import Record, Recorded
from kdlib.runs import execute
from kdlib.runs import teacher as teachers
from kdlib.runs.student import start_of
from kdlib.runs.training import initial
from kdlib.spec import Spec

ROWS = {name: module.runs(Design("paper")) for name, module in CHAPTERS.items()}
RUNS = {name: {s for layer in levels(s for row in rows.values() for s in row) for s in layer}
        for name, rows in ROWS.items()}
ALL = set().union(*(runs for name, runs in RUNS.items() if name != "08_errata"))  # which repeats defects on purpose
DATA = "03_distillation_data"
CIFAR_NETS = {"resnet20-bn", "bottleneck56-bn", "bottleneck110-bn", "resnet20-ln", "vgg16"}


def of(kind, data_set):
    return [s for s in ALL if s.kind == kind and s.data.name == data_set]


def one(chapter, *row):
    """The run of the first trial in a row."""
    return ROWS[chapter][row if len(row) > 1 else row[0]][0]


def inputs(student):
    own = student.data.train
    return own + student.fresh + student.related + student.generated


def recipe(training):
    t = training
    return t.optimizer, t.nesterov, t.lr, t.final_lr, t.weight_decay, t.batch


def epochs(training, n):
    return training.steps * training.batch / n


# --- hyperparameters (appendix A.1 to A.3)

def test_cifar_teachers_take_200_epochs_of_256_with_cosine_from_a_tenth_to_zero():
    found = of("teacher", "cifar100")
    assert {s.model for s in found} == CIFAR_NETS - {"bottleneck110-bn"}
    assert {recipe(s.training) for s in found} == {("sgd", False, 0.1, 0.0, 1e-4, 256)}
    assert {s.data.train for s in found} == {50_000, 25_000} and {s.data.test for s in found} == {10_000}
    assert all(epochs(s.training, s.data.train) == pytest.approx(200, abs=0.01) for s in found)


def test_cifar_students_take_300_epochs_of_128_of_their_own_set():
    found = of("student", "cifar100")
    assert {s.model for s in found} == CIFAR_NETS
    adam = [s for s in found if s.training.optimizer == "adam"]
    assert {recipe(s.training) for s in set(found) - set(adam) if s.training.weight_decay} == {
        ("sgd", True, 0.05, 1e-6, 1e-4, 128)}
    assert {s.model for s in adam} == {"resnet20-ln"}
    longer = {s for name, row in ROWS["02_optimization"].items() if name[0] in ("SGD", "Adam") or name == "longer"
              for s in row}
    usual = [s for s in found if s not in longer]
    assert all(epochs(s.training, inputs(s)) == pytest.approx(300, abs=0.01) for s in usual)


def test_three_trials_and_ten_of_table_1():
    assert {len(row) for name, rows in ROWS.items() for key, row in rows.items() if key[0] != "start"
            } == {3}
    assert {len(ROWS["02_optimization"]["start", s]) for s in ("random", "teacher-initial")} == {10}
    assert {s.data.trial for s in ALL if s.kind == "teacher"} == set(range(FIRST, FIRST + 10))


def test_the_generator_is_the_papers():
    found = [s for s in ALL if s.kind == "generator"]
    assert len(found) == 3
    for g in found:
        assert (g.width, g.latent, g.steps, g.batch, g.discriminator_steps) == (256, 128, 100_000, 128, 5)
        assert (g.lr, g.final_lr, g.data.train) == (2e-4, 1e-6, 50_000)


def test_reviews_take_100_epochs_of_100():
    found = of("teacher", "imdb") + of("student", "imdb")
    assert {s.model for s in found} == {"lstm"}
    assert {(s.training.lr, s.training.weight_decay, s.training.batch) for s in found} == {(1e-2, 1e-3, 100)}
    assert {(s.data.train, s.data.test, s.training.steps) for s in found} == {(25_000, 25_000, 25_000)}


def test_imagenet_takes_90_epochs_of_1024_with_five_of_warm_up():
    teachers, students = of("teacher", "imagenet"), of("student", "imagenet")
    for s in teachers + students:
        t = s.training
        assert (s.model, t.optimizer, t.lr, t.final_lr, t.batch) == ("resnet50", "sgd", 0.1, 0.0, 1024)
        assert (s.data.train, s.data.test) == (1_281_167, 50_000)
        assert epochs(t, 1_281_167) == pytest.approx(90, abs=0.001)
        assert t.warmup * t.batch / 1_281_167 == pytest.approx(5, abs=0.001)
    assert {s.training.weight_decay for s in teachers} == {1e-4}
    assert {s.training.weight_decay for s in students} == {0.0}


def test_mnist_teachers_see_200_images_100_times():
    for s in of("teacher", "mnist"):
        assert (s.model, s.data.train, s.data.test) == ("lenet5", 200, 10_000)
        assert epochs(s.training, 200) == 100
    for s in of("student", "mnist"):
        assert recipe(s.training) == ("sgd", True, 0.05, 1e-6, 1e-4, 128)
        assert epochs(s.training, inputs(s)) == pytest.approx(300, abs=0.01)


# --- the rows of every figure and table

def test_figure_1_adds_generated_images_up_to_as_many_again():
    for m in (1, 3, 5):
        rows = [one("01_fidelity_gap", *name) for name in ROWS["01_fidelity_gap"] if name[:2] == ("size", m)]
        assert [s.generated for s in rows] == [0, 12_500, 25_000, 37_500, 50_000]
        assert {(len(s.teachers), s.model, s.fresh, s.data.train) for s in rows} == {(m, "bottleneck56-bn", 0, 50_000)}


def test_generated_images_are_others_in_every_batch():
    with_generator = [s for rows in ROWS.values() for row in rows.values() for s in row
                      if getattr(s, "generator", None)]
    assert with_generator and all(s.anew for s in with_generator)


def test_figure_2_adds_quarters_of_emnist():
    rows = [s for name, (s, *_) in ROWS["01_fidelity_gap"].items() if name[0] == "mnist"]
    assert [s.related for s in rows] == [0, 174_483, 348_966, 697_932]
    assert {(s.data.train + s.fresh, s.copies, s.model) for s in rows} == {(60_000, 0, "lenet5")}


PAPER_CELLS = {("baseline", 1), ("baseline", 4), ("rotation", 1), ("vflip", 1), ("colour", 1), ("combined", 1),
               ("mixup", 1), ("mixup", 4), ("gan", 4), ("ood", 1), ("noise", 1)}


def test_figures_3_and_11_have_the_papers_eleven_policies():
    for m in (1, 3, 5):
        found = [one(DATA, *name) for name in ROWS[DATA] if name[:2] == ("policy", m)]
        assert {(s.policy, s.temperature) for s in found} == PAPER_CELLS and len(found) == 11
        assert {(s.model, len(s.teachers)) for s in found} == {("bottleneck56-bn", m)}


def test_figure_4_halves_the_training_images():
    for s, inputs_, fresh in (("D0", "D0", 0), ("D1", "D1", 0), ("D0+D1", "D0", 25_000)):
        rows = [one(DATA, *name) for name in ROWS[DATA] if name[:2] == ("recycle", s)]
        assert {(len(r.teachers), r.temperature) for r in rows} == {(1, 4), (3, 4), (5, 4), (3, 1), (3, 8)}
        assert {(r.inputs, r.fresh, r.generated, r.data.train) for r in rows} == {(inputs_, fresh, 0, 25_000)}
        assert {r.model for r in rows} == {"bottleneck56-bn"}


def test_figure_9_is_of_resnet_20_on_half_the_images():
    rows = [one(DATA, *name) for name in ROWS[DATA] if name[0] == "tau"]
    assert {(len(s.teachers), s.temperature) for s in rows} == {(m, t) for m in (1, 3, 5) for t in (1, 4, 8, 16)}
    assert {(s.model, s.teachers[0].model, s.data.train, s.inputs) for s in rows} == {
        ("resnet20-bn", "resnet20-bn", 25_000, "D0")}


def test_nets_are_drawn_as_in_the_official_code_and_deep_ones_are_of_bottleneck_blocks():
    """PAPER, Models: 6n + 2 layers below depth 44, bottleneck blocks and 9n + 2 from there on."""
    found = [s for s in ALL if s.kind in ("teacher", "student") and s.data.name == "cifar100"]
    assert {s.draw for s in found if s.model != "vgg16"} == {"he-fan-out"}
    depths = {int(s.model.split("-")[0].removeprefix("bottleneck")) for s in found if "bottleneck" in s.model}
    assert depths == {56, 110} and {(d - 2) % 9 for d in depths} == {0}


def test_the_long_runs_of_figure_6_have_no_weight_decay():
    found = [s for (kind, *_), (s, *_) in ROWS["02_optimization"].items() if kind in ("SGD", "Adam", "patient")]
    assert {(round(epochs(s.training, 50_000)), s.training.weight_decay) for s in found} == {
        (300, 1e-4), (1000, 0), (5000, 0)}


def test_table_1_is_of_resnet_20():
    found = [row for name, row in ROWS["02_optimization"].items() if name[0] == "start"]
    assert {(s.model, s.teachers[0].model) for row in found for s in row} == {("resnet20-bn", "resnet20-bn")}
    assert {len(row) for row in found} == {10}


def test_figure_6_is_of_resnet_20_with_layer_norm():
    rows = ROWS["02_optimization"]
    for name in ("SGD", "Adam"):
        lasts = [epochs(s.training, 50_000) for key, (s, *_) in rows.items() if key[0] == name]
        assert lasts == pytest.approx([300, 1000, 5000], abs=0.01)
    found = [s for name, (s, *_) in rows.items() if name[0] in ("SGD", "Adam", "lambda")]
    assert {(s.model, s.teachers[0].model, len(s.teachers), s.policy) for s in found} == {
        ("resnet20-ln", "resnet20-ln", 1, "baseline")}
    near = [s.toward_teacher for name, (s, *_) in rows.items() if name[0] == "lambda"]
    assert (min(near), max(near)) == (0, 1) and {0.25, 0.375} < set(near)
    assert {name[1] for name, (s, *_) in rows.items() if name[0] == "surface" and s.grid} == {0, 0.25, 0.375}


def test_figure_10_has_every_number_of_members_to_twelve_and_figure_14_its_five_alphas():
    rows = ROWS["04_paradox"]
    for t in (1, 4):  # the caption's temperature, and that of which the numbers seem to be
        found = [s for name, (s, *_) in rows.items() if name[0] == "members" and s.temperature == t]
        assert [len(s.teachers) for s in found] == list(range(1, 13))
        assert all(len(s.foil) == len(s.teachers) and s.alpha == 0 for s in found)
    mixed = [s for name, (s, *_) in rows.items() if name[0] == "alpha"]
    assert {(len(s.teachers), s.alpha, s.temperature) for s in mixed} == {
        (m, a, 1) for m in (1, 3, 5) for a in (0, 0.1, 0.3, 0.5, 0.7)}


def test_figures_12_and_13_and_table_2():
    rows = {name: row[0] for name, row in ROWS["05_scale"].items()}
    pairs = {(s.teachers[0].model, s.model) for name, s in rows.items() if name[0] == "capacity"}
    assert pairs == {("resnet20-bn", "resnet20-bn"), ("resnet20-bn", "bottleneck56-bn"),
                     ("bottleneck56-bn", "bottleneck56-bn"), ("bottleneck56-bn", "bottleneck110-bn")}
    other = [s for name, s in rows.items() if name[0] == "architecture"]
    assert len({s.policy for s in other}) == 6
    assert {(s.model, s.teachers[0].model, len(s.teachers)) for s in other} == {("vgg16", "vgg16", 5)}
    for name in ("text", "photographs"):
        assert [len(s.teachers) for n, s in rows.items() if n[0] == name] == [1, 3, 5]
    shown = [s for name, s in rows.items() if name[0] == "labels"]
    assert {(s.teachers[0].model, s.temperatures) for s in shown} == {
        ("resnet20-bn", (1, 4)), ("bottleneck56-bn", (1, 4))}


def test_every_student_has_a_foil_of_its_teachers_kind_that_it_never_sees():
    for s in ALL:
        if s.kind == "student":
            assert len(s.foil) == len(s.teachers) and not set(s.foil) & set(s.teachers)
            assert {(t.model, t.training) for t in s.foil} == {(t.model, t.training) for t in s.teachers}


@pytest.mark.parametrize("name, count", [("01_fidelity_gap", 99), ("02_optimization", 289), (DATA, 273),
                                         ("04_paradox", 246), ("05_scale", 198), ("08_errata", 168)])
def test_a_chapter_has_so_many_runs(name, count):
    assert len(RUNS[name]) == count


def test_every_claim_is_tested_on_the_runs_that_the_paper_profile_plans():
    """With made-up numbers for them."""
    rng = np.random.default_rng(0)

    class Numbers(dict):
        def __missing__(self, metric):
            return rng.uniform(0.4, 0.6)

    for name, rows in ROWS.items():
        made = {s: Record(s.key, {}, Numbers(), {}, 1.0, "none", {}, "none") for row in rows.values() for s in row}
        assert [claim.reason for claim in judged(name, Results.of(PROFILES["paper"], rows, made)) if claim.reason] == []


# --- the other profiles stay as they are

def test_every_run_of_laptop_is_recorded():
    """A change of a profile that changes keys would leave the book without its records."""
    source = Recorded("laptop")
    specs = {s for module in CHAPTERS.values() for layer in levels(
        s for row in module.runs(Design("laptop")).values() for s in row) for s in layer}
    assert [spec for spec in specs if source.get(spec) is None] == []


# --- two steps of every kind of run

def kind_of(spec):
    """Runs of one kind take the same way through the code."""
    if spec.kind not in ("teacher", "student"):
        return spec.kind
    if spec.kind == "teacher":
        return f"teacher {spec.model}"
    more = [spec.policy, spec.inputs, spec.start, *(n for n in (
        "fresh", "related", "generated", "alpha", "toward_teacher") if getattr(spec, n))]
    return f"student {spec.model} of {spec.teachers[0].model} {spec.training.optimizer} {' '.join(more)}"


# of each kind one with most teachers, of the first trial, so that kinds share teachers
KINDS = {kind_of(s): s for s in sorted((row[0] for rows in ROWS.values() for row in rows.values()),
                                       key=lambda s: (len(getattr(s, "teachers", ())), s.key))}
KINDS |= {kind_of(n): n for s in KINDS.values() for n in s.needs}
MADE = {}
FEW = {"train": 8, "test": 8, "steps": 2, "batch": 2, "grid": 2, "segment": 2, "fresh": 8, "related": 9,
       "generated": 9, "width": 8, "warmup": 1, "show": 2}


def small(value, members=2):
    """The same run on a few inputs, with so many teachers and foils at the most, two steps long."""
    if isinstance(value, list):
        return [small(v, members) for v in value[:members]]
    if isinstance(value, dict):
        return {k: min(v, FEW[k]) if k in FEW else small(v, members) for k, v in value.items()}
    return value


@pytest.fixture
def made_up_data(monkeypatch, tmp_path):
    """Noise under the names of the paper's data sets, photographs of several shapes among it."""
    rng = np.random.default_rng(1)
    arrays = {"cifar100": images(3, 32), "svhn": images(3, 32), "mnist": images(1, 28), "emnist": images(1, 28),
              "imdb": rng.integers(0, 500, (400, 100))}
    files = np.array(photographs(tmp_path, 20))
    monkeypatch.setattr(draws, "array", lambda name, part: arrays[name] if part.endswith("x") else
                        np.arange(20) if name == "imagenet" else np.arange(400) % 2)
    monkeypatch.setattr(draws, "photo_files", lambda name, part, rows=slice(None): files[rows])


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_two_steps_of_a_run_of_each_kind(kind, made_up_data, monkeypatch):
    monkeypatch.setattr("kdlib.runs.generator.SAMPLES", 40)

    def run(spec):
        if spec.key not in MADE:
            MADE[spec.key] = execute([spec], lambda s: run(s)[2])[0]
        return MADE[spec.key]

    spec = TypeAdapter(Spec).validate_json(json.dumps(small(
        KINDS[kind].model_dump(mode="json"), members=1 if "resnet50" in kind else 2)))
    assert kind_of(spec) == kind
    numbers, curves, weights = run(spec)
    assert numbers and all(np.isfinite(v) for v in numbers.values())
    if spec.kind in ("teacher", "student"):
        assert len(curves["loss"]) == 2
        start = initial(spec) if spec.kind == "teacher" else start_of(spec, lambda s: run(s)[2])
        assert all(not torch.equal(p, weights[name]) for name, p in start.named_parameters())


# --- photographs and letters

def test_photographs_are_prepared_one_batch_at_a_time(made_up_data):
    photos = TypeAdapter(Spec).validate_json(json.dumps(small(KINDS["teacher resnet50"].model_dump())))
    assert teachers.prepare(photos).source.block == 1
    assert teachers.prepare(teacher()).source.block == 20


def test_more_of_emnist_begins_with_the_same_images(made_up_data):
    assert torch.equal(data.related("emnist", 9, trial=5), data.related("emnist", 30, trial=5)[:9])
    with pytest.raises(data.DataError, match="400 images"):
        data.related("emnist", 401, trial=5)
