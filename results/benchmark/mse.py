"""A baseline of the leaderboard."""

import kdlib


@kdlib.method
def mse(teacher, data):
    """Logits matched by their squared distance (Ba & Caruana, 2014)."""
    return data.distil(teacher, objective="mse")
