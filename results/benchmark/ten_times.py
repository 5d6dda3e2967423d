"""A baseline of the leaderboard."""

import kdlib

kdlib.recipe("ten_times", "Ten times the steps: beyond the cost, so not ranked.", times=10, cost=10)
