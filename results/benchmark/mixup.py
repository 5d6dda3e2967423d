"""A baseline of the leaderboard."""

import kdlib


@kdlib.method
def mixup(teacher, data):
    """Temperature 1 on mixtures of two inputs (Zhang et al., 2018; Beyer et al., 2022)."""
    return data.distil(teacher, augment="mixup")
