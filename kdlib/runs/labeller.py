"""Teachers' labels of a student's batches, in whichever of three ways asks the teachers least.

Each way is a function of rows [k] of the student's inputs that gives (inputs [k, ...], teachers' logits [k, classes]).
"""

from collections.abc import Callable

import torch

from kdlib import augment, data
from kdlib.catalog import BASELINE
from kdlib.models import Ensemble
from kdlib.runs.training import pixels
from kdlib.spec import Student
from kdlib.train import logits_of

TABLE_BYTES = 2**29  # at most, of labels of all crops


def asked(spec: Student) -> int:
    """How many inputs each teacher of a student labels in training."""
    inputs, seen, outcomes = spec.size, spec.training.steps * spec.training.batch, _outcomes(spec)
    if spec.data.inputs.fixed(spec.policy):
        return inputs
    return outcomes * inputs if outcomes else seen


def anew(spec: Student) -> bool:
    """Whether its teachers label every batch as it comes."""
    return spec.anew or (not spec.data.inputs.fixed(spec.policy) and not _outcomes(spec))


def _outcomes(spec):
    """Into how many different ones crops and flips turn an input, where to label all of them asks less than training
    would; else 0."""
    kind, policy = spec.data.inputs, spec.policy
    if policy != BASELINE or not kind.cropped or kind.files or spec.anew:
        return 0
    images = augment.crop_flip_outcomes(kind.shape[1]) * spec.size
    fits = images < spec.training.steps * spec.training.batch and 4 * images * spec.data.known.classes <= TABLE_BYTES
    return augment.crop_flip_outcomes(kind.shape[1]) * fits


def labeller(spec: Student, teacher: Ensemble, inputs, draws: torch.Generator, pool=None, images=None) -> Callable:
    """The labels of a student's batches, as at the top of this module; `inputs` [n, ...] are its own, `draws` is the
    stream of its augmentation. `images(n, draws)` are those of its generator, where they are others in every batch."""
    if spec.data.inputs.fixed(spec.policy):
        return once(teacher, inputs)
    if outcomes := _outcomes(spec):
        return by_crop(teacher, inputs, draws, outcomes)
    return by_batch(teacher, inputs, draws, spec.policy, pool, images and spec.generated, images)


def once(teacher, inputs):
    """Of inputs that never change: each is labelled once, before training."""
    logits = logits_of(teacher, inputs)
    return lambda rows: (inputs[rows], logits[rows])


def by_crop(teacher, inputs, draws, outcomes):
    """Of crops and flips, where there are few: all are labelled before training."""
    logits = torch.stack([logits_of(teacher, augment.cropped(inputs, *augment.draws_of(inputs, k)))
                          for k in range(outcomes)])

    def label(rows):
        x = inputs[rows]
        by = augment.crop_flip_draws(x, draws)
        return augment.cropped(x, *by), logits[augment.outcome(x, *by), rows]

    return label


def by_batch(teacher, inputs, draws, policy, pool=None, last=0, images=None):
    """Of anything else: the teachers see what the student sees. In the place of the `last` of the inputs come `images`
    that were not there before."""
    def label(rows):
        x = inputs[rows]
        if last:
            at = (rows >= len(inputs) - last).nonzero()[:, 0]
            if len(at):
                x[at] = images(len(at), draws)
        x = pixels(data.augmented(x, policy, draws, pool))
        return x, logits_of(teacher, x)

    return label
