"""Records and checkpoints on disk; test_faults.py has what disks, clocks and other processes do to them."""

import dataclasses
import gc
import json
import math
import os
import shutil
import time

import pytest
import torch
from conftest import result, same_result, student, teacher
from safetensors.torch import load, save

from kdlib import audit
from kdlib.compute import cohorts, compute
from kdlib.results import Damaged, Foreign, Recorded, StoreError, checksum, parse
from kdlib.runs import cohort, labeller
from kdlib.spec import Training
from kdlib.store import KeptState, Store, commit_weights, committed_weights, digest
from kdlib.train import logits_of


def test_what_is_stored_is_not_trained_again(store_here, monkeypatch):
    store = Store()
    [(first, trained)] = store.run([teacher()])
    monkeypatch.setattr("kdlib.store.execute", lambda *_: pytest.fail("trained again"))
    [(again, trained_again)] = store.run([teacher()])
    assert trained and not trained_again and again == first


@pytest.mark.parametrize("damage", [lambda t: t[: len(t) // 2], lambda t: "", lambda t: '{"a": 1}', lambda t: "[1]",
                                    lambda t: t.replace('"accuracy": 0', '"accuracy": 1')])
def test_a_damaged_record_is_named_set_aside_and_retrained_only_when_asked(store_here, damage):
    store = Store()
    [(good, _)] = store.run([teacher()])
    path = store.record_path(teacher().key)
    path.write_text(damage(path.read_text()))
    with pytest.raises(StoreError, match=path.name):
        store.get(teacher())
    assert (store.root / "set-aside" / path.name).exists()
    assert same_result(store.run([teacher()])[0][0], good)


@pytest.mark.parametrize("damage", [
    pytest.param(lambda b: b[:100], id="truncated"), pytest.param(lambda b: b"", id="empty"),
    pytest.param(lambda b: b[:-1] + bytes([b[-1] ^ 1]), id="one bit of the last weight"),
    pytest.param(lambda b: b.replace(b"second.bias", b"secund.bias"), id="a name"),
    pytest.param(lambda b: b.replace(b'mnist1d\\": \\"0', b'mnist1d\\": \\"1'), id="its data"),
    pytest.param(lambda b: save(load(b)), id="without its note")])
def test_a_damaged_or_edited_checkpoint_is_named_and_set_aside(store_here, damage):
    store = Store()
    store.run([teacher()])
    path = store.weights_path(teacher().key)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StoreError, match=path.name):
        store.weights(teacher())
    assert (store.root / "set-aside" / path.name).exists() and store.get(teacher()) is None


def test_every_flipped_byte_of_a_checkpoint_is_found(store_here):
    store = Store()
    store.run([teacher(model="mlp")])
    path = store.weights_path(teacher(model="mlp").key)
    whole = path.read_bytes()
    for at in range(0, len(whole), len(whole) // 60):
        store.run([teacher(model="mlp")])
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with pytest.raises(StoreError, match=path.name):
            store.weights(teacher(model="mlp"))


def test_a_checkpoint_of_another_run_is_refused(store_here):
    store = Store()
    store.run([teacher(), teacher(1)])
    shutil.copy(store.weights_path(teacher().key), store.weights_path(teacher(1).key))
    with pytest.raises(StoreError, match="another run"):
        store.weights(teacher(1))


def test_a_record_of_another_run_is_refused(store_here):
    store = Store()
    store.run([teacher()])
    store.record_path(teacher(1).key).write_text(store.record_path(teacher().key).read_text())
    with pytest.raises(StoreError, match="another run"):
        store.get(teacher(1))


def test_nothing_half_written_stays_behind(store_here, monkeypatch):
    store = Store()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.run([teacher()])
    assert not list((store.root / "runs").iterdir()) and not list((store.root / "weights").iterdir())


def test_what_a_killed_writer_left_is_removed_after_an_hour(store_here):
    store = Store()
    store.prepare()
    old, new = (store.root / "runs" / f".{teacher().key}.json.{name}" for name in ("0ld_0000", "new_0000"))
    for path in (old, new):
        path.write_text("{")
    os.utime(old, (time.time() - 3700,) * 2)
    compute([teacher()], workers=1)
    assert new.exists() and not old.exists()


def test_checksums_see_every_change():
    body = json.loads(result(teacher()).line())
    body.pop("checksum")
    before = checksum(body)
    body["metrics"]["nll"] += 1e-12
    assert checksum(body) != before


@pytest.mark.parametrize("change", [
    lambda body: body["metrics"].update(nll=math.nan), lambda body: body["metrics"].update(nll=-math.inf),
    lambda body: body["metrics"].update(nll=10**400), lambda body: body.update(seconds=math.nan),
    lambda body: body["curves"].update(loss=[1.0, math.inf]),
    lambda body: body["spec"]["training"].update(lr=math.nan)])
def test_a_record_with_a_number_that_is_none_is_refused_whatever_its_checksum(change):
    body = json.loads(result(teacher()).line())
    body.pop("checksum")
    change(body)
    with pytest.raises(Foreign, match="it was made by another version of kdlib, or by hand"):
        parse(json.dumps(body | {"checksum": checksum(body)}), "it")


def test_a_record_that_says_a_thing_twice_is_refused():
    line = result(teacher()).line()
    parse(line + "\n", "it")
    for twice in ('{"device": "another", ' + line[1:], line.replace('"metrics": {', '"metrics": {"nll": 0, ')):
        assert json.loads(twice) == json.loads(line)
        with pytest.raises(Damaged, match="it was changed after it was written"):
            parse(twice, "it")


def test_a_damaged_kept_state_is_named_and_the_run_starts_anew_when_asked(store_here, monkeypatch):
    monkeypatch.setenv("KDLIB_CHECKPOINT_SECONDS", "0")
    spec, store = teacher(steps=65), Store()
    monkeypatch.setattr(KeptState, "due", lambda self: not self.path.exists() or pytest.fail("only once"))
    store.prepare()
    kept = KeptState(store, [spec])
    kept.save({"step": torch.tensor(20)})
    kept.path.write_bytes(kept.path.read_bytes()[:-3])
    with pytest.raises(StoreError, match=kept.path.name):
        store.run([spec])
    monkeypatch.setattr(KeptState, "due", lambda self: False)
    assert same_result(store.run([spec])[0][0], result(spec))


def test_runs_whose_state_was_kept_together_go_on_together_whatever_the_plan_is_now(store_here):
    specs = [teacher(i) for i in range(6)]
    store = Store()
    store.prepare()
    pair = sorted(specs[1:3], key=lambda s: s.key)
    KeptState(store, pair).save({"step": torch.tensor(1)})
    kept = store.kept_cohorts()
    assert kept == [[s.key for s in pair]]
    tasks = cohorts(specs, 2, kept)
    assert pair in tasks and sorted(s.member for task in tasks for s in task) == list(range(6))
    # a plan that asks for one of them only, or a run that is recorded by now: the state is of no use
    assert pair not in cohorts(specs[2:], 2, kept)
    store.record_path(pair[0].key).write_text("{}")
    assert store.kept_cohorts() == [] and not list((store.root / "kept").glob("*.safetensors"))


# --- teachers' weights, committed beside their records: taken over by a store that lacks them, and audited

SPECS = [teacher(0), teacher(20)]


@pytest.fixture
def committed(store_here, tmp_path, monkeypatch):
    """Two teachers, recorded with their weights; the run store is empty again."""
    monkeypatch.setenv("KDLIB_RESULTS", str(tmp_path / "results"))
    records = compute(SPECS, workers=1)
    source = Recorded("mine")
    source.write("x.jsonl", [records[spec] for spec in SPECS])
    commit_weights(source, SPECS, Store())
    store_here.rename(tmp_path / "elsewhere")
    return source


def test_a_record_names_the_weights_that_it_speaks_of(committed):
    for spec in SPECS:
        assert committed.records[spec.key].weights == digest(committed_weights(committed, spec))[:16]


def test_a_store_takes_over_committed_teachers_and_trains_from_them(committed, monkeypatch):
    undisturbed = compute([student()], workers=1)  # adopts both
    assert (undisturbed.trained, undisturbed.reused) == (1, 2)
    for spec in SPECS:
        assert Store().get(spec) == committed.records[spec.key]
        there = committed_weights(committed, spec)
        assert all(torch.equal(value, there[name]) for name, value in Store().weights(spec).items())


def test_weights_that_are_not_their_records_are_named_and_not_taken(committed):
    spec, other = SPECS
    path = committed.weights_path(spec.key)
    raw = bytearray(path.read_bytes())
    path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(StoreError, match="changed after it was written.*restore it"):
        compute([student()], workers=1)
    assert Store().get(spec) is None and path.exists()
    # whole, and of another training than the record's
    path.write_bytes(raw)
    record = committed.records[spec.key]
    committed.write("x.jsonl", [dataclasses.replace(record, weights="0" * 16), committed.records[other.key]])
    with pytest.raises(StoreError, match="not the one that its record speaks of"):
        compute([student()], workers=1)
    assert Store().get(spec) is None


def test_an_audit_asks_committed_weights_what_their_records_say(committed, capsys):
    assert audit.weights_agree(committed, 2)
    assert capsys.readouterr().out.count("differ from its record by 0\n") == 2
    spec = SPECS[0]
    record = committed.records[spec.key]
    committed.records[spec.key] = dataclasses.replace(record, metrics=record.metrics | {"nll": 9.0})
    assert not audit.weights_agree(committed, 2)


def sharing(trial=0, policy="mixup", **options):
    return student(trial=trial, model="resnet1d-bn", policy=policy, training=Training(steps=4, batch=10), **options)


def test_students_of_equal_batches_share_their_labels_where_these_are_made_anew(monkeypatch):
    assert cohort(sharing()) == cohort(sharing(temperature=4.0)) != cohort(sharing(trial=1))
    assert cohort(sharing()) != cohort(sharing(m=2))
    assert cohort(sharing(policy="baseline")) is None  # of signals: labelled once, before training
    monkeypatch.setenv("KDLIB_DEVICES", "2")
    assert cohort(sharing()) is None  # they are spread over devices instead


def test_shared_labels_give_the_same_records_as_labels_of_ones_own(store_here, tmp_path):
    pair = [sharing(), sharing(temperature=4.0)]
    together = compute(pair, workers=2)
    store_here.rename(tmp_path / "elsewhere")
    for spec in pair:
        assert compute([spec], workers=1)[spec].metrics == together[spec].metrics


def test_shared_batches_are_labelled_once(store_here, monkeypatch):
    asked = []
    monkeypatch.setattr(labeller, "logits_of", lambda net, x: asked.append(len(x)) or logits_of(net, x))
    compute([sharing(), sharing(temperature=4.0)], workers=1)
    assert sum(asked) == 4 * 10  # steps x batch, of one student


def test_finding_records_leaves_the_collector_of_garbage_as_it_was(committed):
    for switch, runs in ((gc.enable, True), (gc.disable, False)):
        switch()
        try:
            with pytest.raises(AttributeError):
                committed.find([SPECS[0], "no spec"])
            assert committed.find([*SPECS, student()]) == {spec: committed.records[spec.key] for spec in SPECS}
            assert gc.isenabled() is runs
        finally:
            gc.enable()
