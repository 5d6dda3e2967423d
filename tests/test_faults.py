"""Disks that are full or read-only, two processes at once, clocks that jump, many damaged files."""

import errno
import json
import math
import os
import random
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from conftest import student, surface, teacher
from test_runs import result

from kdlib import store, train
from kdlib.compute import compute, levels
from kdlib.experiments import CHAPTERS
from kdlib.experiments.design import Design
from kdlib.paths import atomic
from kdlib.spec import Training
from kdlib.store import KeptState, Store, StoreError

LOCKED = []  # folders that nothing may write to, as on a read-only mount, which needs rights that a test may not have
WRITES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.utime", "os.link", "os.symlink",
          "os.truncate")


def _refuse(event, args):
    """An audit hook: Python calls it before it opens or changes any file."""
    if LOCKED and (event in WRITES or event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
        if str(args[0]).startswith(LOCKED[0]):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), args[0])


sys.addaudithook(_refuse)  # for the rest of the process: it cannot be removed


@pytest.fixture
def read_only(store_here):
    yield lambda: LOCKED.append(str(store_here))
    LOCKED.clear()


def tree(folder):
    return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in Path(folder).rglob("*")}


def made_up(specs, weights_of, kept):
    """In the place of `execute`: results at once, with every name that a claim may ask for."""
    names = ["accuracy", "nll", "ece", "train_accuracy", "kl", "train_kl", "barrier", "distance", "agreement", "cka1",
             "train_agreement", "cka2", "cka3"]
    names += [f"{who}_{name}" for who in ("teacher", "independent") for name in names]
    plane = {"x": [0, 1], "y": [0, 1], "points": [[0, 0], [1, 0], [0, 1]], "loss": [[0, 1], [1, 0]]}
    draw = random.Random(specs[0].key).random
    return [({name: draw() for name in names}, {"loss": [1.0, 0.5], "segment": [1.0, 0.5], "plane": plane}, None)
            for _ in specs]


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


@pytest.mark.slow
def test_two_processes_train_every_run_once_and_get_equal_records(tmp_path):
    file = tmp_path / "specs.json"
    specs = [student(fresh=n) for n in range(6)] + [student(2), surface(), teacher(7)]
    file.write_text(json.dumps([s.model_dump(mode="json") for s in specs]))
    code = (f"import sys; sys.argv = ['kdlib', 'run', {str(file)!r}, '--workers', '1']; "
            "from kdlib.cli import main; main()")
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                             env=os.environ | {"KDLIB_STORE": str(tmp_path / "store")}) for _ in range(2)]
    outputs = [process.communicate(timeout=300)[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs[0][:-1] == outputs[1][:-1] and len(outputs[0]) == len(specs) + 1
    total = sum(map(len, levels(specs)))
    assert sum(int(lines[-1].split()[0]) for lines in outputs) == total  # "4 runs trained, ..."
    assert len(list((tmp_path / "store" / "runs").glob("*.json"))) == total


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
    assert all(record.same_result(one) for (record, _), one in zip(again, undisturbed, strict=True))
    assert all(torch.equal(value, other.weights(spec)[name]) for spec in specs
               for name, value in Store().weights(spec).items())
    assert not list((store_here / "kept").iterdir())


def test_a_state_that_cannot_be_kept_is_a_warning_and_the_run_goes_on(store_here, monkeypatch, caplog):
    monkeypatch.setenv("KDLIB_CHECKPOINT_SECONDS", "0")
    disk = Disk(0, ["kept"])
    monkeypatch.setattr(store, "atomic", disk.atomic)
    spec = teacher(steps=65)
    assert Store().run([spec])[0][0].same_result(result(spec))
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
    assert record.same_result(undisturbed) and 0 <= record.seconds < 600
    assert len(saves) == -(-65 // train.BLOCK) - 1


def test_tidying_spares_what_is_being_written_whatever_the_clock_says(store_here):
    store = Store()
    store.prepare()
    with atomic(store.record_path("abc")) as file:
        [temporary] = store_here.glob("runs/.abc*")
        left = [store.root / "runs" / f".{name}.json.x" for name in ("past", "future", "now")]
        shutil.copy(temporary, left[0])
        for path, hours in zip(left, (-2, 2, 0), strict=True):
            path.write_text("{")
            os.utime(path, (time.time() + hours * 3600,) * 2)
        os.utime(temporary, (time.time() - 2 * 3600,) * 2)
        store.tidy()
        assert [path.exists() for path in (*left, temporary)] == [False, False, True, True]
        file.write(b"whole")
    assert store.record_path("abc").read_bytes() == b"whole"


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
    assert all(again[spec].same_result(record) for spec, (record, _) in zip(specs, good, strict=True))


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
    with pytest.raises(StoreError, match="another run"):
        Store().all()
    assert [record.key for record in Store().all()] == [teacher().key]
