"""The sizes of chapter 1 on a data set of one's own (`kdlib data import NAME PATH --new`), or on another of images."""

from dataclasses import replace
from typing import Any

from kdlib import catalog
from kdlib.experiments.profile import Profile
from kdlib.spec import Training

SHARE = 4  # a teacher sees one of so many training images; the others are fresh ones for its students
NET = "resnet8-bn"
RECIPE: dict[str, Any] = {"optimizer": "sgd", "lr": 0.05, "weight_decay": 1e-4}


def on_data(profile: Profile, name: str) -> Profile:
    """A profile's trials and steps on colour images: all their test images, and as many training images as there are.
    ValueError where there is no such set, or its inputs are none of these."""
    known = catalog.data_set(name)
    if known.inputs.like not in catalog.COLOURS:
        raise ValueError(f"chapter 1 is of signals or of colour images, and {name} has {known.inputs}")
    train = known.total("train") // SHARE
    if train < known.classes:
        raise ValueError(f"{name} has {known.total('train')} training images, and needs {SHARE} of each of its "
                         f"{known.classes} classes or more")

    def recipe(training):
        return Training(**RECIPE, batch=min(training.batch, train), steps=training.steps)

    return replace(profile, data_set=name, train=train, test=known.total("test"), net=NET,
                   teaching=recipe(profile.teaching), training=recipe(profile.training),
                   fidelity_gap=replace(profile.fidelity_gap, factors=tuple(2**i for i in range(SHARE.bit_length()))))
