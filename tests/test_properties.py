"""Properties that hold for every input that hypothesis can think of, and readers fed with garbage."""

import hashlib
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pydantic import TypeAdapter

from kdlib import data, losses, metrics
from kdlib.cli import read_specs
from kdlib.data import signals, stored
from kdlib.results import Recorded, StoreError, parse
from kdlib.spec import RESULTS_VERSION, Data, Spec, Student, Surface, Teacher, Training
from kdlib.stats import Part, estimate
from kdlib.store import KeptState, Store

settings.register_profile("kdlib", max_examples=60, deadline=None, derandomize=True,
                          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
settings.load_profile("kdlib")

counts = st.integers(1, 10**6)
trainings = st.builds(Training, optimizer=st.sampled_from(["adamw", "sgd"]), lr=st.floats(1e-6, 10),
                      weight_decay=st.floats(0, 1), batch=counts, steps=counts)
kinds = {"cnn1d": "mnist1d", "mlp": "mnist1d-easy", "lenet5": "mnist"}


@st.composite
def teachers(draw, nets=tuple(kinds)):
    model = draw(st.sampled_from(nets))
    data = Data(name=kinds[model], trial=draw(st.integers(0, 99)), train=draw(counts), test=draw(counts))
    return Teacher(data=data, model=model, training=draw(trainings), member=draw(st.integers(0, 50)))


@st.composite
def students(draw):
    one, m = draw(teachers(("cnn1d", "mlp"))), draw(st.integers(1, 4))
    pool = [one.but(member=i) for i in range(2 * m)]
    return Student(teachers=tuple(pool[:m]), foil=tuple(pool[m:]), inputs=draw(st.sampled_from(["D0", "D1"])),
                   fresh=draw(st.integers(0, 1000)), temperature=draw(st.floats(0.1, 50)),
                   policy=draw(st.sampled_from(["baseline", "mixup", "noise"])), model=one.model,
                   training=draw(trainings))


specs = st.one_of(teachers(), students(), st.builds(Surface, student=students(), grid=st.integers(0, 50)))
finite = st.floats(-1e4, 1e4, allow_nan=False, width=32)


shapes = st.tuples(st.integers(1, 20), st.integers(1, 12))


def of_shape(shape):
    return npst.arrays(np.float32, shape, elements=finite).map(torch.from_numpy)


logits = shapes.flatmap(of_shape)
pairs = shapes.flatmap(lambda shape: st.tuples(of_shape(shape), of_shape(shape)))


@given(specs)
def test_a_spec_comes_back_from_json_as_the_same_value_with_the_same_key(spec):
    again = TypeAdapter(Spec).validate_json(json.dumps(spec.model_dump(mode="json")))
    assert again == spec and again.key == spec.key and hash(again) == hash(spec)


@given(specs, specs)
def test_specs_are_equal_exactly_when_all_their_values_are(one, other):
    assert (one == other) == (one.key == other.key) == (one.model_dump() == other.model_dump())


@given(specs)
def test_a_key_is_a_hash_of_all_values_sorted_by_name(spec):
    text = json.dumps([RESULTS_VERSION, spec.model_dump(mode="json")], sort_keys=True)
    assert spec.key == hashlib.sha256(text.encode()).hexdigest()[:24]


@given(pairs, st.floats(0.25, 20))
def test_no_student_beats_the_teacher_at_its_own_distribution(pair, temperature):
    s, t = (z.double() for z in pair)
    loss, optimum = losses.distillation(s, t, temperature), losses.distillation(t, t, temperature)
    assert torch.isfinite(loss).all() and (loss >= optimum - 1e-6 * (1 + optimum.abs())).all()


@given(pairs, st.floats(-1000, 1000))
def test_metrics_are_bounded_and_blind_to_a_constant_added_to_logits(pair, constant):
    s, t = (z.double() for z in pair)
    assert 0 <= metrics.agreement(s, t) <= 1 and metrics.agreement(s, s + 0) == 1
    assert metrics.predictive_kl(t, s) >= 0
    assert metrics.predictive_kl(t + constant, s) == pytest.approx(metrics.predictive_kl(t, s), rel=1e-6, abs=1e-6)


@given(logits, st.data())
def test_accuracy_is_a_share_and_calibration_error_no_more_than_one(z, chosen):
    y = torch.tensor(chosen.draw(st.lists(st.integers(0, z.shape[1] - 1), min_size=len(z), max_size=len(z))))
    assert 0 <= metrics.ece(z, y) <= 1 and metrics.nll(z, y) >= 0
    assert metrics.accuracy(z, y) * len(z) == pytest.approx(round(metrics.accuracy(z, y) * len(z)))


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30), st.floats(0.5, 0.99))
def test_an_interval_holds_its_mean_and_grows_with_confidence(values, confidence):
    narrow, wide = estimate(values, confidence), estimate(values, 0.5 + confidence / 2)
    assert wide.low <= narrow.low <= narrow.mean <= narrow.high <= wide.high
    assert min(values) - 1e-6 <= narrow.mean <= max(values) + 1e-6


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=10), st.floats(-5, 5), st.floats(0.01, 5))
def test_above_and_below_never_hold_together(values, threshold, shift):
    above, below = (Part("x", np.array(values), side, threshold, "") for side in ("above", "below"))
    assert {above.verdict, below.verdict} in ({"holds", "does not hold"}, {"undecided"})
    moved = Part("x", np.array(values) + shift + 1e-9, "above", threshold, "")
    assert not (above.verdict == "holds" and moved.verdict != "holds")


garbage = st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda t: t.encode(errors="replace")),
                    st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=8), lambda inner: st.lists(
                        inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8
                    ).map(lambda value: json.dumps(value).encode()))
TEACHER = Teacher(data=Data(trial=0, train=50, test=60), model="cnn1d", training=Training(steps=5), member=0)


def named(path):
    return pytest.raises(StoreError, match=path.name)


@given(garbage)
def test_garbage_in_the_place_of_a_record_is_an_error_that_names_the_file(store_here, content):
    store = Store()
    store.prepare()
    path = store.record_path(TEACHER.key)
    path.write_bytes(content)
    with named(path):
        store.get(TEACHER)


@given(garbage)
def test_garbage_in_the_place_of_weights_or_kept_state_is_an_error_that_names_the_file(store_here, content):
    store = Store()
    store.prepare()
    path = store.weights_path(TEACHER.key)
    path.write_bytes(content)
    with named(path):
        store.weights(TEACHER)
    kept = KeptState(store, [TEACHER])
    kept.path.write_bytes(content)
    with named(kept.path):
        kept.load()


@given(garbage)
def test_garbage_among_the_committed_records_is_an_error_that_names_file_and_line(tmp_path, monkeypatch, content):
    monkeypatch.setenv("KDLIB_RESULTS", str(tmp_path))
    path = tmp_path / "laptop" / "01_x.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content + b"\n{}")
    with named(path):
        Recorded("laptop")


@given(garbage)
def test_garbage_in_the_place_of_a_draw_is_an_error_that_names_the_file(tmp_path, monkeypatch, content):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    path = tmp_path / "mnist1d" / stored.version() / "mnist1d-0-train-0.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(data.DataError, match=path.name):
        signals.drawn("mnist1d", (0, "train"), 10)


@given(garbage)
def test_garbage_in_the_place_of_a_file_of_specs_is_an_error(tmp_path, content):
    path = tmp_path / "specs.json"
    path.write_bytes(content)
    try:
        specs = read_specs(path)
    except StoreError as error:
        assert path.name in str(error)  # noqa: PT017 - not every input is an error
        return
    assert specs


@given(st.text(max_size=300))
def test_no_text_is_taken_for_a_record(text):
    with pytest.raises(StoreError, match="here"):
        parse(text, "here")


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_value_that_is_not_finite_never_becomes_an_estimate(value):
    if not math.isfinite(value):
        with pytest.raises(ValueError, match="finite values"):
            estimate([0.5, value])
