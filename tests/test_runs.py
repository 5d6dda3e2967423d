import json
import math

import pytest
import torch
from conftest import student, surface, teacher

from kdlib import run
from kdlib.compute import compute, levels
from kdlib.spec import Training
from kdlib.store import Store, StoreError, checksum, fresh
from kdlib.train import Diverged, fit

KINDS = [teacher(), student(), student(3, policy="combined"), student(alpha=0.3), student(toward_teacher=0.25),
         student(policy="ood"), student(policy="fresh"), student(start="teacher-initial"), surface()]


def result(spec, made=None):
    made = {} if made is None else made

    def weights_of(needed):
        if needed.key not in made:
            made[needed.key] = fresh(needed, weights_of)[1]
        return made[needed.key]

    return fresh(spec, weights_of)[0]


@pytest.mark.parametrize("spec", KINDS)
def test_equal_specs_give_equal_records_to_the_bit(spec):
    assert result(spec).same_result(result(spec))


def test_workers_and_order_change_nothing(store_here, tmp_path):
    specs = [student(), student(2), surface(), teacher(3)]
    one = compute(specs, workers=2)
    again = {s: Store(tmp_path / "other") for s in reversed(specs)}
    for spec in reversed(specs):
        for layer in levels([spec]):
            for needed in layer:
                again[needed] = Store(tmp_path / "other").run(needed)[0]
        assert one[spec].same_result(again[spec])


def test_a_student_at_its_teacher_starts_with_full_agreement_and_no_kl(monkeypatch):
    monkeypatch.setattr(run, "fit", lambda *_: [0.0])
    metrics = result(student(toward_teacher=1.0), {teacher(i).key: fresh_weights(i) for i in (0, 20)}).metrics
    assert metrics["agreement"] == 1 and metrics["kl"] == pytest.approx(0, abs=1e-12)
    assert metrics["cka1"] == pytest.approx(1)


def fresh_weights(member):
    return {k: v + 0.1 for k, v in run.build("cnn1d", member).state_dict().items()}


def test_teachers_come_before_students_and_only_once():
    layers = levels([student(2), surface()])
    assert [len(layer) for layer in layers] == [3, 2, 1]


def test_what_is_stored_is_not_trained_again(store_here, monkeypatch):
    store = Store()
    first, trained = store.run(teacher())
    monkeypatch.setattr("kdlib.store.execute", lambda *_: pytest.fail("trained again"))
    again, trained_again = store.run(teacher())
    assert trained and not trained_again and again == first


@pytest.mark.parametrize("damage", [lambda t: t[: len(t) // 2], lambda t: "", lambda t: '{"a": 1}', lambda t: "[1]",
                                    lambda t: t.replace('"accuracy": 0', '"accuracy": 1')])
def test_a_damaged_record_is_named_set_aside_and_retrained_only_when_asked(store_here, damage):
    store = Store()
    good, _ = store.run(teacher())
    path = store.record_path(teacher().key)
    path.write_text(damage(path.read_text()))
    with pytest.raises(StoreError, match=path.name):
        store.get(teacher())
    assert (store.root / "set-aside" / path.name).exists()
    assert store.run(teacher())[0].same_result(good)


def test_a_damaged_checkpoint_is_named_and_set_aside(store_here):
    store = Store()
    store.run(teacher())
    path = store.weights_path(teacher().key)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StoreError, match=path.name):
        store.weights(teacher())
    assert store.get(teacher()) is None


def test_a_record_of_another_run_is_refused(store_here):
    store = Store()
    store.run(teacher())
    store.record_path(teacher(1).key).write_text(store.record_path(teacher().key).read_text())
    with pytest.raises(StoreError, match="another run"):
        store.get(teacher(1))


def test_nothing_half_written_stays_behind(store_here, monkeypatch):
    store = Store()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError):
        store.run(teacher())
    assert not list((store.root / "runs").iterdir()) and not list((store.root / "weights").iterdir())


def test_a_missing_record_is_an_error_that_counts_and_names(store_here, tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_FROM_RECORDS", "1")
    monkeypatch.setenv("KDLIB_RESULTS", str(tmp_path))
    with pytest.raises(StoreError, match=teacher().key):
        compute([teacher()], profile="laptop")


def test_a_loss_that_is_not_finite_names_run_and_step():
    net = torch.nn.Linear(2, 2)
    x = torch.randn(30, 2)

    def loss(logits, row):
        return logits.sum(1) * math.nan

    with pytest.raises(Diverged, match="run abc.*step 0 of 7"):
        fit(net, Training(steps=7, batch=3), 30, lambda rows: (x[rows], x[rows]), loss, torch.Generator(), "abc")


def test_the_learning_rate_does_not_depend_on_where_the_student_starts():
    assert student(toward_teacher=0.75).training == student().training


def test_checksums_see_every_change():
    body = json.loads(result(teacher()).line())
    body.pop("checksum")
    before = checksum(body)
    body["metrics"]["nll"] += 1e-12
    assert checksum(body) != before
