"""From a spec to its result: train a teacher, distil a student, or measure a surface. Nothing here touches disk."""

import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from kdlib import augment, data, landscape, losses, metrics
from kdlib.models import Ensemble, build
from kdlib.spec import Student, Surface, Teacher
from kdlib.streams import stream
from kdlib.train import fit, logits_of


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def execute(spec, weights_of):
    """Run one spec. `weights_of(spec)` gives the weights (a state dict) of a run it needs.

    Returns (metrics, curves, weights): plain numbers, plain lists, and the final weights or None.
    """
    return {"teacher": _teacher, "student": _student, "surface": _surface}[spec.kind](spec, weights_of)


def _initial(teacher: Teacher):
    return build(teacher.model, teacher.data.trial, "teacher", teacher.member, "init")


def _teacher(spec: Teacher, weights_of):
    splits, where = data.load(spec.data), device()
    x, y = splits.train_x.to(where), splits.train_y.to(where)
    net = _initial(spec).to(where)
    curve = fit(net, spec.training, len(x), lambda rows: (x[rows.to(where)], y[rows.to(where)]), losses.nll,
                stream(spec.data.trial, "teacher", spec.member, "order"), spec.key)
    test = logits_of(net, splits.test_x.to(where)).cpu()
    return {
        "accuracy": metrics.accuracy(test, splits.test_y),
        "nll": metrics.nll(test, splits.test_y),
        "ece": metrics.ece(test, splits.test_y),
        "train_accuracy": metrics.accuracy(logits_of(net, x).cpu(), splits.train_y),
    }, {"loss": curve}, _cpu(net)


def _load(teacher: Teacher, weights_of):
    net = build(teacher.model)
    net.load_state_dict(weights_of(teacher))
    return net


def _inputs(spec: Student, splits):
    """The distillation set [n, ...] before augmentation."""
    new = splits.unlabelled((spec.inputs != "D0") * len(splits.train_x) + spec.fresh)
    x = new if spec.inputs == "D1" else torch.cat([splits.train_x, new])
    copies = data.affine_copies(x, spec.copies, stream(spec.data.trial, "affine copies"))
    return torch.cat([x, copies])


def _start(spec: Student, weights_of):
    """The student's initial net: random, the teacher's own initial weights, or part of the way to the teacher."""
    trial, count = spec.data.trial, len(spec.teachers)
    if spec.start == "teacher-initial":
        net = _initial(spec.teachers[0])
    else:
        net = build(spec.model, trial, "student", count, "init")
    if spec.toward_teacher > 0:
        target = parameters_to_vector(_load(spec.teachers[0], weights_of).parameters())
        here = parameters_to_vector(net.parameters())
        weight = spec.toward_teacher
        vector_to_parameters(weight * target + (1 - weight) * here, net.parameters())
    return net


def _student(spec: Student, weights_of):
    splits, where, trial = data.load(spec.data), device(), spec.data.trial
    teacher = Ensemble([_load(t, weights_of) for t in spec.teachers]).to(where)
    inputs = _inputs(spec, splits).to(where)
    labels = splits.train_y.to(where)
    net = _start(spec, weights_of).to(where)
    pool = None
    if spec.policy == "ood":
        pool = data.out_of_domain(len(inputs), trial).to(where)
    elif spec.policy == "fresh":
        pool = splits.unlabelled(5 * len(splits.train_x))[len(splits.train_x) :].to(where)
    draws = stream(trial, "student", len(spec.teachers), "augment")
    # a fixed input has one teacher label; under random augmentation caching it would be wrong
    cached = logits_of(teacher, inputs) if spec.policy == "baseline" else None

    def prepare(rows):
        rows = rows.to(where)
        if cached is not None:
            return (inputs[rows], cached[rows]) + ((labels[rows],) if spec.alpha > 0 else ())
        x = augment.augment(inputs[rows], spec.policy, draws, pool)
        return x, logits_of(teacher, x)

    def loss(student_logits, teacher_logits, y=None):
        if y is None:
            return losses.distillation(student_logits, teacher_logits, spec.temperature)
        return losses.mixed(student_logits, teacher_logits, y, spec.alpha, spec.temperature)

    curve = fit(net, spec.training, len(inputs), prepare, loss,
                stream(trial, "student", len(spec.teachers), "order"), spec.key)

    test_x, y = splits.test_x.to(where), splits.test_y
    of_student, of_teacher = logits_of(net, test_x).cpu(), logits_of(teacher, test_x).cpu()
    seen = augment.augment(inputs, spec.policy, stream(trial, "evaluation"), pool)
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
        "inputs": len(inputs),
    }
    if spec.foil:
        foil = Ensemble([_load(t, weights_of) for t in spec.foil]).to(where)
        of_foil = logits_of(foil, test_x).cpu()
        result["independent_agreement"] = metrics.agreement(of_student, of_foil)
        result["independent_kl"] = metrics.predictive_kl(of_foil, of_student)
    if len(spec.teachers) == 1 and spec.teachers[0].model == spec.model:
        with torch.no_grad():
            pairs = zip(net.features(test_x), teacher.members[0].features(test_x), strict=True)
            for stage, (a, b) in enumerate(pairs, 1):
                result[f"cka{stage}"] = metrics.cka(a.cpu(), b.cpu())
    return result, {"loss": curve}, _cpu(net)


def _surface(spec: Surface, weights_of):
    student = spec.student
    splits, where = data.load(student.data), device()
    teacher_net = _load(student.teachers[0], weights_of).to(where)
    inputs = _inputs(student, splits).to(where)
    target = logits_of(Ensemble([_load(t, weights_of) for t in student.teachers]).to(where), inputs)
    final = _load_student(student, weights_of).to(where)
    probe = build(student.model).to(where).eval()
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


def _load_student(student, weights_of):
    net = build(student.model)
    net.load_state_dict(weights_of(student))
    return net


def _cpu(net):
    return {name: value.detach().cpu().clone() for name, value in net.state_dict().items()}
