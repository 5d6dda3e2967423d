"""A teacher: a net trained on labels."""

from functools import partial

from kdlib import data, losses, metrics
from kdlib.catalog import BASELINE
from kdlib.devices import device
from kdlib.runs import cost
from kdlib.runs.kind import Kind, Work
from kdlib.runs.training import Prepared, batches, initial, pixels, stacking_cohort, train_together, tried
from kdlib.spec import Teacher
from kdlib.streams import stream
from kdlib.train import logits_of

HOLDS = {
    "accuracy": "share of the test set that it classifies as labelled",
    "nll": "mean negative log-likelihood of the test labels, nats",
    "ece": "expected calibration error on the test set (Guo et al., 2017), 15 bins",
    "train_accuracy": "the share of its training set",
    "loss": "curve: means over up to 20 equal parts of training",
}


def prepare(spec: Teacher) -> Prepared:
    """A teacher before its training."""
    splits, where = data.load(**dict(spec.data)), device()
    x, y = splits.train_x.to(where), splits.train_y.to(where)
    net = initial(spec).to(where)
    streams = spec.data.trial, "teacher", spec.member
    draws = stream(*streams, "augment")

    def labelled(rows):
        rows = rows.to(where)
        return pixels(data.augmented(x[rows], BASELINE, draws)), y[rows]

    def evaluate():
        test = logits_of(net, splits.test_x.to(where)).cpu()
        return {
            "accuracy": metrics.accuracy(test, splits.test_y),
            "nll": metrics.nll(test, splits.test_y),
            "ece": metrics.ece(test, splits.test_y),
            "train_accuracy": metrics.accuracy(logits_of(net, x).cpu(), splits.train_y),
        }

    loss = partial(losses.nll, **dict(spec.loss))
    return Prepared(net, batches(spec, x, labelled, draws, *streams), loss, evaluate)


KIND = Kind(
    execute=lambda specs, weights_of, kept: train_together(specs, [prepare(spec) for spec in specs], kept),
    priced=cost.of_run,
    work=lambda spec: Work(spec.training.steps, spec.training.batch),
    holds=HOLDS,
    cohort=stacking_cohort,
    tried=tried,
    spreads=True,
    starts_others=True,
)
