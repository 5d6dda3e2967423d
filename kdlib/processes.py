"""A process among others: it stops when it is told to, ends with the one that started it, says for whom it waits."""

import json
import os
import signal
import socket
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

STOPS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up"}  # by what a shell calls them
PATIENCE = 1.0  # seconds of waiting for a lock before it is worth a line


def stopped(code) -> str | None:
    """In a word, which signal ended a process with this exit code (128 and its number, the shell's convention)."""
    return {128 + getattr(signal, name): word for name, word in STOPS.items()}.get(code)


@contextmanager
def stoppable():
    """The signals that ask a process to stop raise SystemExit in its main thread, once: whatever cleans up does, and a
    second one ends it where it is. What the caller ignores (nohup) stays ignored."""
    def stop(number, frame):
        for one in before:
            signal.signal(one, signal.SIG_DFL)
        sys.exit(128 + number)

    numbers = [getattr(signal, name) for name in STOPS]
    before = {one: signal.getsignal(one) for one in numbers}
    before = {one: handler for one, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    try:
        for one in before:
            signal.signal(one, stop)
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def end_with(parent: int) -> None:
    """Make this process, a worker, end within a second when process `parent`, which started it, is gone. Signals to the
    whole group are the parent's to answer: it may want to say why its workers end."""
    for name in STOPS:
        signal.signal(getattr(signal, name), lambda number, frame: None)  # not SIG_IGN: children would inherit that

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)  # as if both had been killed

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def locked(path: Path, what: str):
    """Hold the lock of the file `path` while in this block. Who must wait for longer than a moment says for `what`, and
    which process has it."""
    from filelock import FileLock, SoftFileLock, Timeout

    lock = FileLock(path)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        print(f"\nkdlib: waiting for {what}: {_holder(path)}", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        if not isinstance(lock, SoftFileLock):  # of a file system without locks: there the content is the lock
            with suppress(OSError):  # a note only
                path.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(),
                                            "since": time.strftime("%Y-%m-%d %H:%M:%S")}))
        yield
    finally:
        lock.release()


def _holder(path):
    try:
        note = json.loads(path.read_text())
        return f"process {note['pid']} on {note['host']} has had it since {note['since']}"
    except (OSError, ValueError, TypeError, KeyError):
        return "another process has it"
