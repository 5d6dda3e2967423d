"""What the official code logs, beside what it means to log: wrong on purpose, and used by the errata alone.

The formulas were written anew from a reading of that code's last commit; the right ones are in `metrics`.
"""

import torch
import torch.nn.functional as F

from kdlib import metrics
from kdlib.catalog import OFFICIAL
from kdlib.models import build
from kdlib.streams import stream

BATCH = 128  # as there


def nll_table(logits, labels) -> float:
    """WRONG. Every row is indexed by the labels of all rows, and the table [n, n] averaged: the mean cross-entropy of
    a prediction with the labels of the whole batch."""
    z, labels = metrics.labelled(logits, labels)
    return float(-z.log_softmax(-1)[..., labels].mean())


def columns(maps) -> torch.Tensor:
    """WRONG. Maps [n, channels, h, w] taken for [n, h, w, channels], averaged over what are not the places, and
    transposed: [w, n], image columns as rows and examples as features."""
    return maps.mean((1, 2)).T


def places(maps) -> torch.Tensor:
    """What `columns` is meant to be: maps [n, channels, h, w] averaged over places, [n, channels], rows examples."""
    return maps.mean((2, 3))


def batch_means(metric, batch: int, *tensors) -> float:
    """WRONG if the last batch is smaller. The mean over batches of a metric that is a mean over examples."""
    values = [metric(*parts) for parts in zip(*(t.split(batch) for t in tensors), strict=True)]
    return sum(values) / len(values)


def kernel_cka(a, b) -> float:
    """CKA (Kornblith et al., 2019) of rows a [n, d] and b [n, e] under Gaussian kernels as wide as the median
    distance, as the official code has it."""
    centred = []
    for rows in (a.double(), b.double()):
        squares = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").square()
        k = torch.exp(-squares / (2 * squares[squares > 0].quantile(0.5)))
        centred.append(k - k.mean(0) - k.mean(1, keepdim=True) + k.mean())
    k, h = centred
    return float((k * h).sum() / (k.norm() * h.norm()))


def maps_of(net, x) -> list[torch.Tensor]:
    """The hidden maps of a convolutional net as [n, channels, h, w]; a signal is an image of height 1."""
    with torch.no_grad():
        found = net.eval().maps(x)
    return [(f if f.ndim == 4 else f[:, :, None]).cpu() for f in found]


def likelihoods(of_student, of_teacher, labels, batch: int) -> dict[str, float]:
    """NLL and KL from the logits [n, c] of a whole set, from means of batch means, and from tables of batches."""
    result = {"kl": metrics.predictive_kl(of_teacher, of_student),
              "kl_batches": batch_means(metrics.predictive_kl, batch, of_teacher, of_student)}
    for name, logits in (("", of_student), ("teacher_", of_teacher)):
        result[f"{name}nll"] = metrics.nll(logits, labels)
        result[f"{name}nll_batches"] = batch_means(metrics.nll, batch, logits, labels)
        result[f"{name}nll_table"] = batch_means(nll_table, batch, logits, labels)
    return result


def similarities(one, other, batch: int) -> dict[str, float]:
    """CKA of two nets' maps by stage, 1 ...: this book's (`cka`), the official code's (`columns`), and the latter with
    its axes put right (`places`)."""
    result = {}
    for stage, (a, b) in enumerate(zip(one, other, strict=True), 1):
        result[f"cka{stage}"] = metrics.cka(a, b)
        for rows in (columns, places):
            result[f"{rows.__name__}{stage}"] = batch_means(
                lambda p, q, rows=rows: kernel_cka(rows(p), rows(q)), batch, a, b)
    return result


# --- of made-up logits and images

def confident() -> tuple[float, float]:
    """NLL, right and wrong, of made-up logits [128, 100] that are right and sure: 12 at the label, noise elsewhere."""
    draws = stream("errata", "confident")
    labels = torch.randint(100, (BATCH,), generator=draws)
    logits = 12 * F.one_hot(labels, 100) + torch.randn(BATCH, 100, generator=draws)
    return metrics.nll(logits, labels), nll_table(logits, labels)


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
        one, other = (build(*OFFICIAL, "errata", i, side) for side in "ab")
        own = maps_of(one, x)
        out.append(similarities(own, maps_of(other, x), BATCH))
        apart = similarities(own, maps_of(other, elsewhere), BATCH)
        out[-1] |= {f"elsewhere_{key}": value for key, value in apart.items()}
    return out
