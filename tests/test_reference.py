"""Results cannot change unnoticed: the code against tests/reference.json."""

import json

import pytest
import reference
import torch

from kdlib import augment, losses, metrics, models, spec, streams, train

CHANGE = "results changed: raise RESULTS_VERSION in kdlib/spec.py, then `python tests/reference.py`"


@pytest.fixture(scope="module")
def recorded():
    return json.loads(reference.FILE.read_text())


def test_this_code_computes_the_results_of_its_version(recorded):
    assert recorded["version"] == spec.RESULTS_VERSION, "`python tests/reference.py` records the new version's results"
    now = reference.compute()
    assert not (moved := reference.moved(recorded["results"], now)), f"{CHANGE} ({', '.join(moved)})"
    assert set(now) == set(recorded["results"]), "`python tests/reference.py` records what is new"


def scaled(function, factor):
    return lambda *args, **options: factor * function(*args, **options)


@pytest.mark.parametrize(("module", "name", "changed", "seen"), [
    pytest.param(losses, "distillation", scaled(losses.distillation, 1.01), "student temperature", id="distillation"),
    pytest.param(losses, "nll", scaled(losses.nll, 1.01), "teacher mlp easy", id="nll"),
    pytest.param(losses, "mixed", scaled(losses.mixed, 1.01), "student mixed", id="mixed"),
    pytest.param(augment, "crop_flip", lambda x, g: x, "policy baseline of images", id="augmentation"),
    pytest.param(models, "seed_of", lambda *name: streams.seed_of(*name, 1), "teacher mlp easy", id="stream"),
    pytest.param(metrics, "ece", lambda z, y, ece=metrics.ece: ece(z, y, bins=10), "metrics", id="bins"),
    pytest.param(train, "learning_rate", lambda training, step: training.lr, "training sgd", id="schedule"),
    pytest.param(torch.optim, "SGD", lambda *args, sgd=torch.optim.SGD, **options: sgd(
        *args, **options | {"nesterov": False}), "training sgd", id="optimizer")])
def test_a_change_of_what_decides_results_is_caught(recorded, monkeypatch, module, name, changed, seen):
    monkeypatch.setattr(module, name, changed)
    was = {name: numbers for name, numbers in recorded["results"].items() if name.startswith(seen)}
    assert reference.moved(was, reference.compute(seen))
    monkeypatch.undo()
    assert not reference.moved(was, reference.compute(seen))


def test_changed_results_are_not_recorded_under_the_same_version(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(reference, "FILE", tmp_path / "reference.json")
    monkeypatch.setattr(reference, "compute", lambda: {"run": {"loss": [1.0, 2.0]}})
    reference.main()
    before = reference.FILE.read_text()
    monkeypatch.setattr(reference, "compute", lambda: {"run": {"loss": [1.0, 2.01]}})
    with pytest.raises(SystemExit, match="the first: run: loss.: raise RESULTS_VERSION"):
        reference.main()
    assert reference.FILE.read_text() == before
    monkeypatch.setattr(spec, "RESULTS_VERSION", spec.RESULTS_VERSION + 1)
    reference.main()
    assert "2.01" in reference.FILE.read_text()
