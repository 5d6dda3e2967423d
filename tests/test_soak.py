"""The long form of the fault tests, `make soak`: many kills of real processes, every record compared."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest
from conftest import student, teacher

from kdlib.spec import RESULTS_VERSION, Training

KILLS = 20
SPECS = [
    teacher(steps=4000),
    *(student(training=Training(steps=3000, batch=10), policy=p, fresh=n)
      for p, n in (("baseline", 0), ("baseline", 40), ("mixup", 0), ("noise", 5), ("combined", 0))),
    student(training=Training(steps=400, batch=10), model="resnet1d-bn"),
    student(training=Training(steps=3000, batch=10, optimizer="sgd")),
]


def records(store):
    return {p.name: {k: v for k, v in json.loads(p.read_text()).items() if k in ("metrics", "curves", "spec")}
            for p in (store / "runs").glob("*.json")}


ALL = [(os.killpg, signal.SIGKILL)]
ONE = [(os.kill, signal.SIGTERM), (os.kill, signal.SIGHUP), (os.kill, signal.SIGKILL)]


@pytest.mark.soak
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("stops", [ALL, ONE], ids=["all-killed", "command-stopped-or-killed"])
def test_kills_at_random_moments_leave_no_trace(stops, workers, tmp_path):
    """Of all processes at once, or of the command alone, whose workers then end by themselves."""
    file, chance = tmp_path / "specs.json", random.Random(workers)
    file.write_text(json.dumps([spec.model_dump(mode="json") for spec in SPECS]))
    code = (f"import sys; sys.argv = ['kdlib', 'run', {str(file)!r}, '--workers', '{workers}']; "
            "from kdlib.cli import main; main()")

    def start(store):
        return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                start_new_session=True, env=os.environ | {"KDLIB_STORE": str(store),
                                                                          "KDLIB_CHECKPOINT_SECONDS": "0.3"})

    began = time.monotonic()
    assert start(tmp_path / "undisturbed").wait() == 0
    whole, expected = time.monotonic() - began, records(tmp_path / "undisturbed")
    kills = resumed = compared = rounds = 0
    while kills < KILLS:
        store = tmp_path / f"round-{rounds}"
        rounds += 1
        while True:
            process = start(store)
            try:
                process.wait(chance.uniform(0.2, 0.7) * whole)
                break
            except subprocess.TimeoutExpired:
                others = psutil.Process(process.pid).children(recursive=True)
                send, number = stops[kills % len(stops)]
                send(process.pid, number)
                ended = process.wait(60)
                assert not psutil.wait_procs(others, timeout=30)[1]
                if ended != (-number if number == signal.SIGKILL else 128 + number):
                    # its work was done, and it was about to end by itself
                    assert ended in (0, -number) and records(store) == expected
                kills += 1
                resumed += any((store / "kept").glob("*.safetensors"))
        assert process.returncode == 0
        assert records(store) == expected
        compared += len(expected)
        assert not any((store / "kept").glob("*.safetensors"))
    what = "kills of all" if stops == ALL else "signals to the command alone"
    print(f"\n{workers} workers: {kills} {what}, {resumed} with a kept state, {compared} records compared, all equal")
    assert resumed > 0


@pytest.mark.soak
def test_a_kill_while_a_file_is_written_leaves_the_old_one_or_none(tmp_path):
    """kill -9 in the middle of `atomic`, many times: the file is whole or absent, and so is its successor."""
    target = tmp_path / "record.json"
    code = (f"from pathlib import Path\nfrom kdlib.paths import atomic\nfor i in range(10**9):\n"
            f" with atomic(Path({str(target)!r})) as file:\n  file.write(b'%020d' % i * 5000)\n  file.flush()\n")
    chance, whole = random.Random(0), 0
    for _ in range(KILLS):
        process = subprocess.Popen([sys.executable, "-c", code])
        time.sleep(chance.uniform(0.3, 1.5))
        process.kill()
        process.wait()
        if target.exists():
            text = target.read_bytes()
            assert len(text) == 100_000 and text == text[:20] * 5000
            whole += 1
    assert whole > 0


@pytest.mark.soak
def test_two_versions_on_one_store_lose_and_move_nothing_of_each_other(tmp_path):
    """Two RESULTS_VERSIONs at the same time, each killed and started again at random moments, while both list the runs
    and every file that a kill left half-written looks old enough to be tidied."""
    file, chance, versions = tmp_path / "specs.json", random.Random(0), (RESULTS_VERSION, RESULTS_VERSION + 1)
    file.write_text(json.dumps([spec.model_dump(mode="json") for spec in SPECS]))

    def start(version, store, *args, **to):
        code = (f"import sys; from kdlib import spec; spec.RESULTS_VERSION = {version}; sys.argv = ['kdlib', "
                f"*{args!r}]; from kdlib.cli import main; main()")
        return subprocess.Popen([sys.executable, "-c", code], text=True, **to, env=os.environ | {
            "KDLIB_STORE": str(store), "KDLIB_CHECKPOINT_SECONDS": "0.3"})

    def train(version, store):
        return start(version, store, "run", str(file), "--workers", "1", stdout=subprocess.DEVNULL,
                     stderr=subprocess.DEVNULL)

    began, alone = time.monotonic(), {}
    for version in versions:
        assert train(version, tmp_path / str(version)).wait() == 0
        alone[version] = records(tmp_path / str(version))
    whole = (time.monotonic() - began) / len(versions)
    expected = alone[versions[0]] | alone[versions[1]]
    assert len(expected) == 2 * len(alone[versions[0]])
    kills = lists = rounds = tidied = 0
    while kills < KILLS:
        store, seen, began = tmp_path / f"shared-{rounds}", {}, time.monotonic()
        rounds += 1
        running = {version: train(version, store) for version in versions}
        while running:
            try:
                next(iter(running.values())).wait(chance.uniform(0.2, 0.7) * whole)
            except subprocess.TimeoutExpired:
                victim = chance.choice(list(running))
                running[victim].kill()
                running[victim].wait()
                kills += 1
                left = list(store.glob("*/.*"))
                for path in left:
                    try:
                        os.utime(path, (time.time() - 7200,) * 2)
                    except FileNotFoundError:  # the other one has finished writing it
                        left.remove(path)
                running[victim] = train(victim, store)
                out, error = start(victim, store, "runs", stdout=subprocess.PIPE, stderr=subprocess.PIPE).communicate()
                assert "runs" in out and not error
                lists += 1
                tidied += len(left)
            for version, process in list(running.items()):
                if process.poll() is not None:
                    assert process.returncode == 0
                    del running[version]
            now = {path.name: path.read_bytes() for path in (store / "runs").glob("*.json")}
            assert seen.items() <= now.items()
            seen = now
        assert records(store) == expected and not (store / "set-aside").exists()
        assert not list((store / "kept").iterdir())
        whole = min(whole, time.monotonic() - began)  # a busy machine may have been slow at first
        weights = {path.stem for path in (store / "weights").glob("*.safetensors")}
        assert weights == {name.removesuffix(".json") for name in expected}
    print(f"\n2 versions: {kills} kills in {rounds} stores, {lists} lists, {tidied} half-written files aged, "
          f"{rounds * len(expected)} records compared, all equal, none moved")


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of so many kB; needs the right to mount."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*options):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", folder], capture_output=True)
        if done.returncode:
            pytest.skip(f"cannot mount a disk here; tests/test_store.py pretends one: {done.stderr.decode().strip()}")
        return folder

    yield mount
    subprocess.run(["umount", folder], capture_output=True)


@pytest.mark.soak
def test_a_disk_that_is_full_again_and_again_loses_nothing(small_disk, tmp_path):
    """A real disk: the same command on one that grows by 64 kB each time ends with the records of a large one."""
    file = tmp_path / "specs.json"
    specs = [teacher(i, steps=400) for i in range(6)] + [student(fresh=n) for n in range(6)]
    file.write_text(json.dumps([spec.model_dump(mode="json") for spec in specs]))
    command = [sys.executable, "-c", f"import sys; sys.argv = ['kdlib', 'run', {str(file)!r}]; "
               "from kdlib.cli import main; main()"]

    def run(store):
        return subprocess.run(command, capture_output=True, text=True, env=os.environ | {
            "KDLIB_STORE": str(store), "KDLIB_CHECKPOINT_SECONDS": "0"})

    assert run(tmp_path / "large").returncode == 0
    expected, full, kept, size = records(tmp_path / "large"), 0, {}, 64
    store = small_disk(f"size={size}k")
    while (done := run(store)).returncode:
        last = done.stderr.strip().splitlines()[-1]
        assert "Traceback" not in done.stderr and last.startswith("kdlib: ") and "No space left" in last, done.stderr
        now = records(store)
        assert kept.items() <= now.items() <= expected.items()
        kept, full, size = now, full + 1, size + 64
        assert small_disk("remount", f"size={size}k") and size < 4096
    assert records(store) == expected and not list((store / "kept").iterdir())
    assert full >= 3
    print(f"\nfull {full} times, {size} kB in the end, {len(expected)} records compared, all equal")
    assert small_disk("remount", "ro")
    assert f"0 runs trained, {len(expected)} reused" in run(store).stdout
    file.write_text(json.dumps([teacher(30).model_dump(mode="json")]))
    assert run(store).stderr.startswith(f"kdlib: the run store {store} cannot be written (Read-only")
