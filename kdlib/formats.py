"""The data sets there are, and the forms they come in: from the files of a folder or an archive to arrays.

A reader takes (the set's name, its files {path: bytes}, where they are from) and gives "train-x", "train-y", "test-x"
and "test-y", or None if there are no files of its form. DataError names a damaged, missing or wrong file.
"""

import hashlib
import io
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kdlib import archives
from kdlib.archives import DataError
from kdlib.spec import VOCABULARY

PARTS = ("train", "test")
REVIEW = 100  # tokens of a review that are kept
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")  # of lower-cased text: letters and digits, apostrophes inside a word
RARE = 10  # a token is in the vocabulary if the training reviews have it so often (paper, A.3)

# md5 of the unpacked official files (LeCun et al.).
MNIST_FILES = {
    "train-x": ("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb"),
    "train-y": ("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624"),
    "test-x": ("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea"),
    "test-y": ("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637"),
}
EMNIST_FILES = {f"{part}-{array}": f"emnist-byclass-{part}-{kind}-ubyte" for part in PARTS
                for array, kind in (("x", "images-idx3"), ("y", "labels-idx1"))}
# by label; the official names, whose alphabetical order the labels follow
CIFAR100_CLASSES = tuple("""
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
    castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
    elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
    man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
    pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
    skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
    tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
""".split())
CIFAR10_BATCHES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}


def torchvision_class(name: str):
    """torchvision's class of a data set, which knows its addresses and checksums."""
    from torchvision import datasets

    return {"mnist": datasets.MNIST, "fashion-mnist": datasets.FashionMNIST, "emnist": datasets.EMNIST,
            "cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100, "svhn": datasets.SVHN}[name]


def _find(files, name):
    return next((raw for path, raw in files.items() if path.split("/")[-1] == name), None)


def _all(files, names, source):
    """The files of these names {key: name}; None if there are none of them, DataError if some are missing."""
    found = {key: _find(files, name) for key, name in names.items()}
    missing = [names[key] for key, raw in found.items() if raw is None]
    if len(missing) == len(names):
        return None
    if missing:
        raise DataError(f"{missing[0]} is not in {source}, other files of the set are: get it again")
    return found


def _same(raw, md5, file, source):
    if hashlib.md5(raw, usedforsecurity=False).hexdigest() != md5:
        raise DataError(f"{file} in {source} is not the official file (its md5 differs): get it again")


def _idx(raw, file, source):
    """The array in a file of MNIST's format: two zero bytes, the type, the number of sizes, the sizes, the values."""
    sizes = tuple(np.frombuffer(raw, ">u4", raw[3], 4)) if len(raw) >= 16 and raw[:3] == b"\0\0\x08" else ()
    if len(raw) != 4 + 4 * len(sizes) + np.prod(sizes, dtype=np.int64) or len(sizes) not in (1, 3):
        raise DataError(f"{file} in {source} is damaged or cut off: get it again")
    values = np.frombuffer(raw, np.uint8, offset=4 + 4 * len(sizes)).reshape(sizes)
    return values[:, None] if len(sizes) == 3 else values


def idx_files(name, files, source):
    names = EMNIST_FILES if name == "emnist" else {part: file for part, (file, _) in MNIST_FILES.items()}
    found = _all(files, names, source)
    if found is None:
        return None
    if name == "mnist":
        for part, (file, md5) in MNIST_FILES.items():
            _same(found[part], md5, file, source)
    arrays = {part: _idx(raw, names[part], source) for part, raw in found.items()}
    if name == "emnist":  # its images lie on their sides; upright they are like MNIST's
        arrays |= {part: arrays[part].swapaxes(2, 3) for part in ("train-x", "test-x")}
    return arrays


def cifar_binary(name, files, source):
    """The "binary version": a label (of CIFAR-100 the coarse one, then the fine) and 3072 pixels after each other."""
    batches = {"train": ["train"], "test": ["test"]} if name == "cifar100" else CIFAR10_BATCHES
    arrays, labels = {}, 2 if name == "cifar100" else 1
    for part, names in batches.items():
        raws = [raw for raw in (_find(files, f"{batch}.bin") for batch in names) if raw is not None]
        if any(len(raw) % (labels + 3072) for raw in raws):
            raise DataError(f"the {part} files in {source} are cut off: get them again")
        rows = np.frombuffer(b"".join(raws), np.uint8).reshape(-1, labels + 3072)
        arrays[f"{part}-x"], arrays[f"{part}-y"] = rows[:, labels:].reshape(-1, 3, 32, 32), rows[:, labels - 1]
    return arrays if len(arrays["train-x"]) + len(arrays["test-x"]) else None


def cifar_pickled(name, files, source):
    """The "Python version", torchvision's: pickles, taken only if they are the official ones, and never executed."""
    official = dict(torchvision_class(name).train_list + torchvision_class(name).test_list)
    found = _all(files, {file: file for file in official}, source)
    if found is None:
        return None
    arrays = {}
    for part, names in zip(PARTS, (torchvision_class(name).train_list, torchvision_class(name).test_list), strict=True):
        pixels, labels = [], []
        for file, md5 in names:
            _same(found[file], md5, file, source)
            some, numbers = archives.read_pickled(found[file], "fine_labels" if name == "cifar100" else "labels")
            if len(some) != 3072 * len(numbers):
                raise DataError(f"{file} in {source} is not a batch of CIFAR: get it again")
            pixels.append(some)
            labels += numbers
        arrays[f"{part}-x"] = np.frombuffer(b"".join(pixels), np.uint8).reshape(-1, 3, 32, 32)
        arrays[f"{part}-y"] = np.array(labels, np.uint8)
    return arrays


def svhn_files(name, files, source):
    from scipy.io import loadmat

    official = {part: torchvision_class(name).split_list[part][1:] for part in PARTS}
    found = _all(files, {part: file for part, (file, _) in official.items()}, source)
    if found is None:
        return None
    arrays = {}
    for part, (file, md5) in official.items():
        _same(found[part], md5, file, source)
        content = loadmat(io.BytesIO(found[part]), variable_names=("X", "y"))
        arrays[f"{part}-x"] = content["X"].transpose(3, 2, 0, 1)
        arrays[f"{part}-y"] = (content["y"][:, 0] % 10).astype(np.uint8)  # the digit 0 is class 10 in the file
    return arrays


def class_folders(name, files, source):
    """`.../train/<class>/*.png` and `.../test/<class>/*.png`; labels are the sorted names of the classes."""
    from PIL import Image

    known = SETS[name]
    chosen = {part: [path for path in files if path.split("/")[-3:-2] == [part]] for part in PARTS}
    if not any(chosen.values()):
        return None
    classes = sorted({path.split("/")[-2] for paths in chosen.values() for path in paths})
    if len(classes) != known.classes:
        raise DataError(f"{source} has {len(classes)} class folders, and {name} has {known.classes} classes: "
                        "get it again")
    arrays = {}
    for part, paths in chosen.items():
        x = np.empty((len(paths), *known.shape), np.uint8)
        for i, path in enumerate(paths):
            try:
                image = Image.open(io.BytesIO(files[path]), formats=("PNG",))  # of other formats not even the header
                if image.size != known.shape[:0:-1]:
                    raise DataError(f"{path} in {source} has {image.size} pixels, and {name}'s images have "
                                    f"{known.shape[:0:-1]}: is it {name}?")
                image = np.asarray(image.convert("RGB" if known.shape[0] == 3 else "L"))
            except (OSError, SyntaxError, ValueError) as error:
                raise DataError(f"{path} in {source} is damaged ({error}): get it again") from None
            x[i] = image.transpose(2, 0, 1) if image.ndim == 3 else image
        labels = {c: i for i, c in enumerate(classes)}
        arrays |= {f"{part}-x": x, f"{part}-y": np.array([labels[path.split("/")[-2]] for path in paths], np.uint8)}
    return arrays


def reviews(name, files, source):
    """`.../{train,test}/{neg,pos}/*.txt`: the first 100 tokens of a review, 0 where it is shorter; labels 0 and 1."""
    texts = {part: [(path.split("/")[-2] == "pos", WORD.findall(raw.decode("utf-8", "replace").lower().replace(
        "<br />", " "))) for path, raw in files.items() if path.split("/")[-3] == part] for part in PARTS}
    if not any(texts.values()):
        return None
    seen = Counter(word for _, tokens in texts["train"] for word in tokens)
    frequent = sorted((word for word, n in seen.items() if n >= RARE), key=lambda word: (-seen[word], word))
    vocabulary = ["", "?", *frequent[: VOCABULARY - 2]]
    number = {word: i for i, word in enumerate(vocabulary)}
    arrays = {"words": vocabulary}
    for part, both in texts.items():
        x = np.zeros((len(both), REVIEW), "<u2")
        for row, (_, tokens) in zip(x, both, strict=True):
            row[: len(tokens)] = [number.get(word, 1) for word in tokens[:REVIEW]]
        arrays |= {f"{part}-x": x, f"{part}-y": np.array([label for label, _ in both], np.uint8)}
    return arrays


@dataclass(frozen=True)
class Known:
    """What makes a data set this one: the shape of an example, how many there are, the official content if known."""

    shape: tuple
    classes: int
    counts: dict  # part: examples of each class, or, where that is not published, of all
    files: re.Pattern  # paths of its files in a folder or an archive
    readers: tuple[Callable, ...]
    takes: str  # what `import` takes
    fingerprint: str | None = None  # None: not known to us, so counts are checked, and the archive as it is downloaded


IDX = re.compile(r"(^|/)(train|t10k)-(images-idx3|labels-idx1)-ubyte(\.gz)?$")
IDX_TAKES = "the four official files, gzipped or not, in a folder, zip or tar (such as torchvision's)"
CIFAR_TAKES = ("the official archive (Python or binary version), torchvision's folder, or a folder, zip or tar of "
               "train/<class>/*.png and test/<class>/*.png")
FOLDERS = r"(train|test)/[^/]+/[^/.][^/]*\.png$"  # not ._x.png, which a Mac adds
SETS = {
    "mnist": Known((1, 28, 28), 10, {"train": (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
                                     "test": (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)},
                   IDX, (idx_files,), IDX_TAKES, "dc595b1cc85e24236fa48a24475b577c"),
    "fashion-mnist": Known((1, 28, 28), 10, {"train": (6000,) * 10, "test": (1000,) * 10}, IDX, (idx_files,),
                           IDX_TAKES, "ead6a959ebf9c6dd79d25b8cc128e874"),
    "emnist": Known((1, 28, 28), 62, {"train": 697_932, "test": 116_323},
                    re.compile(r"(^|/)emnist-byclass-(train|test)-(images-idx3|labels-idx1)-ubyte(\.gz)?$"),
                    (idx_files,), "the official archive gzip.zip or torchvision's folder"),
    "cifar10": Known((3, 32, 32), 10, {"train": (5000,) * 10, "test": (1000,) * 10},
                     re.compile(rf"((^|/)(data_batch_\d|test_batch)(\.bin)?$)|{FOLDERS}"),
                     (cifar_binary, cifar_pickled, class_folders), CIFAR_TAKES),
    "cifar100": Known((3, 32, 32), 100, {"train": (500,) * 100, "test": (100,) * 100},
                      re.compile(rf"((^|/)(train|test)(\.bin)?$)|{FOLDERS}"),
                      (cifar_binary, cifar_pickled, class_folders), CIFAR_TAKES,
                      "f3336ef5fe5aaeca5696623192158b2e"),
    "svhn": Known((3, 32, 32), 10, {"train": (4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659),
                                    "test": (1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595)},
                  re.compile(rf"((^|/)(train|test)_32x32\.mat$)|{FOLDERS}"), (svhn_files, class_folders),
                  "a folder with train_32x32.mat and test_32x32.mat, or of train/<digit>/*.png and test/<digit>/*.png"),
    "imdb": Known((REVIEW,), 2, {"train": (12_500,) * 2, "test": (12_500,) * 2},
                  re.compile(r"(train|test)/(neg|pos)/[^/]+\.txt$"), (reviews,),
                  "the official archive aclImdb_v1.tar.gz, or a folder, zip or tar of {train,test}/{neg,pos}/*.txt",
                  "942856f6411989693b07c051aa05b60d"),
}
