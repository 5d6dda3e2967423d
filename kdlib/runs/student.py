"""A student: a net distilled from a teacher or an ensemble, measured against it and against one it never saw."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from kdlib import catalog, data, losses, metrics
from kdlib.devices import device, devices
from kdlib.models import Ensemble, build, laid_for
from kdlib.runs import cost, generator
from kdlib.runs.kind import Kind, Work, loaded
from kdlib.runs.labeller import anew, asked, labeller
from kdlib.runs.training import Prepared, batches, initial, stacking_cohort, train_together, tried
from kdlib.spec import Student
from kdlib.streams import GlobalStream, seed_of, stream
from kdlib.train import logits_of

CKA_INPUTS, CKA_PHOTOS = 2000, 200  # test inputs whose features are compared

HOLDS = {
    "accuracy": "share of the test set that it classifies as labelled",
    "nll": "mean negative log-likelihood of the test labels, nats",
    "ece": "expected calibration error on the test set, 15 bins",
    "teacher_{accuracy,nll,ece}": "the same of its teacher (an ensemble's mean probability)",
    "agreement": "share of the test set where its most likely class is the teacher's (paper, Eq. 4)",
    "kl": "mean KL of the teacher's distribution from its own on the test set, nats (paper, Eq. 5)",
    "train_{agreement,kl}": "the same on its distillation inputs, as augmented as in training",
    "cka{stage}": "linear CKA with its teacher's features, by stage, where both are single nets of one design",
    "independent_{agreement,kl,train_agreement,train_kl}": "the same with a teacher that it never saw (`foil`)",
    "independent_cka{stage}": "likewise",
    "inputs": "how many inputs it was distilled on",
    "loss": "curve: means over up to 20 equal parts of training",
}
# of students that ask for all measures, or have several unseen ensembles
FURTHER = "reverse_kl,jensen_shannon,total_variation,kappa,log_odds_slope,agreement_right,agreement_wrong"
MORE = {
    f"{{{FURTHER}}}": "as in `kdlib.metrics`, on the test set; agreement where the teacher is right, and where not",
    f"independent_{{{FURTHER}}}": "the same with a teacher that it never saw",
    f"independent{{n}}_{{agreement,kl,train_agreement,train_kl,{FURTHER}}}": "all that with the other unseen ensembles "
    "(`foils`), n = 2 ...",
    "independent{n}_cka{stage}": "likewise",
    "member{n}_agreement": "agreement with each member of its ensemble",
    "logged_train_agreement": "train agreement of the student in train mode, as the official code logs it: BatchNorm "
    "takes its moments from each batch",
}


def images_of(spec: Student, n: int, weights_of, *name) -> torch.Tensor:
    """`n` images from a student's generator, the same for every student of a trial."""
    return generator.images_from(spec.generator, weights_of)(n, stream(spec.data.trial, "generated", *name))


def inputs_of(spec: Student, splits, weights_of):
    """The distillation set [n, ...] before augmentation."""
    new = splits.unlabelled((spec.inputs == "D1") * len(splits.train_x) + spec.fresh)
    x = new if spec.inputs == "D1" else data.joined(splits.train_x, new)
    copies = data.affine_copies(x, spec.copies, stream(spec.data.trial, "affine copies"))
    related = data.related(spec.lenders["related"], spec.related, spec.data.trial) if spec.related else x[:0]
    made = images_of(spec, spec.generated, weights_of).cpu() if spec.generated else x[:0]
    return data.joined(x, copies, related, made)


def pool_of(spec: Student, splits, n: int, weights_of) -> torch.Tensor | Callable | None:
    """The inputs that its policy puts in place of some of its `n` own, if it does, or what makes them."""
    match catalog.POLICIES[spec.policy].pool:
        case "unlike":
            return data.out_of_domain(spec.data.name, n, spec.data.trial, spec.lenders["unlike"])
        case "fresh":
            return splits.unlabelled(5 * len(splits.train_x))[len(splits.train_x) :]
        case "generated" if spec.anew:
            return generator.images_from(spec.generator, weights_of)
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
        pool = pool.to(where) if isinstance(pool, torch.Tensor) else pool
        images = generator.images_from(spec.generator, weights_of) if spec.anew else None
        streams = spec.data.trial, "student", len(spec.teachers)
        draws = stream(*streams, "augment")
        label = labeller(spec, self.teacher, inputs, draws, pool, images)

        def labelled(rows):
            rows = rows.to(where)
            return (*label(rows), y[rows]) if spec.labelled else label(rows)

        self.source, self.inputs, self.pool = batches(spec, inputs, labelled, draws, *streams), inputs, pool

    @cached_property
    def compared(self) -> dict[str, Ensemble]:
        """Whom the student is compared with, by the prefix of the metrics: its teacher, and those it never sees."""
        unseen = [foil for foil in (self.spec.foil, *self.spec.foils) if foil]
        return {"": self.teacher} | {
            f"independent{i if i > 1 else ''}_": Ensemble([loaded(t, self.weights_of) for t in foil]).to(device())
            for i, foil in enumerate(unseen, 1)}

    @cached_property
    def seen(self):
        """The distillation inputs as they are in training."""
        return data.augmented(self.inputs, self.spec.policy, stream(self.spec.data.trial, "evaluation"), self.pool)

    @cached_property
    def test_x(self):
        """The test inputs, on the nets' device."""
        return self.splits.test_x.to(self.seen.device)

    @cached_property
    def said(self) -> dict:
        """Logits of each of the judges on the test inputs and on those seen."""
        return {name: (logits_of(judge, self.test_x).cpu(), logits_of(judge, self.seen).cpu())
                for name, judge in self.compared.items()}

    @cached_property
    def members_said(self) -> list:
        """Logits on the test inputs of each member of the teacher, if it is an ensemble."""
        members = self.teacher.members
        return [logits_of(member, self.test_x).cpu() for member in members] if len(members) > 1 else []


def prepare(spec: Student, lessons: Lessons, weights_of) -> Prepared:
    """A student before its training; `lessons` are those of its batches."""
    net = start_of(spec, weights_of).to(device())
    return Prepared(net, replace(lessons.source, name=spec.key), losses.of(**dict(spec.loss)),
                    lambda: fidelity(net, lessons))


def fidelity(net, lessons: Lessons) -> dict:
    """Every metric of a student, by name (`HOLDS`, `MORE`): on the test set, and on its distillation inputs as seen in
    training."""
    y, everything = lessons.splits.test_y, lessons.spec.measures == "all"
    test, seen = logits_of(net, lessons.test_x).cpu(), logits_of(net, lessons.seen).cpu()
    result = {"accuracy": metrics.accuracy(test, y), "nll": metrics.nll(test, y), "ece": metrics.ece(test, y)}
    teacher, _ = lessons.said[""]
    result |= {"teacher_accuracy": metrics.accuracy(teacher, y), "teacher_nll": metrics.nll(teacher, y),
               "teacher_ece": metrics.ece(teacher, y), "inputs": len(lessons.seen)}
    for name, (judged, seen_judged) in lessons.said.items():
        found = {"agreement": metrics.agreement(test, judged), "kl": metrics.predictive_kl(judged, test),
                 "train_agreement": metrics.agreement(seen, seen_judged),
                 "train_kl": metrics.predictive_kl(seen_judged, seen)}
        if lessons.spec.measures != "function":
            found |= cka_with(net, lessons.compared[name], lessons)
        found |= more_of(test, judged, y) if everything else {}
        result |= {f"{name}{metric}": value for metric, value in found.items()}
    if everything:
        result["logged_train_agreement"] = metrics.agreement(logged(net, lessons), lessons.said[""][1])
        result |= {f"member{i}_agreement": metrics.agreement(test, member)
                   for i, member in enumerate(lessons.members_said, 1)}
    return result


def more_of(test, judged, y) -> dict:
    """What `measures="all"` adds for one judge; a part without inputs has no agreement."""
    right, wrong = metrics.agreement_by_correctness(test, judged, y)
    return {
        "reverse_kl": metrics.predictive_kl(test, judged),
        "jensen_shannon": metrics.jensen_shannon(test, judged),
        "total_variation": metrics.total_variation(test, judged),
        "kappa": metrics.cohen_kappa(test, judged),
        "log_odds_slope": metrics.log_odds_slope(test, judged),
    } | {name: value for name, value in (("agreement_right", right), ("agreement_wrong", wrong))
         if not math.isnan(value)}


@torch.no_grad()
def cka_with(net, judge: Ensemble, lessons: Lessons) -> dict:
    """CKA by stage, where both are single nets of one design."""
    if len(judge.members) > 1 or type(judge.members[0]) is not type(net):
        return {}
    few = data.pixels(lessons.test_x[: CKA_PHOTOS if lessons.spec.data.inputs.files else CKA_INPUTS])
    pairs = zip(net.features(few), judge.members[0].features(few), strict=True)
    return {f"cka{stage}": metrics.cka(a.cpu(), b.cpu()) for stage, (a, b) in enumerate(pairs, 1)}


@torch.no_grad()
def logged(net, lessons: Lessons) -> torch.Tensor:
    """Logits [n, c] of a net in train mode on the inputs seen, batch by batch; the net stays as it is."""
    spec, net = lessons.spec, copy.deepcopy(net).train()
    with GlobalStream(device()) as inside:
        inside.seed(seed_of(spec.data.trial, "student", len(spec.teachers), "logged"))
        return torch.cat([net(laid_for(net, part)) for part in lessons.seen.split(spec.training.batch)]).cpu()


def execute(specs, weights_of, kept):
    """As `runs.execute`. Students of equal `batches` see the same ones, which are labelled once."""
    lessons = {}
    for spec in specs:
        if spec.batches not in lessons:
            lessons[spec.batches] = Lessons(spec, weights_of)
    return train_together(specs, [prepare(spec, lessons[spec.batches], weights_of) for spec in specs], kept)


def cohort_of(spec: Student):
    """Beside nets that stack, students of equal batches whose teachers label every batch anew: one labels for all."""
    if not spec.net.family.stackable and devices() == 1 and anew(spec):
        return spec.kind, spec.model, spec.batches
    return stacking_cohort(spec)


def work(spec: Student) -> Work:
    """Its steps, and the labels that they take."""
    return Work(spec.training.steps, spec.training.batch, asked(spec) * len(spec.teachers))


KIND = Kind(
    execute=execute,
    priced=cost.of_run,
    work=work,
    holds=HOLDS | MORE,
    judge=lambda spec: cost.of_run(spec.teachers[0]),
    cohort=cohort_of,
    divides=lambda spec: spec.net.family.stackable,
    tried=tried,
    spreads=True,
)
