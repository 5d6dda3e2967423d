"""A baseline of the leaderboard."""

import kdlib

kdlib.recipe("kd", "Temperature 1 (Hinton et al., 2015): what the others are compared with.")
