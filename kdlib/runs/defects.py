"""Defects: what the official code's formulas make of one student, beside the right ones (`kdlib.defects`)."""

import torch

from kdlib import data, defects
from kdlib.devices import device
from kdlib.models import Ensemble, build
from kdlib.runs import cost
from kdlib.runs.kind import Kind, Work, loaded
from kdlib.runs.student import CKA_INPUTS
from kdlib.spec import Defects
from kdlib.streams import stream
from kdlib.train import logits_of

HOLDS = {
    "{,teacher_}nll{,_batches,_table}": "the student's (its teacher's) NLL: right, mean of batch means, wrong table",
    "kl{,_batches}": "mean KL of the teacher's distribution from the student's, right and as a mean of batch means",
    "{,shuffled_,untrained_,unseen_}{cka,places,columns}{1,2,3}": "CKA with the teacher's maps by stage: linear, and "
    "the official code's with its axes put right and as it is; of shuffled inputs, with an untrained or an unseen net",
}


def measure(spec: Defects, weights_of):
    """(metrics, no curves, no weights) of one student."""
    student, batch, where = spec.student, spec.batch, device()
    splits, trial = data.load(**dict(student.data)), student.data.trial
    net = loaded(student, weights_of).to(where)
    teachers = [loaded(t, weights_of).to(where) for t in student.teachers]
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
        pairs["unseen_"] = (own, defects.maps_of(loaded(student.foil[0], weights_of).to(where), few))
    for name, pair in pairs.items():
        result |= {f"{name}{key}": value for key, value in defects.similarities(*pair, batch).items()}
    return result, {}, None


KIND = Kind(
    execute=lambda specs, weights_of, kept: [measure(spec, weights_of) for spec in specs],
    priced=cost.of_run,
    work=lambda spec: Work(only_forward=(1 + len(spec.student.teachers)) * spec.student.data.test),
    holds=HOLDS,
)
