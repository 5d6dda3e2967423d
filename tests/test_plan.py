"""The plan's arithmetic against hand-counted operations, and its counts against a store."""

import re

import pytest
from conftest import painter, student, surface, teacher

from kdlib import plan
from kdlib.compute import compute
from kdlib.experiments.design import Design, DesignError
from kdlib.runs import generator
from kdlib.runs.cost import Cost, Priced

# multiply-adds of the CNN for one signal: three convolutions (positions x inputs x outputs) and the head
FIRST, OTHERS = 20 * 5 * 24, 10 * 72 * 24 + 5 * 72 * 24 + 120 * 10


def test_flops_of_a_step_are_those_counted_by_hand():
    each = Priced("cnn1d", "mnist1d", batch=7).cost()
    assert each.label_flops == 2 * (FIRST + OTHERS)
    # backward: one product for the weights and one for the inputs of every layer, but for the signal itself
    assert each.step_flops == 7 * 2 * (2 * FIRST + 3 * OTHERS)
    parameters = 5 * 24 + 24 + 2 * (72 * 24 + 24) + 120 * 10 + 10
    assert each.state_bytes == 4 * 4 * parameters


def test_flops_of_a_bidirectional_lstm_are_those_counted_by_hand():
    """Two layers of two directions; four gates of 32 cells read the input and the state before; 100 tokens."""
    gates = 2 * 4 * 32 * (32 + 32) + 2 * 4 * 32 * (64 + 32)
    assert Priced("lstm-small", "imdb", batch=3).cost().label_flops == 2 * (100 * gates + 64 * 2)


def test_a_large_batch_is_counted_on_a_part_of_it():
    small, large = (Priced("resnet8-ln", "cifar100", batch).cost() for batch in (8, 800))
    assert (large.step_flops, large.label_flops) == (100 * small.step_flops, small.label_flops)


def test_labels_cost_what_the_teachers_net_costs():
    each, other = (Cost(step_flops=1000, label_flops=n, step_bytes=0, state_bytes=0) for n in (10, 7))
    assert plan.flops(student(3, fresh=30), each, other) == 5000 + (50 + 30) * 3 * 7


def test_fixed_inputs_are_labelled_once_and_augmented_ones_at_every_step():
    each = Cost(step_flops=1000, label_flops=10, step_bytes=0, state_bytes=0)
    assert plan.flops(teacher(steps=5), each) == 5000
    assert plan.flops(student(3, fresh=30), each) == 5000 + (50 + 30) * 3 * 10
    assert plan.flops(student(3, policy="mixup"), each) == 5000 + (5 * 10) * 3 * 10


def test_labels_that_students_share_are_counted_once():
    pair = [student(2, model="resnet1d-bn", policy="mixup", temperature=t) for t in (1.0, 4.0)]
    alone = student(2, model="resnet1d-bn", policy="mixup", fresh=30)
    assert plan.given([*pair, alone]) == {pair[1]}
    assert plan.given([student(temperature=t) for t in (1.0, 4.0)]) == set()  # of stacked nets each has its own
    each = Cost(step_flops=1000, label_flops=10, step_bytes=0, state_bytes=0)
    assert [plan.flops(s, each, given=s in plan.given(pair)) for s in pair] == [5000 + (5 * 10) * 2 * 10, 5000]


def test_the_plan_counts_shared_stored_and_missing_runs(store_here):
    compute([student()], workers=1)  # three runs: the student, its teacher, its foil
    report = plan.plan({"a": [student(), surface()], "b": [student(2)]}, workers=2, gpu="a100", utilisation=0.5)
    # a needs teachers 0 and 20, the student and the surface; b teachers 0, 1 and 20, and its student
    assert "6 runs (2 of them shared by several chapters): 3 in the store, 3 missing" in report
    assert "156 TFLOP/s (TF32) and an assumed utilisation of 50%" in report
    assert re.search(r"about \d+ s here on 2 one-thread workers", report)
    assert [plan.duration(s) for s in (119, 120, 7199, 7200, 86400, 172800)] == [
        "119 s", "2.0 min", "120.0 min", "2.0 h", "24.0 h", "2.0 days"]


def test_the_plan_says_what_is_committed_and_what_exceeds_the_memory_of_a_gpu(store_here, monkeypatch):
    class Committed:
        folder = "results/laptop"

        def get(self, spec):
            return spec if spec.kind == "teacher" else None

    monkeypatch.setitem(plan.GPUS, "abacus", ("FP32", 1e3, 1e-9))
    report = plan.plan({"a": [student()]}, workers=1, gpu="abacus", source=Committed())
    assert "2 of the missing are committed in results/laptop" in report
    assert re.search(r"cnn1d needs about 0 GB for a student's batch of \d+, and one abacus has 1e-09", report)
    assert "KDLIB_DEVICES" not in plan.plan({"a": [student()]}, workers=1, gpu="t4")


@pytest.mark.parametrize("wrong", [
    {"gpu": "abacus"}, *({"utilisation": share} for share in (0.0, 1e-300, 1.5, float("nan")))])
def test_a_plan_for_nothing_real_is_an_error(wrong):
    with pytest.raises(plan.PlanError):
        plan.plan({"a": [teacher()]}, workers=2, **wrong)


# multiply-adds for one 16x16 image: 8 filters and 16 latents in the generator, 4 filters in the discriminator
GENERATOR = 16 * 8 * 2**2 + sum(8 * 8 * (2 * 9 * s**2 + (s // 2)**2) for s in (4, 8, 16)) + 8 * 3 * 9 * 16**2
FIRST_CONV, FIRST_SHORTCUT = 3 * 4 * 9 * 16**2, 3 * 4 * 8**2
DISCRIMINATOR = 4 * 4 * 9 * (16**2 + 2 * 8**2 + 4 * 4**2) + 4 * 4 * 4**2 + 4


def test_flops_of_a_generators_step_are_those_counted_by_hand():
    """Five times: images made, real and made ones judged, backward to all weights. Once: backward to the images, not to
    the discriminator's weights, and on to the generator's, though not to the latents."""
    batch, stem, pixels = 4, 16 * 8 * 2**2, FIRST_CONV + FIRST_SHORTCUT
    judging = 2 * batch * (2 * pixels + 3 * DISCRIMINATOR)
    making = batch * (2 * (DISCRIMINATOR + pixels) + 3 * GENERATOR - stem)
    each = generator.priced(painter(batch=batch)).cost()
    # the rest are the spectral norms' products of a matrix and a vector
    assert each.step_flops == pytest.approx(2 * (5 * (batch * GENERATOR + judging) + making), rel=0.01)
    assert plan.flops(painter(steps=7), each) == 7 * each.step_flops


def test_the_plan_of_a_generator_counts_it_and_its_judge(store_here):
    report = plan.plan({"a": [painter(), painter(steps=9)]}, workers=1)
    assert "3 runs (0 of them shared by several chapters): 0 in the store, 3 missing" in report
    assert re.search(r"generator sngan-w8 +4 +2 +2 ", report)


@pytest.mark.parametrize("seeds", [True, 0, 1001, 2.0, "3", 10**5000], ids="abcdef")
def test_seeds_that_are_no_number_of_trials_get_a_sentence(seeds):
    with pytest.raises(DesignError, match=r"^seeds must be a whole number from 1 to 1,000 \(got .{1,60}\)$"):
        Design("smoke", seeds)
