"""From a spec to its result: train a teacher or generator, distil a student, or measure one.

Nothing here writes to disk.
"""

import multiprocessing
import tempfile
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from kdlib import augment, data, defects, gan, landscape, losses, metrics
from kdlib.catalog import BASELINE, POLICIES
from kdlib.devices import DeviceError, device, devices, in_words, inception
from kdlib.models import Ensemble, build
from kdlib.spec import Defects, Generator, Labels, Student, Surface, Teacher, needs
from kdlib.streams import stream
from kdlib.train import BLOCK, Diverged, Source, fit, logits_of, share, steady_process

CKA_INPUTS, CKA_PHOTOS = 2000, 200  # test inputs whose features are compared
SAMPLES = 5000  # of a generator that are measured, at the least: the paper's number
SHOWN = 24  # of them, whose pixels the record keeps, as a picture of what was made


def cohort(spec):
    """Runs of equal cohort may be executed together (equal nets, steps and loss); None: only alone."""
    if spec.kind not in ("teacher", "student") or not spec.net.family.stackable:
        return None
    loss = (spec.temperature, spec.alpha) if spec.kind == "student" else ()
    return spec.kind, spec.model, spec.training, loss


def execute(specs, weights_of, kept=None) -> list[tuple[dict, dict, dict | None]]:
    """Run specs of one cohort. `weights_of(spec)` gives the weights (a state dict) of a run that they need; `kept`
    keeps the state of a long run (`train.fit`).

    Returns for each (metrics, curves, weights): plain numbers, plain lists, and the final weights or None.
    """
    if specs[0].kind == "generator":
        (spec,) = specs
        return [_generator(spec, weights_of, kept)]
    alone = {"surface": _surface, "labels": _labels, "defects": _defects}.get(specs[0].kind)
    if alone:
        return [alone(spec, weights_of) for spec in specs]
    if devices() > 1 and cohort(specs[0]) is None and not dist.is_initialized():
        return _on_devices(specs, weights_of, kept)
    prepare = _teacher if specs[0].kind == "teacher" else partial(_student, weights_of=weights_of)
    nets, sources, evaluations = zip(*(prepare(spec) for spec in specs), strict=True)
    curves = fit(nets, specs[0].training, sources, _loss(specs[0]), kept)
    return [(_of_finite(spec, evaluate), {"loss": curve}, _cpu(net))
            for spec, net, curve, evaluate in zip(specs, nets, curves, evaluations, strict=True)]


def _of_finite(spec, evaluate):
    """What a run's evaluation gives. After its last step no loss shows that a net diverged: its logits do."""
    try:
        return evaluate()
    except metrics.NotFinite as error:
        raise Diverged(f"run {spec.key}: its {error} after the last step; lower its learning rate "
                       f"({getattr(spec, 'training', spec).lr:g})") from None


def place(spec) -> str:
    """The devices of a run, for its record: "cpu", "2 x cuda"."""
    alone = spec.kind in ("teacher", "student") and cohort(spec) is None
    return in_words(devices() if alone else 1)


def _on_devices(specs, weights_of, kept):
    """`execute` by one process per device; they are started, and given their devices, by Lightning Fabric."""
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments import LightningEnvironment
    except ImportError:
        raise DeviceError("KDLIB_DEVICES needs Lightning Fabric: pip install 'kdlib[fabric]'") from None
    count, batch = devices(), specs[0].training.batch
    if batch < count:
        raise DeviceError(f"KDLIB_DEVICES is {count}: more than the {batch} examples of a batch")
    if kept:
        kept.load()  # a damaged one is named here, before there are ranks that would wait for each other
    weights = {needed: weights_of(needed) for spec in specs for needed in needs(spec)}
    if multiprocessing.get_start_method() == "loky":  # joblib's, which is not known in a fresh process
        multiprocessing.set_start_method("spawn", force=True)
    fabric = Fabric(accelerator=device().type, devices=count, strategy="ddp_spawn", plugins=[LightningEnvironment()])
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results"
        try:
            fabric.launch(_rank, out, specs, weights, kept)
        except torch.multiprocessing.ProcessExitedException as error:
            raise DeviceError(f"one of the {count} processes of run {specs[0].key} died ({error}); "
                              "run again, with fewer devices") from None
        results = torch.load(out, weights_only=True)
    if isinstance(results, str):
        raise Diverged(results)
    return results


def _rank(fabric, out, specs, weights, kept):
    steady_process()
    try:
        results = execute(specs, weights.__getitem__, kept)
    except Diverged as error:  # on every rank, at the same step
        results = str(error)
    if fabric.is_global_zero:
        torch.save(results, out)


def _loss(spec):
    if spec.kind == "teacher":
        return losses.nll
    if spec.alpha > 0:
        return partial(losses.mixed, alpha=spec.alpha, temperature=spec.temperature)
    return partial(losses.distillation, temperature=spec.temperature)


def _pixels(x):
    """A batch: a tensor as it is, of Photos those decoded that this process trains on."""
    return x if isinstance(x, torch.Tensor) else x.pixels(share(len(x)))


def _source(name, inputs, prepare, draws, *streams):
    # of photographs a single batch fills as much memory as is good
    return Source(name, len(inputs), prepare, stream(*streams, "order"), draws, (*streams, "inside"),
                  BLOCK if isinstance(inputs, torch.Tensor) else 1)


def _initial(teacher: Teacher):
    return build(teacher.model, teacher.data.name, teacher.data.trial, "teacher", teacher.member, "init",
                 draw=teacher.draw)


def _teacher(spec: Teacher):
    """(net, source of its batches, function that evaluates it once trained)."""
    splits, where = data.load(**dict(spec.data)), device()
    x, y = splits.train_x.to(where), splits.train_y.to(where)
    net = _initial(spec).to(where)

    def evaluate():
        test = logits_of(net, splits.test_x.to(where)).cpu()
        return {
            "accuracy": metrics.accuracy(test, splits.test_y),
            "nll": metrics.nll(test, splits.test_y),
            "ece": metrics.ece(test, splits.test_y),
            "train_accuracy": metrics.accuracy(logits_of(net, x).cpu(), splits.train_y),
        }

    streams = spec.data.trial, "teacher", spec.member
    draws = stream(*streams, "augment")

    def prepare(rows):
        rows = rows.to(where)
        return _pixels(augment.augment(x[rows], BASELINE, draws)), y[rows]

    return net, _source(spec.key, x, prepare, draws, *streams), evaluate


def _load(spec: Teacher | Student | Generator, weights_of):
    net = gan.build(spec)[0] if spec.kind == "generator" else build(spec.model, spec.data.name)
    net.load_state_dict(weights_of(spec))
    return net


def _generator(spec: Generator, weights_of, kept):
    weights = inception()  # before the training, if it is an error
    splits, where = data.load(**dict(spec.data)), device()
    net, curves = gan.fit(spec, splits.train_x.to(where), kept)
    judge = Ensemble([_load(spec.judge, weights_of)]).to(where).members[0]
    made = gan.sample(net, max(SAMPLES, len(splits.test_x)), stream(spec.data.trial, "generator", "evaluation"))
    (of_made, classes), (of_test, test_classes), (of_train, _) = (
        _judged(judge, x.to(where)) for x in (made, splits.test_x, splits.train_x))
    known = splits.train_x.to(where)
    by_inception = gan.inception_measures(made.to(where), splits.test_x.to(where), weights) if weights else {}
    return by_inception | {
        "judge_fid": _of_finite(spec, lambda: metrics.frechet_distance(of_made, of_test)),
        "judge_fid_train": metrics.frechet_distance(of_train, of_test),
        "judge_is": metrics.inception_score(classes),
        "judge_is_real": metrics.inception_score(test_classes),
        "judge_top": _top(classes), "judge_top_real": _top(test_classes),
        "nearest": metrics.nearest(made.to(where), known),
        "nearest_real": metrics.nearest(splits.test_x.to(where), known),
    }, curves | {"samples": (made[:SHOWN] * 255).round().tolist()}, _cpu(net)


def _top(logits):
    """Mean largest probability of logits [n, c]."""
    return float(logits.double().softmax(1).amax(1).mean())


@torch.no_grad()
def _judged(net, x):
    """(features [n, d] before the last layer, logits [n, c])."""
    features = torch.cat([net.features(part)[-1].flatten(1) for part in x.split(64)])
    return features.cpu(), net.head(features).cpu()


def _generated(spec: Student, n, weights_of, *name):
    """`n` images from a student's generator, the same for every student of a trial."""
    return gan.sample(_load(spec.generator, weights_of).to(device()), n, stream(spec.data.trial, "generated", *name))


def _inputs(spec: Student, splits, weights_of):
    """The distillation set [n, ...] before augmentation."""
    new = splits.unlabelled((spec.inputs == "D1") * len(splits.train_x) + spec.fresh)
    x = new if spec.inputs == "D1" else data.joined(splits.train_x, new)
    copies = data.affine_copies(x, spec.copies, stream(spec.data.trial, "affine copies"))
    related = data.related(spec.related, spec.data.trial) if spec.related else x[:0]
    made = _generated(spec, spec.generated, weights_of).cpu() if spec.generated else x[:0]
    return data.joined(x, copies, related, made)


def _start(spec: Student, weights_of):
    """The student's initial net: random, the teacher's own initial weights, or part of the way to the teacher."""
    trial, count = spec.data.trial, len(spec.teachers)
    if spec.start == "teacher-initial":
        net = _initial(spec.teachers[0])
    else:
        net = build(spec.model, spec.data.name, trial, "student", count, "init", draw=spec.draw)
    if spec.toward_teacher > 0:
        target = parameters_to_vector(_load(spec.teachers[0], weights_of).parameters())
        here = parameters_to_vector(net.parameters())
        weight = spec.toward_teacher
        vector_to_parameters(weight * target + (1 - weight) * here, net.parameters())
    return net


def _student(spec: Student, weights_of):
    """(net, source of its batches, function that evaluates it once trained)."""
    splits, where, trial = data.load(**dict(spec.data)), device(), spec.data.trial
    teacher = Ensemble([_load(t, weights_of) for t in spec.teachers]).to(where)
    inputs = _inputs(spec, splits, weights_of).to(where)
    labels = splits.train_y.to(where)
    net = _start(spec, weights_of).to(where)
    pool = None
    match POLICIES[spec.policy].pool:
        case "unlike":
            pool = data.out_of_domain(spec.data.name, len(inputs), trial).to(where)
        case "fresh":
            pool = splits.unlabelled(5 * len(splits.train_x))[len(splits.train_x) :].to(where)
        case "generated":
            pool = _generated(spec, 5 * len(splits.train_x), weights_of, "pool")
    streams = trial, "student", len(spec.teachers)
    draws = stream(*streams, "augment")
    # a fixed input has one teacher label, and crops and flips have few enough; otherwise caching would be wrong
    cached = logits_of(teacher, inputs) if spec.data.inputs.fixed(spec.policy) else None
    table = _crop_labels(spec, teacher, inputs)

    def prepare(rows):
        rows = rows.to(where)
        if cached is not None:
            x, logits = inputs[rows], cached[rows]
        elif table is not None:
            x = inputs[rows]
            by = augment.crop_flip_draws(x, draws)
            x, logits = augment.cropped(x, *by), table[augment.outcome(x, *by), rows]
        else:
            x = _pixels(augment.augment(inputs[rows], spec.policy, draws, pool))
            logits = logits_of(teacher, x)
        return (x, logits) + ((labels[rows],) if spec.alpha > 0 else ())

    def evaluate():
        seen = augment.augment(inputs, spec.policy, stream(trial, "evaluation"), pool)
        foil = Ensemble([_load(t, weights_of) for t in spec.foil]).to(where) if spec.foil else None
        return _fidelity(net, teacher, foil, splits, seen)

    return net, _source(spec.key, inputs, prepare, draws, *streams), evaluate


TABLE_BYTES = 2**29  # at most, of labels of all crops


def _crop_labels(spec: Student, teacher, inputs):
    """Teacher logits [outcomes, n, c] of every crop and flip of every input, where that labels fewer images than
    training would; else None."""
    if spec.policy != BASELINE or not spec.data.inputs.cropped or spec.data.inputs.files:
        return None
    outcomes, classes = augment.crop_flip_outcomes(inputs), spec.data.known.classes
    images = outcomes * len(inputs)
    if images >= spec.training.steps * spec.training.batch or 4 * images * classes > TABLE_BYTES:
        return None
    return torch.stack([logits_of(teacher, augment.cropped(inputs, *augment.draws_of(inputs, k)))
                        for k in range(outcomes)])


def _fidelity(net, teacher: Ensemble, foil: Ensemble | None, splits, seen) -> dict:
    """Every metric of a student: on the test set, and on `seen`, its distillation data as seen in training."""
    test_x, y = splits.test_x.to(seen.device), splits.test_y
    of_student, of_teacher = logits_of(net, test_x).cpu(), logits_of(teacher, test_x).cpu()
    seen_student, seen_teacher = logits_of(net, seen).cpu(), logits_of(teacher, seen).cpu()
    result = {
        "accuracy": metrics.accuracy(of_student, y),
        "nll": metrics.nll(of_student, y),
        "ece": metrics.ece(of_student, y),
        "teacher_accuracy": metrics.accuracy(of_teacher, y),
        "teacher_nll": metrics.nll(of_teacher, y),
        "teacher_ece": metrics.ece(of_teacher, y),
        "agreement": metrics.agreement(of_student, of_teacher),
        "kl": metrics.predictive_kl(of_teacher, of_student),
        "train_agreement": metrics.agreement(seen_student, seen_teacher),
        "train_kl": metrics.predictive_kl(seen_teacher, seen_student),
        "inputs": len(seen),
    }
    if foil is not None:
        of_foil, seen_foil = logits_of(foil, test_x).cpu(), logits_of(foil, seen).cpu()
        result["independent_agreement"] = metrics.agreement(of_student, of_foil)
        result["independent_kl"] = metrics.predictive_kl(of_foil, of_student)
        result["independent_train_agreement"] = metrics.agreement(seen_student, seen_foil)
        result["independent_train_kl"] = metrics.predictive_kl(seen_foil, seen_student)
    for name, other in (("cka", teacher), ("independent_cka", foil)):
        if other is not None and len(other.members) == 1 and type(other.members[0]) is type(net):
            with torch.no_grad():
                few = test_x[:CKA_INPUTS] if isinstance(test_x, torch.Tensor) else test_x[:CKA_PHOTOS].pixels()
                pairs = zip(net.features(few), other.members[0].features(few), strict=True)
                for stage, (a, b) in enumerate(pairs, 1):
                    result[f"{name}{stage}"] = metrics.cka(a.cpu(), b.cpu())
    return result


def _surface(spec: Surface, weights_of):
    student = spec.student
    splits, where = data.load(**dict(student.data)), device()
    teacher_net = _load(student.teachers[0], weights_of).to(where)
    inputs = _inputs(student, splits, weights_of).to(where)
    inputs = augment.augment(inputs, BASELINE, stream(student.data.trial, "evaluation"))
    target = logits_of(Ensemble([_load(t, weights_of) for t in student.teachers]).to(where), inputs)
    final = _load(student, weights_of).to(where)
    probe = build(student.model, student.data.name).to(where).eval()
    vector = {name: parameters_to_vector(net.parameters()).detach() for name, net in (
        ("teacher", teacher_net), ("initial", _start(student, weights_of).to(where)), ("final", final))}

    def kl(rows):
        """The distillation loss less its optimum, on the first `rows` inputs: a function of the weights."""
        x, t = inputs[:rows], target[:rows]
        floor = losses.distillation(t, t, student.temperature).mean()

        def value(weights):
            vector_to_parameters(weights, probe.parameters())
            with torch.no_grad():
                z = logits_of(probe, x)
                return float(losses.distillation(z, t, student.temperature).mean() - floor)
        return value

    values = landscape.segment(kl(2000), vector["final"], vector["teacher"], spec.segment)
    curves = {"segment": values}
    if spec.grid:
        curves["plane"] = landscape.plane(kl(500), vector["teacher"], vector["initial"], vector["final"], spec.grid)
    return {"barrier": landscape.barrier(values), "distance": float((vector["final"] - vector["teacher"]).norm())
            }, curves, None


def _labels(spec: Labels, weights_of):
    """Metrics: mean largest probability and mean entropy (nats) on each part at each temperature. Curves: the mean of
    the ten largest probabilities in order, and whole distributions of the first examples with their labels."""
    splits, where = data.load(**dict(spec.teachers[0].data)), device()
    teacher = Ensemble([_load(t, weights_of) for t in spec.teachers]).to(where)
    result, curves = {}, {}
    for part, x, y in (("train", splits.train_x, splits.train_y), ("test", splits.test_x, splits.test_y)):
        logits = logits_of(teacher, x.to(where)).cpu().double()
        curves[f"{part}-labels"] = y[: spec.show].tolist()
        for t in spec.temperatures:
            p = (logits / t).softmax(1)
            ordered = p.sort(1, descending=True).values
            result[f"{part}_top_{t:g}"] = float(ordered[:, 0].mean())
            result[f"{part}_entropy_{t:g}"] = float(-torch.special.xlogy(p, p).sum(1).mean())
            curves[f"{part}-ranks-{t:g}"] = ordered[:, :10].mean(0).tolist()
            curves[f"{part}-examples-{t:g}"] = p[: spec.show].tolist()
    return result, curves, None


def _defects(spec: Defects, weights_of):
    student, batch, where = spec.student, spec.batch, device()
    splits, trial = data.load(**dict(student.data)), student.data.trial
    net = _load(student, weights_of).to(where)
    teachers = [_load(t, weights_of).to(where) for t in student.teachers]
    x = splits.test_x.to(where)
    result = defects.likelihoods(
        logits_of(net, x).cpu(), logits_of(Ensemble(teachers).to(where), x).cpu(), splits.test_y, batch)
    if len(teachers) > 1 or student.model != student.teachers[0].model:
        return result, {}, None
    few = x[:CKA_INPUTS]
    untrained = build(student.model, student.data.name, trial, "defects", "untrained").to(where)
    own, of_teacher = defects.maps_of(net, few), defects.maps_of(teachers[0], few)
    draws = stream(trial, "defects", "order")
    parts = torch.arange(len(few)).split(batch)
    order = torch.cat([part[torch.randperm(len(part), generator=draws)] for part in parts])
    pairs = {"": (own, of_teacher), "shuffled_": ([maps[order] for maps in own], of_teacher),
             "untrained_": (own, defects.maps_of(untrained, few))}
    if len(student.foil) == 1:
        pairs["unseen_"] = (own, defects.maps_of(_load(student.foil[0], weights_of).to(where), few))
    for name, pair in pairs.items():
        result |= {f"{name}{key}": value for key, value in defects.similarities(*pair, batch).items()}
    return result, {}, None


def _cpu(net):
    return {name: value.detach().cpu().clone().contiguous() for name, value in net.state_dict().items()}
