"""What the book runs live."""

from kdlib.experiments.profiles.mnist1d import mnist1d

PROFILE = mnist1d("laptop", seeds=5, train=1000, test=2000, steps=800, grid=21, easy=200)
