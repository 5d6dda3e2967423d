"""Smoke proves that everything runs, and nothing else."""

from kdlib.experiments.profiles.mnist1d import mnist1d

PROFILE = mnist1d("smoke", role="check", where="MNIST-1D, ten steps", benchmark="MNIST-1D, ten steps",
                  seeds=2, train=200, test=200, steps=10, grid=5, easy=50)
