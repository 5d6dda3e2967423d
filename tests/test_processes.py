"""Processes that are told to stop, that lose the one that started them, and that wait for each other: real ones."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from threading import Event, Thread

import psutil
import pytest
from conftest import store_images, teacher

from kdlib import processes
from kdlib.paths import project_root
from kdlib.processes import locked
from kdlib.store import Store

CODES = {"SIGINT": (130, "interrupted"), "SIGTERM": (143, "terminated"), "SIGHUP": (129, "hung up")}


def started(code, *args, **options):
    """A Python process that has printed its first line."""
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, args)], text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, **options)
    return process, process.stdout.readline().strip()


WAITING = """
import time
from kdlib.processes import stoppable
try:
    with stoppable():
        print("ready", flush=True)
        time.sleep(60)
finally:
    print("cleaned up", flush=True)
    time.sleep(60 * LONG)
"""


@pytest.mark.parametrize(("name", "code"), [(name, code) for name, (code, _) in CODES.items()])
def test_a_signal_lets_a_process_clean_up_and_gives_it_the_shells_code(name, code):
    process, _ = started(WAITING.replace("LONG", "0"))
    process.send_signal(getattr(signal, name))
    assert process.communicate(timeout=30) == ("cleaned up\n", "") and process.returncode == code


def test_a_second_signal_ends_a_process_that_is_still_cleaning_up():
    process, _ = started(WAITING.replace("with stoppable():\n", "with stoppable():\n      try:\n")
                         .replace("        print", "          print").replace("        time", "          time")
                         .replace("finally:", "      finally:\n        print('cleaning', flush=True)\n"
                                  "        time.sleep(60)\nfinally:").replace("LONG", "0"))
    process.terminate()
    assert process.stdout.readline() == "cleaning\n"
    process.terminate()
    assert process.wait(30) == -signal.SIGTERM


def test_what_nohup_ignores_stays_ignored():
    process, _ = started(WAITING.replace("LONG", "0"), preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    process.send_signal(signal.SIGHUP)
    process.terminate()
    assert process.wait(30) == 143


def test_a_worker_ends_when_its_parent_is_killed_and_only_then():
    child = ("import os, sys, time; from kdlib.processes import end_with; end_with(int(sys.argv[1])); "
             "print(os.getpid(), flush=True); time.sleep(60)")
    parent, pid = started(f"import os, subprocess, sys; "
                          f"subprocess.run([sys.executable, '-c', {child!r}, str(os.getpid())])")
    worker = psutil.Process(int(pid))
    for name in CODES:  # to all of a group: the parent answers
        worker.send_signal(getattr(signal, name))
    with pytest.raises(psutil.TimeoutExpired):
        worker.wait(1.5)
    parent.kill()
    worker.wait(30)
    parent.communicate()


@pytest.fixture
def held_for_a_while(monkeypatch):
    """Hold a lock in another thread, and let it go when whoever waits for it has had time to say so."""
    monkeypatch.setattr(processes, "PATIENCE", 0.1)
    threads = []

    def hold(path):
        held = Event()

        def other():
            with locked(path, "it"):
                held.set()
                time.sleep(0.7)

        threads.append(Thread(target=other))
        threads[-1].start()
        assert held.wait(30)

    yield hold
    for thread in threads:
        thread.join()


def test_who_waits_for_a_run_says_for_which_and_whose(store_here, held_for_a_while, capsys):
    store = Store()
    store.prepare()
    held_for_a_while(store._lock(teacher().key))
    [(_, trained)] = store.run([teacher()])
    said = capsys.readouterr().err
    assert trained and said.strip().count("\n") == 0
    who = f"process {os.getpid()} on {socket.gethostname()}"
    assert f"waiting for teacher {teacher().key}: {who} has had it since " in said
    store.run([teacher(1)])
    assert capsys.readouterr().err == ""


def test_who_waits_for_a_data_set_says_for_which(held_for_a_while, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    store_images("mnist", 20, 10, (1, 28, 28))
    held_for_a_while(tmp_path / "mnist" / ".lock")
    store_images("mnist", 20, 10, (1, 28, 28))
    assert f"waiting for data set mnist: process {os.getpid()} on " in capsys.readouterr().err


LONG = [teacher(i, steps=100_000, model="resnet1d-bn") for i in range(4)]


def running(tmp_path, workers):
    """(the command line's process, its descendants) while workers train LONG."""
    (tmp_path / "specs.json").write_text(json.dumps([spec.model_dump(mode="json") for spec in LONG]))
    code = "import sys; sys.argv[0] = 'kdlib'; from kdlib.cli import main; main()"
    command = subprocess.Popen(
        [sys.executable, "-c", code, "run", tmp_path / "specs.json", "--workers", str(workers)], text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        env=os.environ | {"KDLIB_STORE": str(tmp_path / "store"), "KDLIB_CHECKPOINT_SECONDS": "0.5"})
    while len(list(tmp_path.glob("store/kept/*.safetensors"))) < workers:
        assert command.poll() is None
        time.sleep(0.1)
    return command, psutil.Process(command.pid).children(recursive=True)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "send"), [("SIGTERM", os.kill), ("SIGHUP", os.kill), ("SIGHUP", os.killpg),
                                            ("SIGINT", os.killpg)])
def test_a_command_that_is_told_to_stop_says_so_and_leaves_no_worker(tmp_path, name, send):
    command, others = running(tmp_path, 2)
    send(command.pid, getattr(signal, name))
    said = command.communicate(timeout=60)[1]
    code, word = CODES[name]
    assert command.returncode == code and "Traceback" not in said
    assert said.endswith(f"kdlib: {word}; finished runs are kept: the same command goes on from here\n")
    assert len(others) >= 2 and not psutil.wait_procs(others, timeout=30)[1]


def is_kernel(process):
    try:
        return "ipykernel_launcher" in " ".join(process.cmdline())
    except psutil.Error:  # another child, which has just ended
        return False


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_command_that_executes_notebooks_is_told_to_stop_like_any_other(tmp_path, name):
    shutil.copytree(project_root() / "notebooks", tmp_path / "notebooks")
    code = ("import sys; from pathlib import Path; from kdlib import book, cli; refresh = book.refresh; "
            "root = Path(sys.argv[1]); book.refresh = lambda: refresh(root); sys.argv = ['kdlib', 'notebooks']; "
            "cli.main()")
    command = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    while not (kernels := [child for child in psutil.Process(command.pid).children() if is_kernel(child)]):
        assert command.poll() is None
        time.sleep(0.1)
    command.send_signal(getattr(signal, name))
    said = command.communicate(timeout=60)[1]
    code, word = CODES[name]
    assert (command.returncode, said) == (code, f"\nkdlib: {word}\n")
    assert not psutil.wait_procs(kernels, timeout=30)[1]


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "devices"), [(2, 1), (1, 2)])
def test_workers_and_ranks_end_when_the_command_is_killed(tmp_path, monkeypatch, workers, devices):
    monkeypatch.setenv("KDLIB_DEVICES", str(devices))
    command, others = running(tmp_path, workers)
    command.kill()
    assert len(others) >= 2 and not psutil.wait_procs(others, timeout=30)[1]
    command.communicate()


@pytest.mark.slow
def test_a_command_on_two_devices_that_is_told_to_stop_leaves_no_rank(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DEVICES", "2")
    command, others = running(tmp_path, 1)
    command.terminate()
    command.communicate(timeout=60)
    assert command.returncode == 143
    assert len(others) >= 2 and not psutil.wait_procs(others, timeout=30)[1]
