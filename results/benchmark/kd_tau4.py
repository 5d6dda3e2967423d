"""A baseline of the leaderboard."""

import kdlib

kdlib.recipe("kd_tau4", "Temperature 4.", temperature=4.0)
