"""A generator: an SN-GAN of a teacher's training images, and what its samples are like."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch

from kdlib import data, gan, metrics
from kdlib.devices import device, inception
from kdlib.models import Ensemble
from kdlib.runs import cost
from kdlib.runs.kind import Kind, Work, loaded, of_finite, on_cpu
from kdlib.spec import Generator
from kdlib.streams import stream

SAMPLES = 5000  # that are measured, at the least: the paper's number
SHOWN = 24  # of them, whose pixels the record keeps, as a picture of what was made

HOLDS = {
    "judge_fid": "Frechet distance of its samples from the test images in the judge's features",
    "judge_fid_train": "the same of the training images",
    "judge_is": "inception score of its samples by the judge's classes",
    "judge_is_real": "the same of the test images",
    "judge_top": "mean largest probability that the judge gives its samples",
    "judge_top_real": "the same of the test images",
    "nearest": "mean root-mean-square difference of its samples from the training image nearest to each",
    "nearest_real": "the same of the test images",
    "{discriminator,generator}": "curves of both losses: means over up to 20 equal parts of training",
    "samples": "the pixels of its first 24 samples, 0 to 255",
    "{fid,is}": "Frechet distance and inception score with Inception's net, where its weights are at hand",
}


def execute(specs, weights_of, kept):
    """As `runs.execute`, of one generator. Pixels and distances are in [0, 1]."""
    (spec,) = specs
    weights = inception()  # before the training, if it is an error
    splits, where = data.load(**dict(spec.data)), device()
    known, test_x = splits.train_x.to(where), splits.test_x.to(where)
    net, curves = gan.fit(spec, known, kept)
    judge = Ensemble([loaded(spec.judge, weights_of)]).to(where).members[0]
    made = gan.sample(net, max(SAMPLES, len(test_x)), stream(spec.data.trial, "generator", "evaluation")).to(where)
    (of_made, classes), (of_test, test_classes), (of_train, _) = (
        features_and_classes(judge, x) for x in (made, test_x, known))
    by_inception = gan.inception_measures(made, test_x, weights) if weights else {}
    return [(by_inception | {
        "judge_fid": of_finite(spec, lambda: metrics.frechet_distance(of_made, of_test)),
        "judge_fid_train": metrics.frechet_distance(of_train, of_test),
        "judge_is": metrics.inception_score(classes),
        "judge_is_real": metrics.inception_score(test_classes),
        "judge_top": top(classes), "judge_top_real": top(test_classes),
        "nearest": metrics.nearest(made, known),
        "nearest_real": metrics.nearest(test_x, known),
    }, curves | {"samples": (made[:SHOWN] * 255).round().tolist()}, on_cpu(net))]


def top(logits) -> float:
    """Mean largest probability of logits [n, c]."""
    return float(logits.double().softmax(1).amax(1).mean())


@torch.no_grad()
def features_and_classes(net, x):
    """(features [n, d] before the last layer, logits [n, c])."""
    features = torch.cat([net.features(part)[-1].flatten(1) for part in x.split(64)])
    return features.cpu(), net.head(features).cpu()


def images_from(spec: Generator, weights_of) -> Callable:
    """A function of (n, draws) that gives `n` images [n, 3, h, w] of a finished generator, on its device."""
    net = gan.build(spec)[0]
    net.load_state_dict(weights_of(spec))
    return partial(gan.sample, net.to(device()))


@dataclass(frozen=True)
class Priced:
    """Both nets of a generator; a step includes those of its discriminator."""

    name: str
    data: str
    batch: int
    discriminator_steps: int
    latent: int
    spec: Generator = field(compare=False)

    def cost(self) -> cost.Cost:
        """Counted on one step of each net."""
        part = cost.few(self.data, self.batch, self.spec.width)
        run, latents = gan.Adversaries(self.spec, cost.made_up(self.data, 1)), torch.randn(part, self.latent)
        nets = run.nets.values()
        one, one_kept = cost.counted(lambda: run.discriminate(cost.made_up(self.data, part), latents), *nets)
        other, other_kept = cost.counted(lambda: run.generate(latents), *nets)
        return cost.Cost((self.discriminator_steps * one + other) * self.batch // part, 0,
                         max(one_kept, other_kept) * self.batch // part, cost.state_bytes(*nets))

    def seconds(self, steps: int = 2) -> float:
        """Of one step here, on one thread."""
        part = cost.few(self.data, self.batch, self.spec.width)
        run = gan.Adversaries(self.spec.but(batch=part), cost.made_up(self.data, 2 * part))
        run.advance()  # warms up
        start = time.process_time()
        for _ in range(steps):
            run.advance()
        return (time.process_time() - start) / steps * self.batch / part


def priced(spec: Generator) -> Priced:
    """Both its nets."""
    return Priced(f"sngan-w{spec.width}", spec.data.name, spec.batch, spec.discriminator_steps, spec.latent, spec)


KIND = Kind(
    execute=execute,
    priced=priced,
    # each of its updates passes through both nets
    work=lambda spec: Work(spec.steps, 2 * spec.batch * (1 + spec.discriminator_steps)),
    holds=HOLDS,
)
