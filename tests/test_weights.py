"""Teachers' weights, committed beside their records: taken over by a store that lacks them, and audited."""

import dataclasses

import pytest
import torch
from conftest import student, teacher

from kdlib import audit
from kdlib.compute import compute
from kdlib.results import Recorded, StoreError
from kdlib.runs import cohort, labeller
from kdlib.spec import Training
from kdlib.store import Store, commit_weights, committed_weights, digest
from kdlib.train import logits_of

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
