"""A user's own objectives and optimizers, in specs and in workers."""

import json

import pytest
import torch
from conftest import student, teacher
from pydantic import ValidationError

import kdlib as library
from kdlib import catalog, losses, own, runs
from kdlib.compute import compute
from kdlib.own import OwnError
from kdlib.spec import Student, Training
from kdlib.store import Store, parse, run_now
from kdlib.train import Unusable

FILE = '''
import kdlib
import torch
from beside import POWER

@kdlib.objective
def huber(student, teacher, delta=1.0):
    return torch.nn.functional.huber_loss(student, teacher, reduction="none", delta=delta).mean(-1) ** POWER

@kdlib.objective
def right_ones(student, teacher, labels, temperature):
    right = teacher.argmax(-1) == labels
    return right * ((student - teacher) / temperature).square().mean(-1)

@kdlib.optimizer
def halves(net, lr, weight_decay, share=0.5):
    heads = list(net.head.parameters())
    rest = [p for p in net.parameters() if not any(p is h for h in heads)]
    return [torch.optim.Adafactor(rest, lr=lr, weight_decay=weight_decay), torch.optim.SGD(heads, lr=share * lr)]
'''


@pytest.fixture(autouse=True)
def tables_as_they_were(monkeypatch):
    for where, name in ((catalog, "OBJECTIVES"), (catalog, "OPTIMIZERS"), (own, "METHODS"), (own, "USED")):
        monkeypatch.setattr(where, name, dict(getattr(where, name)))


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "beside.py").write_text("POWER = 1\n")
    (tmp_path / "mine.py").write_text(FILE)
    library.use(tmp_path / "mine.py")
    return tmp_path / "mine.py"


OPTIMIZED = Training(steps=5, batch=10, optimizer="sgd")


def test_a_key_has_the_name_the_settings_and_the_files_hash(mine):
    one = student(objective="huber")
    source = one.objective.removeprefix("huber@")
    assert len(source) == 12 and student(objective=one.objective) == student(objective="huber(delta=1)") == one
    other = student(objective="huber(delta=2)")
    assert other.objective == f"huber(delta=2.0)@{source}"
    mine.write_text(FILE + "# a word\n")
    library.use(mine)
    changed = student(objective="huber")
    assert len({spec.key for spec in (one, other, changed, student())}) == 4
    assert student().key == student(objective="kd").key and "objective" not in student().model_dump()


def test_an_own_optimizer_in_a_training_has_its_hash(mine):
    assert Training(steps=5, optimizer="halves").optimizer.startswith("halves@")
    assert Training(steps=5, optimizer="halves(share=0.1)").optimizer.startswith("halves(share=0.1)@")


def test_a_record_of_what_is_not_here_can_be_read_and_not_trained(mine, store_here, monkeypatch):
    spec = student(objective="huber")
    (record, _), made = run_now([spec], lambda needed: run_now([needed], None)[0][1])[0], catalog.OBJECTIVES
    monkeypatch.setattr(catalog, "OBJECTIVES", {name: made[name] for name in made if name != "huber"})
    assert parse(record.line(), "here").spec["objective"] == spec.objective
    again = Student.model_validate_json(json.dumps(record.spec))
    assert again.key == spec.key
    with pytest.raises(OwnError, match=r"huber.*is not here.*--with FILE"):
        compute([again], 1)
    assert not (store_here / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_train_by_what_one_process_has_used(mine, store_here, workers):
    specs = [student(objective="huber", trial=trial, foil=(teacher(20, trial),)) for trial in (0, 1)]
    specs.append(student(training=OPTIMIZED.but(optimizer="halves")))
    specs.append(student(objective="right_ones", temperature=2.0))
    records = compute(specs, workers)
    assert len({records[spec].metrics["kl"] for spec in specs}) == 4
    assert Store().get(specs[0]).spec["objective"].startswith("huber@")


def test_another_process_needs_no_file(mine):
    used = dict(own.USED)
    del catalog.OBJECTIVES["huber"], own.USED[str(mine)]
    mine.unlink()
    own.receive(used)
    s, t = torch.randn(3, 4), torch.randn(3, 4)
    torch.testing.assert_close(losses.of("huber")(s, t), torch.nn.functional.huber_loss(s, t, reduction="none").mean(1))
    entry = catalog.OBJECTIVES["huber"]
    own.receive(used)  # once
    assert catalog.OBJECTIVES["huber"] is entry


def test_nets_of_a_cohort_with_an_optimizer_of_their_tensors_have_the_bits_that_they_have_alone(mine):
    training = Training(steps=5, batch=10, optimizer="halves")
    specs = [student(trial=trial, foil=(), training=training) for trial in (0, 1)]
    weights = {}

    def weights_of(needed):
        return weights.setdefault(needed.key, run_now([needed], None)[0][1])

    together = runs.execute(specs, weights_of)
    assert [metrics for metrics, *_ in together] == [runs.execute([spec], weights_of)[0][0] for spec in specs]


def test_the_command_trains_specs_of_ones_own(kdlib, mine, tmp_path):
    text = json.dumps([student(foil=()).model_dump(mode="json") | {"objective": "huber"}])
    (tmp_path / "mine.json").write_text(text)
    code, out, err = kdlib("run", tmp_path / "mine.json", "--with", mine)
    assert code == 0, err
    assert "2 runs trained" in out
    code, out, _ = kdlib("runs", "--kind", "student")
    assert code == 0 and "agreement=" in out
    mine.write_text(FILE + "# another\n")
    assert "2 runs trained" not in kdlib("run", tmp_path / "mine.json", "--with", mine)[1]  # the teacher is found
    code, _, err = kdlib("run", tmp_path / "mine.json", "--with", tmp_path / "none.py")
    assert code == 2 and "none.py cannot be read (No such file or directory)" in err


@pytest.mark.parametrize("wrong, says", [
    ("import kdlib\nx = 1 / 0\n", r"mine.py, line 2 fails: ZeroDivisionError"),
    ("x = (\n", "mine.py, line 1 fails: SyntaxError"),
    ("x = 1\n", "defines nothing for kdlib"),
    ("import kdlib\n@kdlib.objective\ndef kd(s, t): pass\n", "there is an objective kd in kdlib"),
    ("import kdlib\n@kdlib.objective\ndef mine(s): pass\n", "mine must take student, teacher"),
    ("import kdlib\n@kdlib.objective\ndef mine(s, t, by): pass\n", "the setting by of mine needs a usual value"),
    ("import kdlib\n@kdlib.objective\ndef fine(s, t): pass\nnot_here\n", "line 4 fails: NameError")])
def test_a_file_that_cannot_be_used_is_a_sentence_and_leaves_nothing(tmp_path, wrong, says):
    before = dict(catalog.OBJECTIVES)
    (tmp_path / "mine.py").write_text(wrong)
    with pytest.raises(OwnError, match=says):
        library.use(tmp_path / "mine.py")
    assert catalog.OBJECTIVES == before and not own.USED


def test_what_no_file_defines_is_not_in_a_spec_but_can_be_distilled_by():
    @library.objective
    def nearest(student, teacher):
        return (student - teacher).abs().mean(-1)

    with pytest.raises(ValidationError, match="known to this process alone"):
        student(objective="nearest")
    assert losses.of("nearest")(torch.ones(2, 3), torch.zeros(2, 3)).tolist() == [1, 1]


@pytest.mark.parametrize("body, says", [
    ("return (student - teacher).square().mean()", "one number an example"),
    ("return student @ teacher", "fails on logits")])
def test_an_objective_is_tried_before_its_teacher_is_trained(tmp_path, store_here, body, says):
    (tmp_path / "mine.py").write_text(f"import kdlib\n@kdlib.objective\ndef mine(student, teacher):\n    {body}\n")
    library.use(tmp_path / "mine.py")
    with pytest.raises(Unusable, match=rf"objective mine@.*{says}"):
        compute([student(objective="mine")], 1)
    assert not (store_here / "runs").exists()


@pytest.mark.parametrize("wrong, says", [
    ({"objective": "kdd"}, "no objective 'kdd'"),
    ({"objective": "dkd", "fresh": 10}, "objective dkd needs true labels"),
    ({"objective": "mse", "temperature": 4.0}, "has no temperature"),
    ({"objective": "dkd(others=x)"}, "must be a number"),
    ({"objective": "dkd(others=inf)"}, "must be a number"), ({"objective": "dkd(("}, "no name of an objective")])
def test_a_wrong_objective_is_refused(wrong, says):
    with pytest.raises(ValidationError, match=says):
        student(**wrong)


@pytest.mark.parametrize("name", ["mse", "dkd", "reverse-kl", "js", "kd(kl=True)"])
def test_every_objective_trains_in_a_spec(name):
    weights = {}

    def weights_of(needed):
        return weights.setdefault(needed.key, run_now([needed], None)[0][1])

    (usual, *_), (metrics, *_) = (runs.execute([student(objective=one, foil=())], weights_of)[0]
                                  for one in ("kd", name))
    assert metrics["kl"] != usual["kl"] or name == "kd(kl=True)"
