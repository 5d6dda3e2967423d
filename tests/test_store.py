"""Records and checkpoints on disk, and what disks, clocks, versions, other data and other processes do to them."""

import dataclasses
import errno
import json
import math
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import (
    Killed,
    die_keeping,
    made_up,
    on_images,
    painter,
    result,
    rewritten,
    same_result,
    student,
    surface,
    teacher,
    tree,
)
from filelock import FileLock
from safetensors.torch import load, load_file, save

from kdlib import audit, paths, store, train
from kdlib.catalog import DATA_SETS
from kdlib.compute import cohorts, compute, levels
from kdlib.data import signals, stored
from kdlib.data.stored import read_by
from kdlib.experiments import CHAPTERS
from kdlib.experiments.design import Design
from kdlib.paths import atomic, project_root
from kdlib.plan import lacking, plan
from kdlib.results import Recorded, StoreError
from kdlib.runs import cohort, labeller
from kdlib.spec import RESULTS_VERSION, Defects, Labels, Student, Training
from kdlib.store import KeptState, Store, commit_weights, committed_weights, digest, pack, unpack
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


def test_committed_teachers_are_neither_planned_nor_announced_as_training(committed):
    report = plan({"a": [student()]}, workers=1, source=committed)
    assert ": 0 in the store, 2 committed with their weights, 1 missing" in report and "of the missing" not in report
    assert lacking([student()], "of a", "mine")[0] == [student()]
    compute([student()], workers=1)
    assert ": 3 in the store, 0 missing" in plan({"a": [student()]}, workers=1)


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


def test_weights_that_are_missing_beside_their_record_are_named_and_no_teacher_is_trained_in_their_place(committed):
    committed.weights_path(SPECS[1].key).unlink()
    for ask in (lambda: compute([student()], workers=1), lambda: Store().adopt(SPECS)):
        with pytest.raises(StoreError, match=f"{SPECS[1].key}.safetensors is missing beside its record: restore it"):
            ask()
    assert Store().get(SPECS[1]) is None


def test_two_teachers_files_that_were_swapped_are_to_be_restored(committed):
    one, other = (committed.weights_path(spec.key) for spec in SPECS)
    one.rename(aside := one.with_name("aside"))
    other.rename(one)
    aside.rename(other)
    with pytest.raises(StoreError, match=r"belongs to another run: restore it$"):
        compute([student()], workers=1)


def test_weights_of_the_same_run_on_another_machine_are_not_committed(committed, store_here, tmp_path):
    (tmp_path / "elsewhere").rename(store_here)
    spec, store = SPECS[0], Store()
    path = committed.weights_path(spec.key)
    path.unlink()
    tensors = {name: value * 1.25 if value.is_floating_point() else value
               for name, value in store.weights(spec).items()}
    store.weights_path(spec.key).write_bytes(pack(tensors, spec.key, data=json.dumps(store.get(spec).made_on)))
    with pytest.raises(StoreError, match="is not the one that the record in .* speaks of: restore .*, or set KDLIB_"):
        commit_weights(committed, SPECS, store)
    assert not path.exists()


def test_an_audit_asks_committed_weights_what_their_records_say(committed, capsys):
    keys = audit.teachers_with_weights(committed)
    assert keys == sorted(spec.key for spec in SPECS) and audit.weights_agree(committed, keys)
    assert capsys.readouterr().out.count("differ from its record by 0\n") == 2
    spec = SPECS[0]
    record = committed.records[spec.key]
    committed.records[spec.key] = dataclasses.replace(record, metrics=record.metrics | {"nll": 9.0})
    assert not audit.weights_agree(committed, keys)


def test_an_audited_student_has_the_committed_teachers_and_an_audited_teacher_is_trained(committed):
    spec = SPECS[0]  # as if another processor had trained it
    tensors = {name: value * 1.25 if value.is_floating_point() else value
               for name, value in committed_weights(committed, spec).items()}
    path, theirs = committed.weights_path(spec.key), committed.records[spec.key]
    path.write_bytes(pack(tensors, spec.key, data=json.dumps(theirs.made_on)))
    theirs = dataclasses.replace(theirs, weights=digest(tensors)[:16])
    committed.write("x.jsonl", [theirs, committed.records[SPECS[1].key]])
    recorded = compute([student()], workers=1)[student()]
    assert recorded.difference(recorded.rerun()) == (0, 0)
    assert theirs.rerun().weights != theirs.weights
    path.unlink()  # the student of a teacher that is trained here would be another
    with pytest.raises(StoreError, match="is missing beside its record: restore it"):
        recorded.rerun()


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


# --- what can only be read

LOCKED = []  # folders that nothing may write to, as on a read-only mount, which needs rights that a test may not have


WRITES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.utime", "os.link", "os.symlink",
          "os.truncate")


def _refuse(event, args):
    """An audit hook: Python calls it before it opens or changes any file."""
    writes = event in WRITES or (event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    if LOCKED and writes and str(args[0]).startswith(LOCKED[0]):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), args[0])


sys.addaudithook(_refuse)  # for the rest of the process: it cannot be removed


@pytest.fixture
def read_only(store_here):
    yield lambda: LOCKED.append(str(store_here))
    LOCKED.clear()


def test_a_store_that_can_only_be_read_serves_every_command_that_reads(kdlib, store_here, read_only, monkeypatch):
    monkeypatch.setattr("kdlib.store.execute", made_up)
    specs = {s for c in CHAPTERS.values() for row in c.runs(Design("smoke")).values() for s in row}
    for layer in levels(specs):
        for spec in layer:
            Store().run([spec])
    before = tree(store_here)
    read_only()
    for args in (["plan", "04_paradox"], ["runs"], ["claims", "--no-recorded"], ["run", "all"]):
        code, out, error = kdlib(*args, *([] if args == ["runs"] else ["--profile", "smoke"]))
        assert code == 0, error
    assert "0 runs trained" in out and tree(store_here) == before
    code, _, error = kdlib("run", "04_paradox", "--profile", "smoke", "--seeds", 3)
    assert code == 2 and f"{store_here} cannot be written (Read-only" in error and error.count("\n") == 1


def test_a_damaged_record_in_a_store_that_can_only_be_read_is_named(store_here, read_only):
    Store().run([teacher()])
    path = Store().record_path(teacher().key)
    path.write_text("{")
    read_only()
    with pytest.raises(StoreError, match=f"{path.name}.*cannot be moved .*Read-only"):
        Store().get(teacher())
    assert path.exists()


def test_reading_commands_make_no_store(kdlib, store_here):
    assert kdlib("plan", "04_paradox", "--profile", "smoke")[0] == kdlib("runs")[0] == 0
    assert not store_here.exists()


class Disk:
    """Room for `left` bytes in the folders `parts` of a store; the write that needs more gets half of them in."""

    def __init__(self, left, parts=("runs", "weights", "kept")):
        self.left, self.parts, self.sizes, self.refused = left, parts, [], 0

    @contextmanager
    def atomic(self, path):
        with atomic(path) as file:
            self.file = file
            yield self if path.parent.name in self.parts else file

    def write(self, data):
        if len(data) > self.left:
            self.refused += 1
            self.file.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.left -= len(data)
        self.sizes.append(len(data))
        self.file.write(data)


@pytest.mark.parametrize("writes", range(7))
def test_a_disk_full_at_any_write_loses_nothing_finished_and_the_same_command_goes_on(
        store_here, tmp_path, monkeypatch, kdlib, writes):
    monkeypatch.setenv("KDLIB_CHECKPOINT_SECONDS", "0")
    specs, other, disk = [teacher(i, steps=65) for i in range(2)], Store(tmp_path / "other"), Disk(math.inf)
    monkeypatch.setattr(store, "atomic", disk.atomic)
    undisturbed = [record for record, _ in other.run(specs)]
    assert len(disk.sizes) == 7  # the kept state of both three times, then weights and record of one and of the other
    disk.left = sum(disk.sizes[:writes]) + 50
    file = tmp_path / "specs.json"
    file.write_text(json.dumps([s.model_dump(mode="json") for s in specs]))
    code, _, error = kdlib("run", file, "--workers", 1)
    last = error.strip().splitlines()[-1]
    assert code == 2 and "Traceback" not in error and "No space left on device; finished runs are kept" in last
    assert str(store_here) in last and not list(store_here.glob("*/.*"))
    finished = (0, 0, 0, 0, 0, 1, 1)[writes]
    assert len(list((store_here / "runs").iterdir())) == finished
    assert len(list((store_here / "kept").iterdir())) == (writes > 0 and not finished)
    disk.left = math.inf
    again = Store().run(specs)
    assert [trained for _, trained in again].count(False) == finished
    assert all(same_result(record, one) for (record, _), one in zip(again, undisturbed, strict=True))
    assert all(torch.equal(value, other.weights(spec)[name]) for spec in specs
               for name, value in Store().weights(spec).items())
    assert not list((store_here / "kept").iterdir())


def test_a_state_that_cannot_be_kept_is_a_warning_and_the_run_goes_on(store_here, monkeypatch, caplog):
    monkeypatch.setenv("KDLIB_CHECKPOINT_SECONDS", "0")
    disk = Disk(0, ["kept"])
    monkeypatch.setattr(store, "atomic", disk.atomic)
    spec = teacher(steps=65)
    assert same_result(Store().run([spec])[0][0], result(spec))
    assert disk.refused == 3  # after every block but the last
    [warning] = caplog.messages
    assert "No space left on device" in warning and not list((store_here / "kept").iterdir())


def test_a_clock_that_jumps_by_days_changes_nothing(store_here, monkeypatch):
    spec = student(training=Training(steps=65, batch=10))
    undisturbed, now, day = result(spec), time.time(), iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: now + 86_400 * (-1) ** next(day) * (next(day) % 5))
    kept = KeptState(Store(), [spec])
    monkeypatch.setattr(time, "monotonic", lambda: kept.saved + kept.every - 1)
    assert not kept.due()
    monkeypatch.setattr(time, "monotonic", lambda: kept.saved + kept.every)
    assert kept.due()
    monkeypatch.undo()
    monkeypatch.setenv("KDLIB_STORE", str(store_here))
    monkeypatch.setenv("KDLIB_CHECKPOINT_SECONDS", "0")
    monkeypatch.setattr(time, "time", lambda: now + 86_400 * (-1) ** next(day) * (next(day) % 5))
    saves, save = [], KeptState.save
    monkeypatch.setattr(KeptState, "save", lambda self, tensors: (saves.append(self.path), save(self, tensors)))
    record = compute([spec], workers=1)[spec]
    assert same_result(record, undisturbed) and 0 <= record.seconds < 600
    assert len(saves) == -(-65 // train.BLOCK) - 1


def test_tidying_spares_what_is_being_written_whatever_the_clock_says(store_here):
    store = Store()
    store.prepare()
    key, other = teacher().key, teacher(1).key
    with FileLock(store.root / "locks" / f"{key}.lock"), atomic(store.record_path(key)) as file:
        [temporary] = store_here.glob("runs/.*")
        left = [store.root / "runs" / f".{other}.json.{name}" for name in ("0000past", "00future", "00000now")]
        for path, hours in zip(left, (-2, 2, 0), strict=True):
            path.write_text("{")
            os.utime(path, (time.time() + hours * 3600,) * 2)
        os.utime(temporary, (time.time() - 2 * 3600,) * 2)
        store.tidy()
        assert [path.exists() for path in (*left, temporary)] == [False, False, True, True]
        file.write(b"whole")
    assert store.record_path(key).read_bytes() == b"whole"


def test_all_damaged_records_are_named_at_once_and_only_they_are_trained_again(store_here):
    specs = [teacher(i) for i in range(6)]
    store = Store()
    good = store.run(specs)
    for spec in specs[:5]:
        path = store.record_path(spec.key)
        path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StoreError) as said:
        compute(specs, workers=1)
    assert "5 files" in str(said.value) and sum(spec.key in str(said.value) for spec in specs[:5]) == 3
    assert len(list((store.root / "set-aside").iterdir())) == 5
    again = compute(specs, workers=1)
    assert (again.trained, again.reused) == (5, 1)
    assert all(same_result(again[spec], record) for spec, (record, _) in zip(specs, good, strict=True))


def test_all_damaged_weights_that_a_command_needs_are_named_before_it_trains(store_here, monkeypatch):
    compute([student(2)], workers=1)
    for i in (0, 20):
        path = Store().weights_path(teacher(i).key)
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match="2 files of the run store") as said:
        compute([student(fresh=5)], workers=1)
    assert all(teacher(i).key in str(said.value) and Store().get(teacher(i)) is None for i in (0, 20))
    assert compute([student(fresh=5)], workers=1).trained == 3


def test_a_record_under_the_name_of_another_is_found_by_the_list_of_runs(store_here):
    Store().run([teacher()])
    shutil.copy(Store().record_path(teacher().key), Store().record_path("0" * 24))
    records, wrong = Store().all()
    assert [record.key for record in records] == [teacher().key]
    assert "another run" in str(wrong[Store().record_path("0" * 24)])


# --- what is not the store's own

def test_nothing_is_tidied_that_the_store_did_not_write(store_here, tmp_path):
    """A store in a folder that holds other things too, all of them old."""
    store, key = Store(), teacher().key
    store.prepare()
    (tmp_path / "elsewhere").mkdir()
    outside = tmp_path / "elsewhere" / f".{key}.json.12345678"
    others = [outside, *(store_here / name for name in (
        ".env", "project/.gitignore", "home/.netrc", "runs/.hidden", f"runs/{key}.json.12345678", f"runs/.{key}.json",
        "weights/.best.safetensors.12345678", f"locks/.{key}.json.12345678", f"project/.{key}.json.12345678"))]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    link, folder = store_here / "kept" / f".{key}.safetensors.12345678", store_here / "runs" / f".{key}.json.87654321"
    link.symlink_to(outside)
    folder.mkdir()
    left = [store_here / "runs" / f".{key}.json.abcd0123", store_here / "weights" / f".{key}.safetensors.x_yz0123"]
    for path in left:
        path.write_text("{")
    for path in (*others, *left, folder):
        os.utime(path, (time.time() - 86_400,) * 2)
    os.utime(link, (time.time() - 86_400,) * 2, follow_symlinks=False)
    (store_here / "weights").rename(tmp_path / "large disk")
    (store_here / "weights").symlink_to(tmp_path / "large disk")
    store.tidy()
    assert [path.exists() for path in left] == [False, True]  # nothing behind a link either
    assert all(path.read_text() == "mine" for path in others) and link.is_symlink() and folder.is_dir()


def test_files_of_others_in_a_folder_called_runs_are_no_records(kdlib, store_here):
    for name in ("config.json", "0123.json", f"{'0' * 24}.json.bak"):
        (store_here / "runs").mkdir(parents=True, exist_ok=True)
        (store_here / "runs" / name).write_text("{")
    (store_here / "kept").mkdir()
    (store_here / "kept" / "model.safetensors").write_bytes(save({}, {"runs": teacher().key}))
    before = tree(store_here)
    assert kdlib("runs")[:2] == (0, "0 runs\n") and tree(store_here) == before
    compute([teacher()], workers=1)
    after = tree(store_here)
    assert all(after[path] == at for path, at in before.items() if path.is_file())


def test_what_is_set_aside_takes_the_place_of_nothing(store_here):
    texts = ["{", "[", "x"]
    for text in texts:
        Store().prepare()
        Store().record_path(teacher().key).write_text(text)
        with pytest.raises(StoreError, match="was moved to"):
            Store().get(teacher())
    assert sorted(path.read_text() for path in (store_here / "set-aside").iterdir()) == sorted(texts)


# --- other versions, and what cannot be read

@pytest.fixture
def version(monkeypatch):
    """Make this process one of another RESULTS_VERSION."""
    def become(number):
        monkeypatch.setattr("kdlib.spec.RESULTS_VERSION", number)

    return become


def test_two_versions_share_a_store_and_neither_moves_or_counts_the_others_runs(store_here, kdlib, version):
    def three():  # a spec has its key for good
        return [teacher(i) for i in range(3)]

    compute(three(), workers=1)
    version(RESULTS_VERSION + 1)
    assert compute(three(), workers=1).trained == 3
    before = tree(store_here)
    for number in (RESULTS_VERSION, RESULTS_VERSION + 1):
        version(number)
        code, out, error = kdlib("runs")
        assert code == 0 and not error and out.endswith("\n3 runs; 3 more are not of this version of kdlib\n")
        assert compute(three(), workers=1).reused == 3
    assert tree(store_here) == before


def a_field_of_the_spec(body):
    body["spec"] |= {"dropout": 0.1}
    body["key"] = "0123456789abcdef01234567"


def a_field_less(body):
    del body["commit"]


@pytest.mark.parametrize("change", [
    a_field_of_the_spec, a_field_less, lambda body: body.update(licence="of a later version"),
    lambda body: body["metrics"].update(accuracy="high"), lambda body: body["metrics"].update(accuracy=None),
    lambda body: body.update(metrics=[]), lambda body: body.update(seconds=None), lambda body: body.update(seconds=-1),
    lambda body: body.update(device=0), lambda body: body["versions"].update(torch=2), lambda body: body.update(key=1),
    lambda body: body["curves"].update(loss="falls"), lambda body: body["curves"].update(loss=[[1], [1, 2]]),
    lambda body: body["curves"].update(loss={"a": [1], "b": ["x"]}), lambda body: body["metrics"].update(accuracy=True),
    lambda body: body["metrics"].update(accuracy=float("nan")), lambda body: body["curves"].update(loss=[float("inf")]),
    lambda body: body["curves"].update(loss=[1.0, 10**400]), lambda body: body["spec"].update(member="first")])
def test_a_whole_record_that_is_not_of_this_version_is_refused_skipped_and_left(store_here, kdlib, change):
    Store().run([teacher()])
    path = Store().record_path(teacher().key)
    rewritten(path, change)
    if change is a_field_of_the_spec:
        path = path.rename(path.with_name("0123456789abcdef01234567.json"))
    content = path.read_bytes()
    assert kdlib("runs")[:2] == (0, "0 runs; 1 more are not of this version of kdlib\n")
    code, _, error = kdlib("runs", path.stem)
    assert code == 2 and f"{path} was made by another version of kdlib" in error and error.count("\n") == 1
    if change is a_field_of_the_spec:  # another run, which is in nobody's way
        assert compute([teacher()], workers=1).trained == 1
    else:
        with pytest.raises(StoreError, match=f"{path} was made by another version"):
            compute([teacher()], workers=1)
    assert path.read_bytes() == content and not (store_here / "set-aside").exists()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.EMFILE])
def test_records_that_cannot_be_read_are_named_and_left(store_here, kdlib, monkeypatch, number):
    specs = [teacher(i) for i in range(5)]
    compute(specs, workers=1)
    before, read = tree(store_here), Path.read_bytes

    def refused(path):
        if path.parent.name == "runs" and path.stem != specs[0].key:
            raise OSError(number, os.strerror(number), str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refused)
    code, out, error = kdlib("runs")
    assert code == 2 and out.endswith("\n1 runs\n") and "4 files" in error and os.strerror(number) in error
    with pytest.raises(StoreError, match=f"4 files.*cannot be read .{os.strerror(number)}. and was left as it is"):
        compute(specs, workers=1)
    assert tree(store_here) == before
    monkeypatch.undo()
    monkeypatch.setenv("KDLIB_STORE", str(store_here))
    assert compute(specs, workers=1).reused == 5


def test_weights_and_states_that_cannot_be_read_are_named_and_left(store_here):
    """A folder in the place of a file: like a failing disk, it is there and cannot be read."""
    store = Store()
    store.run([teacher(), teacher(20)])
    path, kept = store.weights_path(teacher().key), KeptState(store, [student()])
    content = path.read_bytes()
    path.unlink()
    path.mkdir()
    for read in (lambda: store.weights(teacher()), lambda: store.check_weights([teacher()]),
                 lambda: compute([student()], workers=1)):
        with pytest.raises(StoreError, match=f"{path} cannot be read .Is a directory. and was left"):
            read()
    path.rmdir()
    path.write_bytes(content)
    kept.path.mkdir()
    with pytest.raises(StoreError, match=f"{kept.path} cannot be read"):
        compute([student()], workers=1)
    assert kept.path.is_dir() and not (store_here / "set-aside").exists()


def test_a_plan_moves_nothing(kdlib, store_here):
    Store().run([teacher()])
    Store().record_path(teacher().key).write_text("{")
    before = tree(store_here)
    assert "1 runs" in plan({"a chapter": [teacher()]}, 1) and tree(store_here) == before


def test_a_folder_of_runs_that_cannot_be_read_is_not_an_empty_one(kdlib, store_here, monkeypatch):
    Store().run([teacher()])

    def refused(path="."):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "listdir", refused)
    monkeypatch.setattr(os, "scandir", refused)
    code, _, error = kdlib("runs")
    assert code == 2 and "runs cannot be used: Permission denied" in error


# --- where a record says it comes from

@pytest.fixture
def unpacked(tmp_path):
    """(make a repository of a folder, and give its commit; the commit that a copy of kdlib in a folder says)."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def repository(folder):
        git = ["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "--allow-empty", "-m", "x"]):
            subprocess.run([*git, *command], check=True, env=environment)
        return subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True,
                              env=environment).stdout.strip()

    def said(folder, **more):
        code = "from kdlib.store import commit; print(commit())"
        return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True,
                              env=environment | {"PYTHONPATH": str(folder)} | more).stdout.strip()

    folder = tmp_path / "outer" / "kdlib-1.0"
    shutil.copytree(project_root() / "kdlib", folder / "kdlib", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "_toc.yml").write_text("")
    (folder / ".gitignore").write_text("__pycache__")
    return folder, repository, said


def test_the_commit_of_a_repository_that_the_code_only_lies_in_is_not_the_codes(unpacked):
    folder, repository, said = unpacked
    repository(folder.parent)
    assert said(folder) == "unknown"


def test_the_commit_is_that_of_the_code_whatever_git_is_told_of_another_repository(unpacked, tmp_path):
    folder, repository, said = unpacked
    (tmp_path / "other").mkdir()
    other, own = repository(tmp_path / "other"), repository(folder)
    assert other != own
    git = tmp_path / "other" / ".git"
    assert said(folder, GIT_DIR=str(git), GIT_WORK_TREE=str(git.parent), GIT_INDEX_FILE=str(git / "index")) == own
    (folder / "kdlib" / "new.py").write_text("")
    assert said(folder, GIT_DIR=str(git)) == f"{own}+changes"


def test_finished_runs_are_not_spoken_of_where_none_was_meant(kdlib, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", "/proc/nowhere")
    code, _, error = kdlib("data", "fetch", "mnist")
    assert code == 2 and "/proc/nowhere" in error and "runs" not in error and error.count("\n") == 1
    code, _, error = kdlib("run", "04_paradox", "--profile", "smoke", "--seeds", 1, "--workers", 1)
    assert code == 2 and "/proc/nowhere" in error
    assert error.endswith("; finished runs are kept, and the same command goes on from there\n")


def test_equal_weights_are_equal_bytes_and_files_of_before_are_read(tmp_path):
    weights = {name: torch.arange(n).float() for n, name in enumerate("dbca")} | {"step": torch.tensor([3])}
    assert len({pack(weights, "key", runs="a b", more="c") for _ in range(20)}) == 1
    for raw in (pack(weights, "key"), save(weights, {"key": "key", "digest": digest(weights)})):
        (tmp_path / "file").write_bytes(raw)
        again = unpack(tmp_path / "file", "key")
        assert again.keys() == weights.keys() and all(torch.equal(again[n], weights[n]) for n in weights)
        assert all(torch.equal(value, weights[name]) for name, value in load_file(tmp_path / "file").items())


# --- which data a run was made on

def pupil(**options):
    return Student(teachers=(on_images(),), model="lenet5", training=Training(steps=5, batch=10), **options)


def refusal(made, here, name="mnist"):
    return pytest.raises(StoreError, match=f"made on {name} {made}, and here is {name} {here}: import or install that")


def test_a_run_on_other_data_of_the_same_name_is_not_reused(store_here, stored_images, kdlib):
    first = stored_images(80)
    record = compute([on_images()], workers=1)[on_images()]
    assert record.content == {"mnist": first}
    other = stored_images(100)
    for specs in ([on_images()], [pupil()]):  # a student of it neither
        with refusal(first, other):
            compute(specs, workers=1)
        with refusal(first, other):
            Store().run(specs)
    with refusal(first, other):
        Store().weights(on_images())
    with refusal(first, other):
        Store().check_weights([on_images()])
    assert len(list((store_here / "runs").iterdir())) == 1
    assert kdlib("runs")[1].endswith("\n1 runs\n")  # to look is not to use
    stored_images(80)
    again = compute([pupil()], workers=1)
    assert (again.trained, again.reused) == (1, 1) and again[pupil()].content == {"mnist": first}


def test_a_run_does_not_go_on_on_other_data_than_it_began(store_here, stored_images, monkeypatch):
    spec, first = on_images(steps=65), stored_images(80)
    with monkeypatch.context() as patch:
        die_keeping(patch, 1)
        patch.setenv("KDLIB_STORE", str(store_here))
        with pytest.raises(Killed):
            Store().run([spec])
    other = stored_images(100)
    with refusal(first, other):
        Store().run([spec])
    stored_images(80)
    assert same_result(Store().run([spec])[0][0], result(spec)) and not list((store_here / "kept").iterdir())


def test_a_record_that_says_no_data_was_made_on_the_official_ones(store_here, stored_images, monkeypatch):
    first = stored_images(80)
    compute([on_images()], workers=1)
    rewritten(Store().record_path(on_images().key), lambda body: body.pop("content"))
    official = "dc595b1cc85e24236fa48a24475b577c"
    with refusal(official, first):
        compute([on_images()], workers=1)
    monkeypatch.setitem(DATA_SETS, "mnist", dataclasses.replace(DATA_SETS["mnist"], fingerprint=first))
    assert compute([on_images()], workers=1).reused == 1


def test_data_that_are_not_here_are_not_compared(store_here, stored_images):
    stored_images(80)
    compute([on_images()], workers=1)
    shutil.rmtree(paths.data_dir())
    assert compute([on_images()], workers=1).reused == 1


def test_the_data_of_a_run_are_all_that_it_reads():
    small, large = (teacher(model="resnet8-bn-w4", name=name) for name in ("cifar100-16", "cifar100"))
    mixed = Student(teachers=(small,), policy="ood", model="resnet8-bn-w4", training=Training(steps=5))
    assert read_by(small) == read_by(painter()) == ["cifar100"] and read_by(mixed) == ["cifar100", "mnist"]
    assert read_by(mixed.but(teachers=(large,))) == ["cifar100", "svhn"]
    assert read_by(Defects(student=mixed)) == ["cifar100", "mnist"]
    assert read_by(Labels(teachers=(small,))) == ["cifar100"] and read_by(pupil(related=3)) == ["mnist", "emnist"]
    assert read_by(surface()) == read_by(student(policy="ood")) == read_by(teacher(name="mnist1d-easy")) == ["mnist1d"]


def test_signals_of_another_version_of_their_generator_are_other_data(store_here, tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path / "data"))
    record, made = compute([teacher()], workers=1)[teacher()], stored.version()
    assert record.content is None and "content" not in record.line()
    monkeypatch.setattr(stored, "version", lambda: "9.9")
    monkeypatch.setattr(signals, "version", stored.version)
    with refusal(made, "9.9", "mnist1d"):
        compute([student()], workers=1)
    monkeypatch.setattr(signals, "generate", lambda name, seed, n: np.zeros((n, 41), np.float32))
    assert not signals.drawn("mnist1d", (0, "train"), 50)[0].any()  # nor does a draw that it made serve for this one's
