import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import Literal

import pytest
import torch
from conftest import Killed, defects, die_keeping, same_result, student, surface, teacher
from safetensors.torch import load, save

from kdlib import augment, data, losses, metrics, runs, train
from kdlib.compute import TOGETHER, cohorts, compute, levels
from kdlib.models import MLP, Ensemble, Net, build
from kdlib.paths import project_root
from kdlib.runs import cohort, holds, labeller, needs
from kdlib.runs.student import MORE
from kdlib.spec import KINDS as NAMES
from kdlib.spec import Data, Labels, Student, Teacher, Training
from kdlib.store import KeptState, Recorded, Store, StoreError, checksum, fresh
from kdlib.streams import stream
from kdlib.train import Diverged, Source, fit

KINDS = [teacher(), student(), student(3, policy="combined"), student(alpha=0.3), student(toward_teacher=0.25),
         student(policy="ood"), student(policy="fresh"), student(start="teacher-initial"), surface(),
         defects()]


def result(spec, made=None):
    made = {} if made is None else made

    def weights_of(needed):
        if needed.key not in made:
            made[needed.key] = fresh([needed], weights_of)[0][1]
        return made[needed.key]

    return fresh([spec], weights_of)[0][0]


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
        together = [record for record, _ in fresh(group[:size], lambda spec: made[spec.key])]
        assert all(same_result(a, b) for a, b in zip(together, alone, strict=False))


def test_a_cohort_shares_net_steps_and_loss():
    longer = student(training=Training(steps=6, batch=10))
    for other in (student(temperature=4.0), student(alpha=0.5), longer, teacher()):
        assert cohort(other) != cohort(student())
    assert cohort(student(model="resnet1d-bn")) is cohort(surface()) is cohort(defects()) is None
    specs = [student(temperature=t, toward_teacher=x / 20) for t in (1.0, 4.0) for x in range(20)]
    tasks = cohorts(specs, 2)
    assert sorted(s.key for task in tasks for s in task) == sorted(s.key for s in specs)
    assert all(len({cohort(s) for s in task}) == 1 and len(task) <= TOGETHER for task in tasks)


class OtherLoss(Student):
    """A student of a version of kdlib that has one more field."""

    against: Literal["kl", "mse"] = "kl"


def other_loss(against="kl", temperature=1.0, alpha=0.0):
    if against == "mse":
        return lambda student_logits, teacher_logits: (student_logits - teacher_logits).square().mean(1)
    return losses.distillation


def test_a_field_more_in_a_spec_parts_cohorts_and_reaches_the_loss(monkeypatch):
    kl, mse = (OtherLoss(**dict(student()) | {"against": against}) for against in ("kl", "mse"))
    assert kl.objective != mse.objective and cohort(kl) != cohort(mse)
    with pytest.raises(TypeError, match="against"):  # a loss that does not know the field cannot leave it out
        runs.execute([mse], made_weights)
    monkeypatch.setattr(losses, "objective", other_loss)
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
    assert len({spec.batches for spec in SHARING}) == 1 and len({spec.objective for spec in SHARING}) == 3
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
    assert tuple(runs.KINDS) == NAMES


@pytest.mark.parametrize("spec", KINDS, ids=lambda spec: spec.kind)
def test_every_kind_of_run_says_what_it_needs_costs_and_holds(spec):
    kind = runs.kind(spec)
    assert all(needed.key != spec.key for needed in kind.needs(spec))
    assert runs.work(spec).passes > 0 and kind.priced(spec).batch > 0 and kind.holds


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


def test_teachers_come_before_students_and_only_once():
    layers = levels([student(2), surface(), defects()])
    assert [len(layer) for layer in layers] == [3, 2, 2]


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


def test_a_missing_record_is_an_error_that_counts_and_names(store_here, tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_FROM_RECORDS", "1")
    monkeypatch.setenv("KDLIB_RESULTS", str(tmp_path))
    with pytest.raises(StoreError, match=teacher().key):
        compute([teacher()], profile="laptop")


def test_a_loss_that_is_not_finite_names_run_and_step():
    net = build("mlp", "mnist1d", 0)
    x = torch.randn(30, 1, 40)

    def loss(logits, row):
        return logits.sum(1) * math.nan

    with pytest.raises(Diverged, match="run abc.*step 0 of 7"):
        fit([net], Training(steps=7, batch=3),
            [Source("abc", 30, lambda rows: (x[rows], x[rows]), torch.Generator())], loss)


@pytest.mark.parametrize("steps", [1, 5])
def test_a_net_that_diverges_at_its_last_step_is_said_to_have_diverged(steps):
    """The loss of a step is of the weights before it."""
    wild = teacher().but(training=Training(steps=steps, batch=10, lr=1e30))
    with pytest.raises(Diverged, match=f"run {wild.key}.*(after the last step|step . of 5); lower its learning rate"):
        runs.execute([wild], None)


def test_the_learning_rate_does_not_depend_on_where_the_student_starts():
    assert student(toward_teacher=0.75).training == student().training


def test_checksums_see_every_change():
    body = json.loads(result(teacher()).line())
    body.pop("checksum")
    before = checksum(body)
    body["metrics"]["nll"] += 1e-12
    assert checksum(body) != before


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


def test_channels_last_changes_the_speed_and_not_the_result():
    def trained(channels_last):
        net = build("resnet8-bn", "cifar10", 0)
        net.prefers_channels_last = channels_last
        g = torch.Generator().manual_seed(1)
        x, y = torch.rand(20, 3, 32, 32, generator=g), torch.arange(20) % 10
        source = Source("x", 20, lambda rows: (x[rows], y[rows]), torch.Generator().manual_seed(2))
        fit([net], Training(optimizer="sgd", steps=4, batch=8, lr=1e-3), [source], losses.nll)
        return net.eval()(x)

    torch.testing.assert_close(trained(True), trained(False), atol=1e-3, rtol=1e-3)


class Dropping(Net):
    """A net that draws by itself, for signals."""

    def __init__(self, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first, self.head = torch.nn.Linear(40, 16), torch.nn.Linear(16, 10)

    def features(self, x):
        return (torch.nn.functional.dropout(self.first(x.flatten(1)).relu(), 0.5, self.training),)


def signals_of(name, n=30):
    g = torch.Generator().manual_seed(1)
    x, y = torch.randn(n, 1, 40, generator=g), torch.arange(n) % 10
    return Source(name, n, lambda rows: (x[rows], y[rows]), torch.Generator().manual_seed(2), inside=(name, "inside"))


def trained(*nets, names="abc", steps=30, decay=1e-3, kept=None):
    """Nets trained together on the same signals; their weights."""
    fit(nets, Training(steps=steps, batch=8, weight_decay=decay), [signals_of(n) for n, _ in zip(names, nets,
        strict=False)], losses.nll, kept)
    return [{name: value.clone() for name, value in net.state_dict().items()} for net in nets]


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_what_a_net_draws_itself_comes_from_a_stream_of_its_own():
    """Whatever was drawn before, and whichever nets are trained beside it."""
    torch.manual_seed(1)
    [alone] = trained(Dropping())
    torch.manual_seed(2)
    expected = torch.rand(3)
    torch.manual_seed(2)
    again, other, _ = trained(Dropping(), Dropping(), Dropping(1))
    assert torch.equal(torch.rand(3), expected)  # nor is anything drawn after it another number
    assert same(alone, again)
    assert not same(alone, other)  # the same initial weights and batches, other masks


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


def test_a_net_that_draws_itself_goes_on_from_its_kept_state_with_the_same_bits():
    kept = Kept()
    [undisturbed] = trained(Dropping(), steps=50, kept=kept)
    assert int(kept.tensors["step"]) == train.BLOCK
    [went_on] = trained(Dropping(), steps=50, kept=kept)
    assert same(undisturbed, went_on)


def test_a_stackable_net_that_draws_itself_is_refused():
    class Wrong(MLP):
        def features(self, x):
            return (torch.nn.functional.dropout(super().features(x)[-1], 0.5, self.training),)

    with pytest.raises(ValueError, match="cannot be stackable"):
        trained(Wrong(10))


@pytest.mark.parametrize("make", [lambda i: Dropping(i), lambda i: build("cnn1d", "mnist1d", i)],
                         ids=["one by one", "stacked"])
def test_frozen_parameters_stay_as_they_are_and_the_others_train(make):
    nets = [make(i) for i in range(3)]
    before = [{name: value.clone() for name, value in net.state_dict().items()} for net in nets]
    for net in nets:
        net.first.requires_grad_(False)
    for was, now in zip(before, trained(*nets, decay=0.1), strict=True):
        assert all(torch.equal(was[name], now[name]) == name.startswith("first") for name in was)


def test_nets_that_cannot_be_trained_together_are_refused():
    frozen, half = Dropping(), Dropping()
    frozen.first.requires_grad_(False)
    half.head.half()
    for nets, message in (((Dropping(), frozen), "the same parameters frozen"), ((half,), "float16, torch.float32"),
                          ((Dropping().requires_grad_(False),), "all frozen")):
        with pytest.raises(ValueError, match=message):
            trained(*nets)


@pytest.mark.parametrize("make", [lambda i: Dropping(i), lambda i: build("mlp", "mnist1d", i)],
                         ids=["one by one", "stacked"])
def test_what_is_saved_of_one_net_holds_nothing_of_those_trained_with_it(make):
    nets = [make(i) for i in range(3)]
    trained(*nets)
    for value in nets[0].state_dict().values():
        assert value.untyped_storage().nbytes() == value.numel() * value.element_size()
    assert all(p.grad is None for p in nets[0].parameters())


def test_nothing_to_train_on_is_an_error():
    with pytest.raises(ValueError, match="the set is empty"):
        fit([Dropping()], Training(steps=2, batch=8), [signals_of("a", 0)], losses.nll)
    with pytest.raises(ValueError, match="no inputs"):
        train.logits_of(Dropping(), torch.empty(0, 1, 40))


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
    Store().run([needed for spec in specs[:1] for needed in needs(spec)])
    again = interrupted(specs, at, monkeypatch)
    assert all(same_result(a, b) for a, b in zip(again, undisturbed, strict=True))
    assert all(torch.equal(value, made_now[name]) for spec in specs if spec.key in made
               for made_now in [Store().weights(spec)] for name, value in made[spec.key].items())


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
    assert sum(count) == labeller.asked(spec) == asked == runs.work(spec).judged


def test_runs_whose_state_was_kept_together_go_on_together_whatever_the_plan_is_now(store_here):
    specs = [teacher(i) for i in range(6)]
    store = Store()
    store.prepare()
    pair = sorted(specs[1:3], key=lambda s: s.key)
    KeptState(store, pair).save({"step": torch.tensor(1)})
    kept = store.kept_together()
    assert kept == [[s.key for s in pair]]
    tasks = cohorts(specs, 2, kept)
    assert pair in tasks and sorted(s.member for task in tasks for s in task) == list(range(6))
    # a plan that asks for one of them only, or a run that is recorded by now: the state is of no use
    assert pair not in cohorts(specs[2:], 2, kept)
    store.record_path(pair[0].key).write_text("{}")
    assert store.kept_together() == [] and not list((store.root / "kept").glob("*.safetensors"))
