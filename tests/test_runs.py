import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import Literal

import pytest
import torch
from conftest import Kept, Killed, defects, die_keeping, result, same, same_result, student, surface, teacher

from kdlib import augment, data, losses, metrics, runs, train
from kdlib.catalog import DATA_SETS
from kdlib.compute import COHORT, cohorts, compute
from kdlib.data.stored import read_by
from kdlib.models import Ensemble, build
from kdlib.paths import project_root
from kdlib.results import Recorded
from kdlib.runs import cohort, holds, labeller
from kdlib.runs.student import MORE, inputs_of, pool_of
from kdlib.spec import KIND_NAMES, Data, Labels, Student, Teacher, Training
from kdlib.store import Store, run_now
from kdlib.streams import stream
from kdlib.train import Diverged

KINDS = [teacher(), student(), student(3, policy="combined"), student(alpha=0.3), student(toward_teacher=0.25),
         student(policy="ood"), student(policy="fresh"), student(start="teacher-initial"), surface(),
         defects()]


@pytest.mark.parametrize("spec", KINDS)
def test_equal_specs_give_equal_records_to_the_bit(spec):
    assert same_result(result(spec), result(spec))


def test_a_run_gives_the_same_bits_alone_and_among_others():
    group = [student(training=Training(steps=30, batch=10), **options) for options in (
        {}, {"fresh": 40}, {"policy": "mixup"}, {"toward_teacher": 0.5}, {"m": 3}, {"fresh": 900}, {"policy": "noise"})]
    assert len({cohort(spec) for spec in group}) == 1
    made = {}
    alone = [result(spec, made) for spec in group]
    for size in (2, 3, 7):
        together = [record for record, _ in run_now(group[:size], lambda spec: made[spec.key])]
        assert all(same_result(a, b) for a, b in zip(together, alone, strict=False))


def test_a_cohort_shares_net_steps_and_loss():
    longer = student(training=Training(steps=6, batch=10))
    for other in (student(temperature=4.0), student(alpha=0.5), longer, teacher()):
        assert cohort(other) != cohort(student())
    assert cohort(student(model="resnet1d-bn")) is cohort(surface()) is cohort(defects()) is None
    specs = [student(temperature=t, toward_teacher=x / 20) for t in (1.0, 4.0) for x in range(20)]
    tasks = cohorts(specs, 2)
    assert sorted(s.key for task in tasks for s in task) == sorted(s.key for s in specs)
    assert all(len({cohort(s) for s in task}) == 1 and len(task) <= COHORT for task in tasks)


class OtherLoss(Student):
    """A student of a version of kdlib that has one more field."""

    against: Literal["kl", "mse"] = "kl"


def other_loss(against="kl", objective="kd", temperature=1.0, alpha=0.0):
    if against == "mse":
        return lambda student_logits, teacher_logits: (student_logits - teacher_logits).square().mean(1)
    return losses.distillation


def test_a_field_more_in_a_spec_parts_cohorts_and_reaches_the_loss(monkeypatch):
    kl, mse = (OtherLoss(**dict(student()) | {"against": against}) for against in ("kl", "mse"))
    assert kl.loss != mse.loss and cohort(kl) != cohort(mse)
    with pytest.raises(TypeError, match="against"):  # a loss that does not know the field cannot leave it out
        runs.execute([mse], made_weights)
    monkeypatch.setattr(losses, "of", other_loss)
    alone = [runs.execute([spec], made_weights)[0][0] for spec in (kl, mse)]
    assert alone[0] != alone[1]
    # whoever groups them all the same gets what each has alone
    assert [metrics for metrics, *_ in runs.execute([kl, mse], made_weights)] == alone


def made_weights(spec, made={}):  # noqa: B006
    """The weights of a run that is trained here, once."""
    if spec.key not in made:
        made[spec.key] = runs.execute([spec], made_weights)[0][2]
    return made[spec.key]


@pytest.mark.parametrize("model", ["cnn1d", "resnet1d-bn"])
def test_every_run_has_its_own_objective_whatever_it_is_executed_with(model):
    specs = [student(model=model, **options) for options in (
        {}, {"temperature": 4.0}, {"alpha": 0.5}, {"policy": "jitter", "temperature": 2.0})]
    alone = [runs.execute([spec], made_weights)[0] for spec in specs]
    for group in (specs[:2], [specs[1], specs[3]]):  # batches of one have as many parts
        for (numbers, curves, weights), spec in zip(runs.execute(group, made_weights), group, strict=True):
            assert (numbers, curves) == alone[specs.index(spec)][:2]
            assert same(weights, alone[specs.index(spec)][2])


SHARING = [student(2, model="resnet1d-ln", policy="mixup", training=Training(steps=45, batch=10), **options)
           for options in ({}, {"temperature": 4.0}, {"start": "random", "temperature": 2.0})]


def test_students_of_the_same_batches_have_them_labelled_once(monkeypatch):
    assert len({spec.batches for spec in SHARING}) == 1 and len({spec.loss for spec in SHARING}) == 3
    asked = []
    monkeypatch.setattr(labeller, "logits_of", lambda net, x: (asked.append(len(x)), train.logits_of(net, x))[1])
    alone = [runs.execute([spec], made_weights) for spec in SHARING]
    each = sum(asked) / len(SHARING)
    asked.clear()
    together = runs.execute(SHARING, made_weights)
    assert sum(asked) == each == 45 * 10
    for [(numbers, curves, weights)], (numbers_too, curves_too, weights_too) in zip(alone, together, strict=True):
        assert (numbers, curves) == (numbers_too, curves_too) and same(weights, weights_too)


def test_students_that_share_batches_go_on_from_their_kept_state_with_the_same_bits():
    kept = Kept()
    undisturbed = runs.execute(SHARING, made_weights, kept)
    assert int(kept.tensors["step"]) == train.BLOCK
    went_on = runs.execute(SHARING, made_weights, kept)
    assert [one[:2] for one in went_on] == [one[:2] for one in undisturbed]


@pytest.mark.parametrize("spec", [
    student(fresh=30), student(inputs="D1"), student(2), student(policy="jitter"), student(alpha=0.5),
    student(training=Training(steps=6, batch=10)), student().but(foil=(teacher(21),))])
def test_students_of_other_batches_share_none(spec):
    assert spec.batches != student().batches


def test_the_images_added_to_a_set_are_of_the_one_that_the_catalog_calls_related(monkeypatch):
    pupil = Student(teachers=(teacher(model="lenet5", name="mnist"),), model="lenet5", related=3,
                    training=Training(steps=5))
    monkeypatch.setitem(DATA_SETS, "mnist", replace(DATA_SETS["mnist"], related=("fashion-mnist",)))
    monkeypatch.setattr(data, "related", lambda name, n, trial: torch.full((n, 1, 28, 28), float(len(name))))
    x = torch.zeros(2, 1, 28, 28)
    splits = data.Splits(x, torch.zeros(2), x, torch.zeros(2), pupil.data)
    assert inputs_of(pupil, splits, None)[2:].eq(len("fashion-mnist")).all()


@pytest.mark.parametrize("options, borrowed", [
    ({"policy": "ood"}, {"unlike": "mnist"}), ({"policy": "svhn"}, {"unlike": "svhn-test10000"}), ({}, {})])
def test_a_run_names_the_sets_whose_images_it_mixes_in_and_gets_them(options, borrowed, monkeypatch):
    asked = []
    monkeypatch.setattr(data, "out_of_domain", lambda name, n, trial, pool: asked.append((name, n, pool)))
    net = teacher(model="resnet8-bn-w4", name="cifar100-16")
    pupil = Student(teachers=(net,), model="resnet8-bn-w4", training=Training(steps=5), **options)
    assert pupil.lenders == borrowed and read_by(pupil) == ["cifar100", *borrowed.values()]
    pool_of(pupil, None, 7, None)
    assert asked == [("cifar100-16", 7, name) for name in borrowed.values()]


def test_letters_are_added_where_a_run_says_so():
    both = [Student(teachers=(teacher(model="lenet5", name="mnist"),), model="lenet5", related=3, **more,
                    training=Training(steps=5)) for more in ({}, {"related_set": "emnist-letters"})]
    assert [read_by(s) for s in both] == [["mnist", "emnist"], ["mnist", "emnist-letters"]]
    assert both[0].key != both[1].key and both[0].batches != both[1].batches


def test_a_student_is_compared_with_each_of_its_unseen_ensembles():
    """Exchanged, they exchange their metrics; the student itself stays as it is."""
    one, other = (student(foil=foil, foils=foils) for foil, foils in (
        ((teacher(20),), ((teacher(21), teacher(22)),)), ((teacher(21), teacher(22)), ((teacher(20),),))))
    (first, _, weights), (second, _, weights_too) = (runs.execute([spec], made_weights)[0] for spec in (one, other))
    plain = runs.execute([student()], made_weights)[0][0]
    assert same(weights, weights_too) and plain.items() <= first.items()
    for name in ("agreement", "kl", "train_agreement", "train_kl"):
        assert (first[f"independent_{name}"], first[f"independent2_{name}"]) == (
            second[f"independent2_{name}"], second[f"independent_{name}"])
    assert first["independent_cka1"] == second["independent2_cka1"] and "independent2_cka1" not in first


def test_all_measures_are_those_of_the_metrics_beside_every_judge():
    spec = student(3, model="resnet1d-bn", measures="all")
    found, _, weights = runs.execute([spec], made_weights)[0]
    fewer, *_ = runs.execute([spec.but(measures="paper")], made_weights)[0]
    assert fewer.items() <= found.items()
    splits = data.load(**dict(spec.data))
    net, own, unseen = (build("resnet1d-bn", "mnist1d"), Ensemble([build("cnn1d", "mnist1d") for _ in range(3)]),
                        Ensemble([build("cnn1d", "mnist1d")]))
    net.load_state_dict(weights)
    for member, needed in zip([*own.members, *unseen.members], spec.teachers + spec.foil, strict=True):
        member.load_state_dict(made_weights(needed))
    z = train.logits_of(net, splits.test_x)
    for prefix, judge in (("", own), ("independent_", unseen)):
        t = train.logits_of(judge, splits.test_x)
        right, wrong = metrics.agreement_by_correctness(z, t, splits.test_y)
        expected = {"reverse_kl": metrics.predictive_kl(z, t), "jensen_shannon": metrics.jensen_shannon(z, t),
                    "total_variation": metrics.total_variation(z, t), "kappa": metrics.cohen_kappa(z, t),
                    "log_odds_slope": metrics.log_odds_slope(z, t), "agreement_right": right, "agreement_wrong": wrong}
        assert {name: found[prefix + name] for name in expected} == pytest.approx(expected)
    assert [found[f"member{i}_agreement"] for i in (1, 2, 3)] == [
        metrics.agreement(z, train.logits_of(member, splits.test_x)) for member in own.members]
    # in train mode BatchNorm takes its moments from each batch of 10, as here by hand
    seen = splits.train_x
    by_hand = torch.cat([net.train()(part).detach() for part in seen.split(10)])
    assert found["logged_train_agreement"] == metrics.agreement(by_hand, train.logits_of(own, seen))


@pytest.mark.parametrize("spec", [teacher(), student(), student(3), student(3, measures="all", foils=((teacher(21),),)),
                                  surface(), defects(),
                                  Labels(teachers=(teacher(),))], ids=lambda spec: spec.kind)
def test_every_number_of_a_record_is_documented(spec):
    found, curves, _ = runs.execute([spec], made_weights)[0]
    assert undocumented(spec.kind, found | curves) == []


def undocumented(kind, names):
    return [name for name in names
            if not any(holds.pattern(names).fullmatch(name) for names in runs.KINDS[kind].holds)]


def test_the_table_of_what_records_hold_is_that_of_the_code():
    assert holds.page() == (project_root() / holds.PAGE).read_text(), "write it anew: python -m kdlib.runs.holds"


def test_every_number_of_every_committed_record_is_documented():
    """And what is documented is there: all but what only paper-sized runs and Inception's weights give."""
    records = [r for profile in ("laptop", "workstation") for r in Recorded(profile).records.values()]
    names = {(r.spec["kind"], name) for r in records for name in r.metrics | r.curves}
    assert not [name for kind, name in names if undocumented(kind, [name])]
    missing = {(kind, name) for kind, known in runs.KINDS.items() for name in known.holds
               if not any(k == kind and holds.pattern(name).fullmatch(n) for k, n in names)}
    assert missing <= {("student", name) for name in MORE} | {("generator", "{fid,is}")}


def test_there_is_an_entry_for_every_kind_of_run():
    assert tuple(runs.KINDS) == KIND_NAMES


@pytest.mark.parametrize("spec", KINDS, ids=lambda spec: spec.kind)
def test_every_kind_of_run_says_what_it_needs_costs_and_holds(spec):
    kind = runs.kind_of(spec)
    assert all(needed.key != spec.key for needed in spec.needs)
    assert runs.work(spec).passes > 0 and kind.priced(spec).batch > 0 and kind.holds


def test_a_student_at_its_teacher_starts_with_full_agreement_and_no_kl(monkeypatch):
    monkeypatch.setattr("kdlib.runs.training.fit", lambda *_: [[0.0]])
    metrics = result(student(toward_teacher=1.0), {teacher(i).key: fresh_weights(i) for i in (0, 20)}).metrics
    assert metrics["agreement"] == 1 and metrics["kl"] == pytest.approx(0, abs=1e-12)
    assert metrics["cka1"] == pytest.approx(1)


def test_the_baseline_of_a_student_at_its_unseen_teacher_is_full_agreement(monkeypatch):
    """The roles checked by their extremes: own teacher and foil exchange places, and so do the metrics."""
    monkeypatch.setattr("kdlib.runs.training.fit", lambda *_: [[0.0]])
    weights = {teacher(0).key: fresh_weights(0), teacher(20).key: fresh_weights(0)}
    metrics = result(student(toward_teacher=1.0, policy="jitter", fresh=10), weights).metrics
    for name in ("agreement", "train_agreement", "cka1", "cka3"):
        assert metrics[f"independent_{name}"] == pytest.approx(1)
    weights[teacher(20).key] = fresh_weights(20)
    metrics = result(student(toward_teacher=1.0, policy="jitter", fresh=10), weights).metrics
    for name in ("agreement", "train_agreement", "cka1", "cka3"):
        assert metrics[name] == pytest.approx(1) and metrics[f"independent_{name}"] < 0.999
    assert metrics["independent_train_kl"] > 0.001 > abs(metrics["train_kl"])


def fresh_weights(member):
    return {k: v + 0.1 for k, v in build("cnn1d", "mnist1d", member).state_dict().items()}


@pytest.mark.parametrize("options, what", [
    ({"lr": 1e30}, r"learning rate \(1e\+30\)"), ({"weight_decay": 1e300}, r"weight decay \(1e\+300\)")])
@pytest.mark.parametrize("steps", [1, 5])
def test_a_net_that_diverges_at_its_last_step_is_said_to_have_diverged_and_why(steps, options, what):
    """The loss of a step is of the weights before it."""
    wild = teacher().but(training=Training(steps=steps, batch=10, **options))
    with pytest.raises(Diverged, match=f"run {wild.key}.*(after the last step|step . of 5); lower its {what}"):
        runs.execute([wild], None)


def interrupted(specs, at, monkeypatch):
    """Records of `specs` from a store in which the process dies right after keeping its state for the `at`-th time."""
    store = Store()
    die_keeping(monkeypatch, at)
    with pytest.raises(Killed):
        store.run(specs)
    assert not any(store.get(spec) for spec in specs)
    steps = []
    advance = train._Run.advance
    monkeypatch.setattr(train._Run, "advance", lambda self, k, loss: (steps.append(k), advance(self, k, loss)))
    records = [record for record, _ in store.run(specs)]
    assert sum(steps) == specs[0].training.steps - at * train.BLOCK
    assert not list((store.root / "kept").iterdir())
    return records


LONG = Training(steps=3 * train.BLOCK + 5, batch=10)


@pytest.mark.parametrize("specs", [
    [teacher(steps=65)], [student(training=LONG)], [student(training=LONG, policy="combined")],
    [student(training=LONG.but(optimizer="sgd"), fresh=17)],
    [student(training=LONG, model="resnet1d-bn", policy="mixup")],
    [student(training=LONG, fresh=n, policy=p) for n, p in ((0, "baseline"), (30, "noise"), (7, "ood"))]],
    ids=["teacher", "adamw", "augmented", "sgd", "batchnorm", "cohort"])
@pytest.mark.parametrize("at", [1, 3])
def test_a_run_that_goes_on_from_its_kept_state_ends_with_the_same_bits(store_here, monkeypatch, specs, at):
    made = {}
    undisturbed = [result(spec, made) for spec in specs]
    Store().run([needed for spec in specs[:1] for needed in spec.needs])
    again = interrupted(specs, at, monkeypatch)
    assert all(same_result(a, b) for a, b in zip(again, undisturbed, strict=True))
    assert all(torch.equal(value, made_now[name]) for spec in specs if spec.key in made
               for made_now in [Store().weights(spec)] for name, value in made[spec.key].items())


@pytest.mark.slow
def test_killed_runs_go_on_where_they_stopped(store_here, tmp_path):
    """kill -9 of the process and its workers: what was finished is not trained again, the rest comes out the same."""
    command = [sys.executable, "-c", "import sys; sys.argv = ['kdlib', 'run', '04_paradox', '--profile', 'smoke', "
               "'--seeds', '1']; from kdlib.cli import main; main()"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while len(list(store_here.glob("runs/*.json"))) < 10 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {p: p.stat().st_mtime_ns for p in store_here.glob("runs/*.json")}
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    finished = {p.name: json.loads(p.read_text()) for p in store_here.glob("runs/*.json")}
    assert 10 <= len(kept) < len(finished)
    assert all(path.stat().st_mtime_ns == time_ for path, time_ in kept.items())
    undisturbed = subprocess.run(command, env=os.environ | {"KDLIB_STORE": str(tmp_path / "other")})
    assert undisturbed.returncode == 0
    for name, record in finished.items():
        again = json.loads((tmp_path / "other" / "runs" / name).read_text())
        assert (record["metrics"], record["curves"]) == (again["metrics"], again["curves"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA; every line of it is tested on the CPU too")
def test_a_gpu_gives_the_cpus_results_within_rounding(monkeypatch):
    on_gpu = [result(spec) for spec in KINDS]
    monkeypatch.setenv("KDLIB_DEVICE", "cpu")
    for spec, record in zip(KINDS, on_gpu, strict=True):
        assert record.metrics == pytest.approx(result(spec).metrics, abs=0.05)


def test_labels_of_all_crops_are_those_that_training_would_ask_for(monkeypatch):
    x = torch.rand(6, 3, 16, 16)
    teacher = Ensemble([build("resnet8-bn", "cifar100-16", 0)])
    judge = Teacher(data=Data(name="cifar100-16", trial=0, train=6, test=1), model="resnet8-bn", member=0,
                    training=Training(steps=1))
    spec = Student(teachers=(judge,), model="resnet8-bn", training=Training(steps=100, batch=10))
    label = labeller.labeller(spec, teacher, x, stream("a"))
    monkeypatch.setattr(labeller, "logits_of", lambda *_: pytest.fail("asked again"))
    rows = torch.arange(6).repeat(20)
    seen, logits = label(rows)
    assert torch.equal(seen, augment.augment(x[rows], "baseline", stream("a")))
    torch.testing.assert_close(logits, teacher(seen), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("change, asked", [
    ({}, 50 * 6),  # all crops and flips of 6 images
    ({"training": Training(steps=29, batch=10)}, 290),  # fewer than 300
    ({"policy": "vflip"}, 1000), ({"fresh": 3}, 50 * 9), ({"fresh": 30}, 1000)])
def test_teachers_are_asked_in_the_way_that_asks_least(change, asked, monkeypatch):
    """What a plan counts is what is asked."""
    judge = Teacher(data=Data(name="cifar100-16", trial=0, train=6, test=1), model="resnet8-bn", member=0,
                    training=Training(steps=1))
    spec = Student(teachers=(judge,), model="resnet8-bn", **{"training": Training(steps=100, batch=10)} | change)
    count = []
    monkeypatch.setattr(labeller, "logits_of", lambda net, x: (count.append(len(x)), torch.zeros(len(x), 100))[1])
    label = labeller.labeller(spec, None, torch.rand(spec.size, 3, 16, 16), stream("a"))
    for _ in range(spec.training.steps):
        label(torch.arange(10) % spec.size)
    assert sum(count) == labeller.asked(spec) == asked == runs.work(spec).only_forward


def test_a_student_that_is_measured_as_a_function_has_all_the_papers_metrics_but_cka(store_here):
    foils = (teacher(21),), (teacher(22),)
    made = [student(foils=foils, measures=measures) for measures in ("paper", "function")]
    records = compute(made, workers=1)
    numbers = [records[spec].metrics for spec in made]
    assert numbers[1] == {name: value for name, value in numbers[0].items() if "cka" not in name} != numbers[0]
