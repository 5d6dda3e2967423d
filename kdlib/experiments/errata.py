"""Errata: what defects of the official code do to NLL, CKA and Fig 6b. It tests no claim of the paper."""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from kdlib import defects, metrics
from kdlib.experiments.optimization import LAMBDAS, toward
from kdlib.models import build
from kdlib.spec import Training
from kdlib.streams import stream

if TYPE_CHECKING:
    from kdlib.experiments.design import Design

FLOOR = 1e-6  # the least learning rate to which the official code scales
BATCH = 128


def runs(d: "Design") -> dict:
    """Students by lambda, chapter 2's and with the learning rate scaled; under the other names, the defects of the
    earlier chapters' students."""
    p = d.profile
    out = {("lambda", x): toward(d, x) for x in LAMBDAS}
    out |= {("scaled", x): toward(d, x, training=scaled(d.training, x)) for x in LAMBDAS}
    students: dict = {("size", 1, f): d.students(1, f) for f in (p.gap.factors[0], p.gap.factors[-1])}
    students["teacher-initial"] = d.students(start="teacher-initial")
    students |= {("policy", 5, name, t): d.students(5, policy=name, temperature=t)
                 for name, t in p.distillation_data.recipes}
    return out | {name: d.defects(row) for name, row in students.items()}


def scaled(training: Training, toward_teacher: float) -> Training:
    """The learning rate times the distance that is left, as in the official code's Fig 6b."""
    return training.but(lr=max(training.lr * (1 - toward_teacher), FLOOR))


def confident() -> tuple[float, float]:
    """NLL, right and wrong, of made-up logits [128, 100] that are right and sure: 12 at the label, noise elsewhere."""
    draws = stream("errata", "confident")
    labels = torch.randint(100, (BATCH,), generator=draws)
    logits = 12 * F.one_hot(labels, 100) + torch.randn(BATCH, 100, generator=draws)
    return metrics.nll(logits, labels), defects.nll_table(logits, labels)


def least_table(classes: int, n: int) -> float:
    """The least that the wrong NLL can be on n examples, as many of each class, in random batches: the mean entropy of
    a batch's labels, reached by a net that knows these and ignores its inputs."""
    labels = (torch.arange(n) % classes)[torch.randperm(n, generator=stream("errata", "labels"))]
    entropies = [torch.special.entr(torch.bincount(part).double() / len(part)).sum() for part in labels.split(BATCH)]
    return float(torch.stack(entropies).mean())


def untrained_images(pairs: int = 5) -> list[dict]:
    """CKA by stage of two untrained ResNets on made-up smooth colour images [128, 3, 32, 32], a dict per pair of nets;
    under `elsewhere_`, where the second net is given other images."""
    coarse = torch.rand(2 * BATCH, 3, 4, 4, generator=stream("errata", "images"))
    x, elsewhere = F.interpolate(coarse, 32, mode="bilinear", align_corners=False).split(BATCH)
    out = []
    for i in range(pairs):
        one, other = (build("resnet20-bn", "cifar100", "errata", i, side) for side in "ab")
        own = defects.maps_of(one, x)
        out.append(defects.similarities(own, defects.maps_of(other, x), BATCH))
        apart = defects.similarities(own, defects.maps_of(other, elsewhere), BATCH)
        out[-1] |= {f"elsewhere_{key}": value for key, value in apart.items()}
    return out
