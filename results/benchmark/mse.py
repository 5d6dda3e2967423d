"""A baseline of the leaderboard."""

import kdlib

kdlib.recipe("mse", "Logits matched by their squared distance (Ba & Caruana, 2014).", objective="mse")
