"""Scheduling, and the same runs on a real Ray cluster of two local nodes, whole and with a worker and a node killed."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from threading import Thread

import psutil
import pytest
import torch
from conftest import (
    defects,
    same_result,
    student,
    surface,
    teacher,
)

from kdlib import runs
from kdlib.compute import WorkersError, _in_order, _on_node, cohorts, compute, levels, worker_count
from kdlib.paths import project_root
from kdlib.results import StoreError
from kdlib.spec import Training
from kdlib.store import KeptState, Store
from kdlib.train import Diverged


def started_by(tasks, finish, slots=10):
    """The order in which tasks start when those of `finish` finish one after another, as lists between finishes."""
    futures, started = {}, [[]]

    def submit(task):
        futures[task[0]] = Future()
        started[-1].append(task[0])
        return futures[task[0]]

    steps = _in_order(tasks, submit, slots)
    for spec in finish:
        # the generator waits for a future: it is finished from another thread
        Thread(target=lambda spec=spec: (time.sleep(0.02), futures[spec].set_result(spec))).start()
        assert next(steps)[1] == spec
        started.append([])
    return started[:-1]


def test_a_task_starts_when_what_it_needs_is_done_and_not_before():
    slow, quick, other = teacher(0), teacher(1), teacher(2)
    one, two = student(1), student(1, fresh=3)
    one, two = (s.but(teachers=(t,), foil=()) for s, t in ((one, slow), (two, quick)))
    tasks = [[slow], [quick], [other], [one], [two]]
    # the student of the quick teacher does not wait for the slow one
    assert started_by(tasks, [quick, two, slow, one]) == [[slow, quick, other], [two], [], [one]]
    assert started_by(tasks, [slow, quick, other], slots=2) == [[slow, quick], [other], [one]]


def test_a_cohort_waits_for_the_teachers_of_all_its_runs():
    both = [student(1).but(teachers=(teacher(i),), foil=()) for i in range(2)]
    tasks = [[teacher(0)], [teacher(1)], both]
    assert started_by(tasks, [teacher(1), teacher(0), both[0]]) == [[teacher(0), teacher(1)], [], [both[0]]]


def test_a_backend_that_is_not_installed_is_said_with_the_remedy(store_here, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(WorkersError, match="pip install ray"):
        compute([teacher()], backend="ray")


@pytest.mark.parametrize("workers", [True, 0, 2.0, "2", 10**5000, math.nan], ids="abcdef")
def test_workers_that_are_no_number_of_processes_get_a_sentence(workers):
    with pytest.raises(WorkersError, match=r"^workers must be a whole number from 1 to 1,024 \(got .{1,60}\)$"):
        worker_count(workers)


def test_there_are_as_many_workers_as_cores_that_this_process_may_use():
    code = ("import os; from kdlib.compute import worker_count; here = min(os.sched_getaffinity(0)); "
            "os.sched_setaffinity(0, {here}); print(worker_count(None))")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "1\n"
    assert worker_count(None) <= len(os.sched_getaffinity(0)) and worker_count(7) == 7


def test_make_book_leaves_the_number_of_workers_to_the_command_unless_it_is_given():
    def recipe(*given):
        done = subprocess.run(["make", "-n", "book", *given], cwd=project_root(), capture_output=True, text=True)
        return [line.split()[1:] for line in done.stdout.splitlines() if "kdlib book" in line]

    assert recipe() == [["book", "--profile", "laptop"]]
    assert recipe("WORKERS=3") == [["book", "--profile", "laptop", "--workers", "3"]]


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one CPU each, which this process is connected to; more can be added."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.slow
def test_a_run_that_diverges_on_the_cluster_is_named_as_it_is_here(cluster, store_here):
    wild = teacher(steps=40).but(training=Training(steps=40, batch=10, lr=1e30))
    with pytest.raises(Diverged, match=f"^run {wild.key}: the loss became non-finite") as here:
        compute([wild], workers=1)
    with pytest.raises(Diverged) as there:
        compute([teacher(), wild], backend="ray")
    assert str(there.value) == str(here.value)


@pytest.mark.slow
def test_a_share_of_a_gpu_is_refused_where_there_is_none(cluster, store_here):
    with pytest.raises(WorkersError, match="no GPU"):
        compute([teacher()], backend="ray", gpus_per_run=0.25)


def test_a_node_that_does_not_share_the_store_is_named_and_trains_nothing(tmp_path):
    with pytest.raises(StoreError, match="does not share the run store.*KDLIB_STORE"):
        _on_node([teacher()], tmp_path / "store", tmp_path / "store" / "locks" / "driver-1")
    assert not (tmp_path / "store").exists()


LONG = Training(steps=700, batch=10)


PLAN = [teacher(steps=700, model="resnet1d-bn"), surface(),
        *(student(training=LONG, policy=policy, model="resnet1d-ln") for policy in ("baseline", "mixup", "noise")),
        *(student(training=LONG, fresh=n) for n in range(10))]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """The records of PLAN, from the local backend."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDLIB_STORE", str(tmp_path_factory.mktemp("here")))
        patch.delenv("KDLIB_FROM_RECORDS", raising=False)
        return compute(PLAN, workers=2)


@pytest.mark.slow
def test_a_worker_and_then_a_node_killed_change_nothing(cluster, here, store_here, monkeypatch):
    """Their runs are done elsewhere, no record is lost, none is written twice, and all are those of this machine."""
    monkeypatch.setenv("KDLIB_CHECKPOINT_SECONDS", "0.3")
    log, result = [], []
    doomed = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    thread = Thread(target=lambda: result.append(compute(PLAN, backend="ray")))
    thread.start()

    def records():
        return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in store_here.glob("runs/*.json")}

    def wait_for(what, seconds=120):
        deadline = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < deadline and thread.is_alive()
            time.sleep(0.05)
        return found

    def workers_of(node):
        raylet = next(p for kind, ps in node.all_processes.items() if kind == "raylet" for p in ps).process.pid
        return [p for p in psutil.Process(raylet).children(recursive=True) if "_on_node" in p.name() + p.cmdline()[0]]

    # a run that has kept its state loses its worker, then its node
    wait_for(lambda: records() and list(store_here.glob("kept/*.safetensors")))
    victim = wait_for(lambda: workers_of(cluster.head_node))[0]
    log.append(records())
    os.kill(victim.pid, signal.SIGKILL)
    wait_for(lambda: workers_of(doomed))
    log.append(records())
    cluster.remove_node(doomed, allow_graceful=False)
    thread.join(120)
    assert not thread.is_alive()
    assert len(log[-1]) < len(here)
    [there] = result
    assert there.keys() == here.keys() and all(same_result(there[spec], here[spec]) for spec in here)
    assert there.trained + there.reused == len(here)
    final = records()
    assert len(final) == len(here) and all(final[name] == at for seen in log for name, at in seen.items())
    assert not list(store_here.glob("kept/*.safetensors"))
    for spec in PLAN[:1] + PLAN[2:]:
        Store().weights(spec)  # raises if it is not whole


@pytest.mark.slow
def test_a_run_on_two_devices_is_that_of_one_within_rounding(store_here, monkeypatch):
    """A net without BatchNorm: nothing in it depends on how a batch, here of 7, is shared. Tolerance: 1e-6 on weights
    of order 1 after 45 steps of SGD, which passes rounding on as it is (Adam's first steps magnify it: they divide
    by a gradient's own size)."""
    spec = student(2, model="resnet1d-ln", policy="combined",
                   training=Training(optimizer="sgd", steps=45, batch=7, lr=1e-2))
    one = compute([spec], workers=1)
    before = Store().weights(spec)
    monkeypatch.setenv("KDLIB_STORE", str(store_here) + "-two")
    monkeypatch.setenv("KDLIB_DEVICES", "2")
    two = compute([spec], workers=2)
    after = Store().weights(spec)
    assert any(not torch.equal(after[name], before[name]) for name in before)  # it was another computation
    assert all(torch.allclose(after[name], before[name], rtol=0, atol=1e-6) for name in before)
    assert two[spec].curves["loss"] == pytest.approx(one[spec].curves["loss"], abs=1.1e-5)  # 1 in the last of 6 digits
    assert two[spec].metrics == pytest.approx(one[spec].metrics, abs=0.02)  # one of 60 may change sides
    # nets that advance in cohorts stay on one device
    assert all(same_result(two[needed], one[needed]) for needed in spec.needs)
    assert (one[spec].device, two[spec].device, two[spec.foil[0]].device) == ("cpu", "2 x cpu", "cpu")


@pytest.mark.slow
def test_a_run_that_diverges_on_two_devices_is_named(store_here, monkeypatch):
    monkeypatch.setenv("KDLIB_DEVICES", "2")
    wild = teacher(model="resnet1d-bn").but(training=Training(steps=5, batch=10, lr=1e30))
    with pytest.raises(Diverged, match=f"^run {wild.key}: the loss became non-finite"):
        compute([wild], workers=1)
    assert Store().get(wild) is None


@pytest.mark.soak
def test_a_run_on_two_devices_goes_on_from_its_kept_state_with_the_same_bits(store_here, monkeypatch):
    monkeypatch.setenv("KDLIB_DEVICES", "2")
    monkeypatch.setenv("KDLIB_CHECKPOINT_SECONDS", "0")
    spec = teacher(model="resnet1d-ln", steps=65)
    kept, whole = KeptState(Store(), [spec]), []
    thread = Thread(target=lambda: whole.extend(Store().run([spec])))
    thread.start()
    while not kept.path.exists():
        assert thread.is_alive()
        time.sleep(0.005)
    state = kept.path.read_bytes()
    thread.join()
    Store().record_path(spec.key).unlink()
    kept.path.write_bytes(state)
    assert 0 < int(kept.load()["step"]) < 65
    assert same_result(compute([spec], workers=1)[spec], whole[0][0]) and not kept.path.exists()


def test_runs_can_be_taken_in_their_own_order_instead_of_the_longest_first():
    specs = [student(training=Training(steps=n, batch=10), model="resnet1d-bn") for n in (5, 50, 20)]
    assert cohorts(specs, 1) == [[specs[1]], [specs[2]], [specs[0]]]
    assert cohorts(specs, 1, in_order=True) == [[spec] for spec in specs]


def test_a_run_that_diverges_takes_no_other_with_it(store_here, monkeypatch):
    wild, tame = student(2), [student(fresh=n) for n in range(3)]

    def diverging(specs, weights_of, kept):
        if wild in specs:
            raise Diverged(f"run {wild.key}: the loss became non-finite")
        return runs.execute(specs, weights_of, kept)

    monkeypatch.setattr("kdlib.store.execute", diverging)
    with pytest.raises(Diverged, match=wild.key):
        compute([*tame, wild], workers=1)
    assert all(Store().get(spec) for spec in tame)


def test_workers_and_order_change_nothing(store_here, tmp_path):
    specs = [student(), student(2), surface(), teacher(3)]
    one = compute(specs, workers=2)
    again = {s: Store(tmp_path / "other") for s in reversed(specs)}
    for spec in reversed(specs):
        for layer in levels([spec]):
            for needed in layer:
                again[needed] = Store(tmp_path / "other").run([needed])[0][0]
        assert same_result(one[spec], again[spec])


def test_teachers_come_before_students_and_only_once():
    layers = levels([student(2), surface(), defects()])
    assert [len(layer) for layer in layers] == [3, 2, 2]


def test_a_missing_record_is_an_error_that_counts_and_names(store_here, tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_FROM_RECORDS", "1")
    monkeypatch.setenv("KDLIB_RESULTS", str(tmp_path))
    with pytest.raises(StoreError, match=teacher().key):
        compute([teacher()], profile="laptop")


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


def test_a_list_of_runs_that_cannot_be_written_is_a_warning_and_all_runs_go_on(store_here, caplog):
    (store_here / "runs.log").mkdir(parents=True)  # nobody can write to a folder, not even root
    assert compute([teacher(i) for i in range(3)], workers=1).trained == 3
    [warning] = caplog.messages
    assert f"finished runs are not listed in {store_here / 'runs.log'} (Is a directory)" in warning


def test_a_run_is_listed_once_by_whoever_trained_it(store_here, monkeypatch):
    """Another process trains the second run while this one is at the first."""
    run = Store.run

    def late(self, specs):
        if specs == [student()]:
            run(self, specs)
        return run(self, specs)

    monkeypatch.setattr(Store, "run", late)
    done = compute([student()], workers=1)
    assert (done.trained, done.reused) == (2, 1)
    listed = [line.split()[2:4] for line in (store_here / "runs.log").read_text().splitlines()]
    assert sorted(listed) == sorted(["teacher", t.key] for t in (teacher(), teacher(20)))
