"""A student: a net distilled from a teacher or an ensemble, measured against it and against one it never saw."""

from dataclasses import replace
from functools import cached_property

import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from kdlib import catalog, data, gan, losses, metrics
from kdlib.devices import device
from kdlib.models import Ensemble, build
from kdlib.runs import cost
from kdlib.runs.kind import Kind, Work, loaded
from kdlib.runs.labeller import asked, labeller
from kdlib.runs.training import Prepared, batches, cohort, initial, trained
from kdlib.spec import Student
from kdlib.streams import stream
from kdlib.train import logits_of

CKA_INPUTS, CKA_PHOTOS = 2000, 200  # test inputs whose features are compared

HOLDS = {
    "accuracy": "share of the test set that it classifies as labelled",
    "nll": "mean negative log-likelihood of the test labels, nats",
    "ece": "expected calibration error on the test set, 15 bins",
    "teacher_{accuracy|nll|ece}": "the same of its teacher (an ensemble's mean probability)",
    "agreement": "share of the test set where its most likely class is the teacher's (paper, Eq. 4)",
    "kl": "mean KL of the teacher's distribution from its own on the test set, nats (paper, Eq. 5)",
    "train_{agreement|kl}": "the same on its distillation inputs, as augmented as in training",
    "independent_{agreement|kl|train_agreement|train_kl}": "the same with a teacher that it never saw (`foil`)",
    "{cka|independent_cka}{1|2|3|4}": "linear CKA with the (independent) teacher's features, by stage",
    "inputs": "how many inputs it was distilled on",
}


def images_of(spec: Student, n: int, weights_of, *name) -> torch.Tensor:
    """`n` images from a student's generator, the same for every student of a trial."""
    net = loaded(spec.generator, weights_of).to(device())
    return gan.sample(net, n, stream(spec.data.trial, "generated", *name))


def inputs_of(spec: Student, splits, weights_of):
    """The distillation set [n, ...] before augmentation."""
    new = splits.unlabelled((spec.inputs == "D1") * len(splits.train_x) + spec.fresh)
    x = new if spec.inputs == "D1" else data.joined(splits.train_x, new)
    copies = data.affine_copies(x, spec.copies, stream(spec.data.trial, "affine copies"))
    related = data.related(spec.related, spec.data.trial) if spec.related else x[:0]
    made = images_of(spec, spec.generated, weights_of).cpu() if spec.generated else x[:0]
    return data.joined(x, copies, related, made)


def pool_of(spec: Student, splits, n: int, weights_of) -> torch.Tensor | None:
    """The inputs that its policy puts in place of some of its `n` own, if it does."""
    match catalog.POLICIES[spec.policy].pool:
        case "unlike":
            return data.out_of_domain(spec.data.name, n, spec.data.trial)
        case "fresh":
            return splits.unlabelled(5 * len(splits.train_x))[len(splits.train_x) :]
        case "generated":
            return images_of(spec, 5 * len(splits.train_x), weights_of, "pool")


def start_of(spec: Student, weights_of) -> torch.nn.Module:
    """The student's initial net: random, the teacher's own initial weights, or part of the way to the teacher."""
    trial, count = spec.data.trial, len(spec.teachers)
    if spec.start == "teacher-initial":
        net = initial(spec.teachers[0])
    else:
        net = build(spec.model, spec.data.name, trial, "student", count, "init", draw=spec.draw)
    if spec.toward_teacher > 0:
        target = parameters_to_vector(loaded(spec.teachers[0], weights_of).parameters())
        here = parameters_to_vector(net.parameters())
        weight = spec.toward_teacher
        vector_to_parameters(weight * target + (1 - weight) * here, net.parameters())
    return net


class Lessons:
    """What students of equal `batches` have in common: inputs, teachers, labels. What is asked of the teachers is asked
    once for all of them."""

    def __init__(self, spec: Student, weights_of):
        where = device()
        self.spec, self.weights_of, self.splits = spec, weights_of, data.load(**dict(spec.data))
        self.teacher = Ensemble([loaded(t, weights_of) for t in spec.teachers]).to(where)
        inputs, y = inputs_of(spec, self.splits, weights_of).to(where), self.splits.train_y.to(where)
        pool = pool_of(spec, self.splits, len(inputs), weights_of)
        pool = None if pool is None else pool.to(where)
        streams = spec.data.trial, "student", len(spec.teachers)
        draws = stream(*streams, "augment")
        label = labeller(spec, self.teacher, inputs, draws, pool)

        def labelled(rows):
            rows = rows.to(where)
            return (*label(rows), y[rows]) if spec.alpha > 0 else label(rows)

        self.source, self.inputs, self.pool = batches(spec, inputs, labelled, draws, *streams), inputs, pool

    @cached_property
    def foil(self) -> Ensemble | None:
        """The teachers that are never seen."""
        members = [loaded(t, self.weights_of) for t in self.spec.foil]
        return Ensemble(members).to(device()) if members else None

    @cached_property
    def seen(self):
        """The distillation inputs as they are in training."""
        return data.augmented(self.inputs, self.spec.policy, stream(self.spec.data.trial, "evaluation"), self.pool)

    @cached_property
    def test_x(self):
        return self.splits.test_x.to(self.seen.device)

    @cached_property
    def said(self) -> dict:
        """Logits on the test inputs and on those seen, of the teacher and of the foil, by name."""
        return {name: (logits_of(other, self.test_x).cpu(), logits_of(other, self.seen).cpu())
                for name, other in (("teacher", self.teacher), ("foil", self.foil)) if other is not None}


def prepare(spec: Student, lessons: Lessons, weights_of) -> Prepared:
    net = start_of(spec, weights_of).to(device())
    return Prepared(net, replace(lessons.source, name=spec.key), losses.objective(**dict(spec.objective)),
                    lambda: fidelity(net, lessons))


def fidelity(net, lessons: Lessons) -> dict:
    """Every metric of a student: on the test set, and on its distillation inputs as seen in training."""
    y = lessons.splits.test_y
    of_student, seen_student = logits_of(net, lessons.test_x).cpu(), logits_of(net, lessons.seen).cpu()
    of_teacher, seen_teacher = lessons.said["teacher"]
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
        "inputs": len(lessons.seen),
    }
    if lessons.foil is not None:
        of_foil, seen_foil = lessons.said["foil"]
        result["independent_agreement"] = metrics.agreement(of_student, of_foil)
        result["independent_kl"] = metrics.predictive_kl(of_foil, of_student)
        result["independent_train_agreement"] = metrics.agreement(seen_student, seen_foil)
        result["independent_train_kl"] = metrics.predictive_kl(seen_foil, seen_student)
    for name, other in (("cka", lessons.teacher), ("independent_cka", lessons.foil)):
        if other is not None and len(other.members) == 1 and type(other.members[0]) is type(net):
            photographs = lessons.spec.data.inputs.files
            with torch.no_grad():
                few = data.pixels(lessons.test_x[: CKA_PHOTOS if photographs else CKA_INPUTS])
                pairs = zip(net.features(few), other.members[0].features(few), strict=True)
                for stage, (a, b) in enumerate(pairs, 1):
                    result[f"{name}{stage}"] = metrics.cka(a.cpu(), b.cpu())
    return result


def execute(specs, weights_of, kept):
    """Those of equal `batches` see the same ones, which are labelled once."""
    lessons = {}
    for spec in specs:
        if spec.batches not in lessons:
            lessons[spec.batches] = Lessons(spec, weights_of)
    return trained(specs, [prepare(spec, lessons[spec.batches], weights_of) for spec in specs], kept)


def work(spec: Student) -> Work:
    return Work(spec.training.steps, spec.training.batch, asked(spec) * len(spec.teachers))


KIND = Kind(
    execute=execute,
    needs=lambda spec: spec.teachers + spec.unseen + ((spec.generator,) if spec.generator else ()),
    priced=cost.of_run,
    work=work,
    holds=HOLDS,
    judge=lambda spec: cost.of_run(spec.teachers[0]),
    cohort=cohort,
    spreads=True,
)
