"""A baseline of the leaderboard."""

import kdlib

kdlib.recipe("mixup", "On mixtures of two inputs (Beyer et al., 2022).", policy="mixup")
