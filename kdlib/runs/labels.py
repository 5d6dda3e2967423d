"""Labels: what a teacher or an ensemble tells its students (Fig 8)."""

import torch

from kdlib import data
from kdlib.devices import device
from kdlib.models import Ensemble
from kdlib.runs import cost
from kdlib.runs.kind import Kind, Work, loaded
from kdlib.spec import Labels
from kdlib.train import logits_of

HOLDS = {
    "{train,test}_top_{temperature}": "mean largest probability of the teachers' distributions at that temperature",
    "{train,test}_entropy_{temperature}": "their mean entropy, nats",
    "{train,test}-ranks-{temperature}": "curve: the mean of the ten largest probabilities, in order",
    "{train,test}-examples-{temperature}": "the whole distributions of the first examples",
    "{train,test}-labels": "the labels of these",
}


def measure(spec: Labels, weights_of):
    """Curves: the mean of the ten largest probabilities in order, and whole distributions of the first examples with
    their labels."""
    splits, where = data.load(**dict(spec.subject.data)), device()
    teacher = Ensemble([loaded(t, weights_of) for t in spec.teachers]).to(where)
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


def work(spec: Labels) -> Work:
    """All of both sets is labelled by every teacher."""
    labelled = spec.subject.data.train + spec.subject.data.test
    return Work(only_forward=labelled * len(spec.teachers))


KIND = Kind(
    execute=lambda specs, weights_of, kept: [measure(spec, weights_of) for spec in specs],
    priced=cost.of_run,
    work=work,
    holds=HOLDS,
)
