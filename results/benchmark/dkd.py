"""A baseline of the leaderboard."""

import kdlib

kdlib.recipe("dkd", "Decoupled distillation (Zhao et al., 2022): temperature 4, weights 1 and 8, with labels.",
             objective="dkd", temperature=4.0, alpha=0.5)
