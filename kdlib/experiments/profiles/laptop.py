"""What the book runs live."""

from kdlib.experiments.profiles.mnist1d import mnist1d

PROFILE = mnist1d("laptop", role="live", where="MNIST-1D, the book's live trials", benchmark="MNIST-1D",
                  seeds=5, live=2, train=1000, test=2000, steps=800, grid=21, easy=200)
