"""Data: real sets on disk, signals that are drawn, and what runs see of them.

`archives` reads files, `readers` makes arrays of them, `stored` keeps these and `imports` gets them; `signals` draws
MNIST-1D. Runs use what is named here: draws are values, of tensors and photographs alike.
"""

from importlib import import_module

_PUBLIC = {
    "draws": ("Splits", "affine_copies", "load", "out_of_domain", "related", "lent"),
    "inputs": ("Photos", "augmented", "joined", "pixels"),
    "archives": ("DataError",),
}
_WHERE = {name: module for module, names in _PUBLIC.items() for name in names}  # without torch until it is used


def __getattr__(name):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__():
    return [*globals(), *_WHERE]
