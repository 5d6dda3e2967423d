import importlib
import json
import random
import signal
import sys
import types
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kdlib.cli import main
from kdlib.data import stored
from kdlib.paths import project_root
from kdlib.results import checksum
from kdlib.spec import Data, Defects, Generator, Student, Surface, Teacher, Training
from kdlib.store import KeptState, run_now

torch.set_num_threads(1)
with suppress(ImportError):  # it asks once whether Python is interactive: now, before a test makes a shell
    import lightning_fabric  # noqa: F401
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as a job in the background: what the tests interrupt would not
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def store_here(tmp_path, monkeypatch):
    """A run store of the test's own; data draws are shared with the project, they are only a cache."""
    monkeypatch.setenv("KDLIB_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("KDLIB_FROM_RECORDS", raising=False)
    return tmp_path / "store"


@pytest.fixture
def kdlib(monkeypatch, capsys, tmp_path):
    """Call the command line in this process: (exit code, stdout, stderr); what it lets through fails the test."""
    monkeypatch.setenv("KDLIB_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("KDLIB_FROM_RECORDS", raising=False)

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["kdlib", *map(str, args)])
        with pytest.raises(SystemExit) as done:
            main()
        return done.value.code or 0, *capsys.readouterr()

    return call


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, driven by Playwright."""
    from playwright.sync_api import sync_playwright

    from kdlib.printing import chromium

    path = chromium()
    if path is None:
        pytest.skip("this machine has no Chromium, in which pages are checked: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


def teacher(member=0, trial=0, steps=5, model="cnn1d", name="mnist1d"):
    return Teacher(data=Data(name=name, trial=trial, train=50, test=60), model=model, member=member,
                   training=Training(steps=steps, batch=10))


def student(m=1, trial=0, **options):
    options = {"model": "cnn1d", "training": Training(steps=5, batch=10), "foil": (teacher(20, trial),)} | options
    return Student(teachers=tuple(teacher(i, trial) for i in range(m)), **options)


def surface(grid=3, trial=0):
    return Surface(student=student(trial=trial), grid=grid, segment=3)


def painter(steps=3, name="cifar100-16", **options):
    """A tiny generator and its judge."""
    judge = teacher(model="resnet8-bn-w4", name=name)
    return Generator(**{"data": judge.data, "judge": judge, "width": 8, "latent": 16, "batch": 4, "steps": steps}
                     | options)


def store_images(name, n, classes, shape):
    """A made-up data set in KDLIB_DATA, sorted by class as real ones are."""
    random, arrays = np.random.default_rng(0), {}
    for part in ("train", "test"):
        arrays[f"{part}-x"] = random.integers(0, 256, (n, *shape), dtype=np.uint8)
        arrays[f"{part}-y"] = np.sort(np.arange(n) % classes).astype(np.uint8)
    stored.keep(name, arrays, "random numbers")


def defects(m=1):
    return Defects(student=student(m), batch=25)


def same_result(one, other):
    """Whether two records are of one run, with the same bits."""
    return (one.key, one.metrics, one.curves) == (other.key, other.metrics, other.curves)


class Killed(BaseException):
    """The process dies."""


def die_keeping(monkeypatch, at):
    """Keep the state as often as can be, and die right after doing so for the `at`-th time."""
    monkeypatch.setenv("KDLIB_CHECKPOINT_SECONDS", "0")
    save, count = KeptState.save, [0]

    def dying(self, tensors):
        save(self, tensors)
        count[0] += 1
        if count[0] == at:
            raise Killed

    monkeypatch.setattr(KeptState, "save", dying)


def images(channels, side, n=400):
    """Noise, uint8 [n, channels, side, side]."""
    return np.random.default_rng(0).integers(0, 256, (n, channels, side, side), dtype=np.uint8)


def photographs(folder, n):
    """Files of noise, of several shapes."""
    files = [folder / f"{i}.JPEG" for i in range(n)]
    for i, (file, image) in enumerate(zip(files, images(3, 300, n), strict=True)):
        pixels = Image.fromarray(image.transpose(1, 2, 0)).crop((0, 0, 300 - 3 * i, 240 + 2 * i))
        (pixels.convert("L") if i == 3 else pixels).save(file)  # ImageNet has a few grey ones
    return files


def result(spec, made=None):
    """The record of a run, and, in `made`, the weights of all that it needed."""
    made = {} if made is None else made

    def weights_of(needed):
        if needed.key not in made:
            made[needed.key] = run_now([needed], weights_of)[0][1]
        return made[needed.key]

    return run_now([spec], weights_of)[0][0]


def same(one, other):
    """Whether two state dicts are equal to the bit."""
    return all(torch.equal(one[name], other[name]) for name in one)


class Kept:
    """Keeps the first state only, and gives it back."""

    def __init__(self):
        self.tensors = None

    def load(self):
        return self.tensors

    def due(self):
        return self.tensors is None

    def save(self, tensors):
        self.tensors = tensors


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


def rewritten(path, change):
    """Write a record anew with `change(body)`, its checksum right."""
    body = json.loads(path.read_text())
    body.pop("checksum")
    change(body)
    path.write_text(json.dumps(body | {"checksum": checksum(body)}))


def on_images(**options):
    """A run on the images that are stored under the name mnist."""
    return teacher(model="lenet5", name="mnist", **options)


@pytest.fixture
def stored_images(tmp_path, monkeypatch):
    """Store `n` made-up images under the name mnist, others for another n; gives their fingerprint."""
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path / "data"))

    def keep(n, name="mnist", shape=(1, 28, 28)):
        store_images(name, n, 10, shape)
        return stored.info(name)["fingerprint"]

    return keep


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    """A single chapter, of two runs on images, and the folder of its records."""
    monkeypatch.setenv("KDLIB_RESULTS", str(tmp_path / "results"))
    runs = {"row": [on_images(), on_images(member=1)]}
    made_up = types.SimpleNamespace(stem="x", runs=lambda design: runs)
    monkeypatch.setattr("kdlib.experiments.CHAPTERS", {"01_x": made_up})
    return tmp_path / "results" / "smoke"


@pytest.fixture
def benchmark(monkeypatch):
    """The module of that name in benchmarks/."""
    monkeypatch.syspath_prepend(str(project_root() / "benchmarks"))
    return importlib.import_module
