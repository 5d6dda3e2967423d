"""A baseline of the leaderboard."""

import kdlib


@kdlib.method
def kd(teacher, data):
    """Distillation as it is meant (Hinton et al., 2015), at temperature 1: what the others are compared with."""
    return data.distil(teacher)
