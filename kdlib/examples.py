"""The picture of what the nets see, on the book's first page: `python -m kdlib.examples` draws it anew.

It is committed, since its photographs are of a data set that not every machine has, and a page without them would
differ from machine to machine; its signals are drawn by the generator, as a test does again.
"""

import numpy as np

from kdlib import figures
from kdlib.experiments.profiles import LIVE, PROFILES, REAL, REGIME
from kdlib.paths import atomic, project_root

PICTURE = project_root() / "book" / "_static" / "inputs.svg"
DIGITS = ("0", "1", "2", "3", "4")
THINGS = ("bicycle", "lion", "orange", "palm_tree", "rocket")
SIGNALS, PHOTOGRAPHS, SMALL = "MNIST-1D: 40 values, 10 classes", "CIFAR-100: 100 classes", "the same at 16 by 16 pixels"


def first_of(name: str, classes: tuple[str, ...], train: int) -> np.ndarray:
    """The first training input of each class in the draw of trial 0, [classes, ...]."""
    from kdlib import data
    from kdlib.catalog import data_set

    splits, names = data.load(name, trial=0, train=train, test=1), data_set(name).names
    labels = splits.train_y.tolist()
    return data.pixels(splits.train_x[[labels.index(names.index(c)) for c in classes]]).numpy()


def draw():
    """The figure. DataError where CIFAR-100 is not imported."""
    figures.style()
    return figures.examples({
        SIGNALS: (first_of(PROFILES[LIVE].data_set, DIGITS, 1000), DIGITS),
        PHOTOGRAPHS: (first_of(PROFILES[REGIME].data_set, THINGS, 2000), [thing.replace("_", " ") for thing in THINGS]),
        SMALL: (first_of(PROFILES[REAL].data_set, THINGS, 2000), ()),
    })


if __name__ == "__main__":
    figure = draw()
    with atomic(PICTURE) as file:
        figure.savefig(file, format="svg", metadata={"Date": None})
    print(PICTURE.relative_to(project_root()))
