"""What verdicts on signals rest on: laptop's design on 30 trials that nobody had seen when the rules were written.

Trials 100 to 129, of the conditions that claims read (and what moves a student away from its teacher); the live five of
laptop are the demonstration. A profile of its own, since its trials, its unseen teachers (all twelve of a trial, not
one) and its records (metrics alone, in one compressed file) are others: so no run of laptop changes, and every command
takes it by its name.
"""

from kdlib.experiments.profiles.mnist1d import mnist1d

PROFILE = mnist1d("signals", role="verdicts", where="MNIST-1D", seeds=30, train=1000, test=2000, steps=800, grid=0,
                  easy=200, for_claims=True, first=100, demonstrates=False, compact=True, every_foil=True,
                  measures="function")
