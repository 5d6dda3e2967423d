"""The data sets there are, and the forms they come in: from the files of a folder or an archive to arrays.

A reader takes (the set's name, its files {path: bytes}, where they are from) and gives "train-x", "train-y", "test-x"
and "test-y", or None if there are no files of its form. DataError names a damaged, missing or wrong file.
"""

import hashlib
import io
import math
import re
import struct
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from kdlib import archives
from kdlib.archives import DataError
from kdlib.spec import VOCABULARY

PARTS = ("train", "test")
ARRAYS = ("train-x", "train-y", "test-x", "test-y")
REVIEW = 100  # tokens of a review that are kept
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")  # of lower-cased text: letters and digits, apostrophes inside a word
WORDS_LIMIT = 1_000_000  # different ones; the training reviews have 75,000 or so
ALIASES = {"plane": "airplane", "car": "automobile"}  # what some copies of CIFAR-10 call its classes
RARE = 10  # a token is in the vocabulary if the training reviews have it so often (paper, A.3)

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
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10_BATCHES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}


def torchvision_class(name: str):
    """torchvision's class of a data set, which knows its addresses and checksums."""
    from torchvision import datasets

    return {"mnist": datasets.MNIST, "fashion-mnist": datasets.FashionMNIST, "emnist": datasets.EMNIST,
            "emnist-letters": datasets.EMNIST, "cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100,
            "svhn": datasets.SVHN, "svhn-test10000": datasets.SVHN}[name]


def _official(files, names, source, read):
    """{part: what `read(content, file, md5)` makes of it} of official files {part: (name, md5 or None)}. None if there
    are none of these; DataError if some are missing, or if `read` takes none of a name (there may be several: gzipped
    and not, another set's)."""
    found = {part: [raw for path, raw in files.items() if _name(path) == file] for part, (file, _) in names.items()}
    missing = [names[part][0] for part, raws in found.items() if not raws]
    if len(missing) == len(names):
        return None
    if missing:
        raise DataError(f"{missing[0]} is not in {source}, other files of the set are: it takes all {len(names)}")
    for part, raws in found.items():
        for i, raw in enumerate(raws):
            try:
                found[part] = read(raw, *names[part])
                break
            except DataError:
                if i == len(raws) - 1:
                    raise
    return found


def _name(path):
    """A file's official name: some copies are called train-images.idx3-ubyte."""
    return path.split("/")[-1].removesuffix(".gz").replace(".idx", "-idx")


def _same(raw, file, md5, source):
    if md5 and hashlib.md5(raw, usedforsecurity=False).hexdigest() != md5:
        raise DataError(f"{file} in {source} is not the official file (its md5 differs): get it again")
    return raw


def _idx(raw, file, source):
    """The array in a file of MNIST's format: two zero bytes, the type, the number of sizes, the sizes, the values."""
    sizes = tuple(np.frombuffer(raw, ">u4", raw[3], 4)) if len(raw) >= 16 and raw[:3] == b"\0\0\x08" else ()
    if len(raw) != 4 + 4 * len(sizes) + math.prod(map(int, sizes)) or len(sizes) not in (1, 3):
        raise DataError(f"{file} in {source} is damaged or cut off: get it again")
    values = np.frombuffer(raw, np.uint8, offset=4 + 4 * len(sizes)).reshape(sizes)
    return values[:, None] if len(sizes) == 3 else values


def idx_files(name, files, source):
    known = SETS[name]
    arrays = _official(files, known.idx, source,
                       lambda raw, file, md5: _idx(_same(raw, file, md5, source), file, source))
    if arrays is None:
        return None
    if name.startswith("emnist"):  # its images lie on their sides; upright they are like MNIST's
        arrays |= {part: arrays[part].swapaxes(-2, -1) for part in ("train-x", "test-x")}
    if name == "emnist-letters":  # the first label is 1
        arrays |= {part: arrays[part] - np.uint8(1) for part in ("train-y", "test-y")}
    return arrays


def cifar_binary(name, files, source):
    """The "binary version": a label (of CIFAR-100 the coarse one, then the fine) and 3072 pixels after each other."""
    batches = {"train": ["train"], "test": ["test"]} if name == "cifar100" else CIFAR10_BATCHES
    labels = 2 if name == "cifar100" else 1

    def rows(raw, file, _):
        if len(raw) % (labels + 3072):
            raise DataError(f"{file} in {source} is cut off: get it again")
        return np.frombuffer(raw, np.uint8).reshape(-1, labels + 3072)

    found = _official(files, {batch: (f"{batch}.bin", None) for some in batches.values() for batch in some}, source,
                      rows)
    if found is None:
        return None
    arrays = {}
    for part, names in batches.items():
        both = np.concatenate([found[name] for name in names])
        arrays[f"{part}-x"], arrays[f"{part}-y"] = both[:, labels:].reshape(-1, 3, 32, 32), both[:, labels - 1]
    return arrays


def cifar_pickled(name, files, source):
    """The "Python version", torchvision's: pickles, taken only if they are the official ones, and never executed."""
    lists = dict(zip(PARTS, (torchvision_class(name).train_list, torchvision_class(name).test_list), strict=True))

    def batch(raw, file, md5):
        pixels, numbers = archives.read_pickled(_same(raw, file, md5, source),
                                                "fine_labels" if name == "cifar100" else "labels")
        if len(pixels) != 3072 * len(numbers):
            raise DataError(f"{file} in {source} is not a batch of CIFAR")
        return np.frombuffer(pixels, np.uint8).reshape(-1, 3, 32, 32), np.array(numbers, np.uint8)

    found = _official(files, {file: (file, md5) for files_ in lists.values() for file, md5 in files_}, source, batch)
    if found is None:
        return None
    return {f"{part}-{array}": np.concatenate([found[file][i] for file, _ in lists[part]])
            for part in PARTS for i, array in enumerate("xy")}


def svhn_files(name, files, source):
    from scipy.io import loadmat

    def digits(raw, file, md5):
        content = loadmat(io.BytesIO(_same(raw, file, md5, source)), variable_names=("X", "y"))
        return content["X"].transpose(3, 2, 0, 1), (content["y"][:, 0] % 10).astype(np.uint8)  # 10 is the digit 0

    known = SETS[name]
    found = _official(files, {part: tuple(torchvision_class(name).split_list[part][1:]) for part in known.counts},
                      source, digits)
    if found is None:
        return None
    return {f"{part}-{array}": found[part][i][: known.total(part)]  # of a part of the set the first ones
            for part in found for i, array in enumerate("xy")}


def class_folders(name, files, source):
    """`.../train/<class>/*.png` and `.../test/<class>/*.png`: the label is the class's place among the known names."""
    known = SETS[name]
    chosen = {part: [path for path in files if path.split("/")[-3:-2] == [part]] for part in known.counts}
    if not any(chosen.values()):
        return None
    labels = {label: i for i, label in enumerate(known.names)}
    labels |= {alias: labels[label] for alias, label in ALIASES.items() if label in labels}
    arrays = {}
    for part, paths in chosen.items():
        x, y = np.empty((len(paths), *known.shape), np.uint8), np.empty(len(paths), np.uint8)
        for i, path in enumerate(paths):
            folder = path.split("/")[-2]
            if folder not in labels:
                names = ", ".join(known.names[:10]) + ", …" * (known.classes > 10)
                raise DataError(f"{source} has a class folder {folder!r}, and {name}'s classes are {names}: rename it "
                                "to the class that is in it")
            x[i], y[i] = _png(files[path], f"{path} in {source}", name), labels[folder]
        arrays |= {f"{part}-x": x, f"{part}-y": y}
    return arrays


def _png(raw, path, name):
    """A PNG's pixels [3, h, w]; the size that it claims is looked at first."""
    from PIL import Image

    known = SETS[name].shape[:0:-1]
    if raw[:8] != b"\x89PNG\r\n\x1a\n" or len(raw) < 24:
        raise DataError(f"{path} is not a PNG, or is cut off")
    size = struct.unpack(">II", raw[16:24])
    if size != known:
        raise DataError(f"{path} has {size} pixels, and {name}'s images have {known}: is it {name}?")
    try:
        return np.asarray(Image.open(io.BytesIO(raw), formats=("PNG",)).convert("RGB")).transpose(2, 0, 1)
    except Exception as error:  # PIL raises about anything on a malformed file
        raise DataError(f"{path} is damaged ({error}): get it again") from None


def reviews(name, files, source):
    """`.../{train,test}/{neg,pos}/*.txt`: the first 100 tokens of a review, 0 where it is shorter; labels 0 and 1."""
    texts, labels, seen = {part: [] for part in PARTS}, {part: [] for part in PARTS}, Counter()
    for path, raw in files.items():
        part, label = path.split("/")[-3:-1]
        tokens = WORD.findall(raw.decode("utf-8", "replace").lower().replace("<br />", " "))
        if part == "train":
            seen.update(tokens)
            if len(seen) > WORDS_LIMIT:
                raise DataError(f"{source} has more than {WORDS_LIMIT:,} different words: these are not reviews")
        texts[part].append(" ".join(tokens[:REVIEW]))  # a tenth of what they take as a list
        labels[part].append(label == "pos")
    if not any(texts.values()):
        return None
    frequent = sorted((word for word, n in seen.items() if n >= RARE), key=lambda word: (-seen[word], word))
    vocabulary = ["", "?", *frequent[: VOCABULARY - 2]]
    number = {word: i for i, word in enumerate(vocabulary)}
    arrays = {"words": vocabulary}
    for part in PARTS:
        x = np.zeros((len(texts[part]), REVIEW), "<u2")
        for row, text in zip(x, texts[part], strict=True):
            tokens = text.split()
            row[: len(tokens)] = [number.get(word, 1) for word in tokens]
        arrays |= {f"{part}-x": x, f"{part}-y": np.array(labels[part], np.uint8)}
    return arrays


CHECKED = ("cifar_pickled", "svhn_files")  # those that compare md5s, so that what they read is the official content
READERS = {reader.__name__: reader
           for reader in (idx_files, cifar_binary, cifar_pickled, svhn_files, class_folders, reviews)}


@dataclass(frozen=True)
class Known:
    """What makes a data set this one: the shape of an example, how many there are, the official content if known."""

    shape: tuple
    names: tuple[str, ...]  # of the classes, by label
    counts: dict  # part: examples of each class, or, where that is not published, of all
    files: re.Pattern  # paths of its files in a folder or an archive
    megabytes: int  # of these at most, unpacked: about twice what the set has, since a .gz may lie beside its file
    readers: tuple[str, ...]  # of READERS
    takes: str  # what `import` takes
    licence: str
    fingerprint: str | None = None  # None: not known to us, so counts are checked, and the archive as it is downloaded
    idx: dict = field(default_factory=dict)  # of MNIST's kind: {part: (official name unpacked, its md5 if known)}

    @property
    def classes(self):
        return len(self.names)

    def total(self, part: str) -> int:
        """Examples in "train" or "test"."""
        counts = self.counts.get(part, 0)
        return counts if isinstance(counts, int) else sum(counts)


def _idx_names(prefix, test, md5=(None,) * 4):
    names = [f"{prefix}{part}-{kind}-ubyte" for part in ("train", test) for kind in ("images-idx3", "labels-idx1")]
    return dict(zip(ARRAYS, zip(names, md5, strict=True), strict=True))


def _idx_paths(prefix, parts):
    return re.compile(rf"(^|/){prefix}({parts})-(images[.-]idx3|labels[.-]idx1)-ubyte(\.gz)?$")


DIGITS = tuple("0123456789")
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
IDX, EMNIST_IDX = _idx_paths("", "train|t10k"), _idx_paths("emnist-byclass-", "train|test")
IDX_TAKES = "the four official files, gzipped or not, in a folder, zip or tar (such as torchvision's)"
CIFAR_TAKES = ("the official archive (Python or binary version), torchvision's folder, or a folder, zip or tar of "
               "train/<class>/*.png and test/<class>/*.png")
FOLDERS = r"(train|test)/[^/]+/[^/.][^/]*\.(?i:png)$"
SETS = {
    "mnist": Known((1, 28, 28), DIGITS, {"train": (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
                                         "test": (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)},
                   IDX, 128, ("idx_files",), IDX_TAKES, "CC BY-SA 3.0", "dc595b1cc85e24236fa48a24475b577c",
                   _idx_names("", "t10k", ("6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624",
                                           "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"))),
    "fashion-mnist": Known((1, 28, 28), ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt",
                                         "Sneaker", "Bag", "Ankle boot"), {"train": (6000,) * 10, "test": (1000,) * 10},
                           IDX, 128, ("idx_files",), IDX_TAKES, "MIT", "ead6a959ebf9c6dd79d25b8cc128e874",
                           _idx_names("", "t10k")),
    "emnist": Known((1, 28, 28), (*DIGITS, *map(str.upper, LETTERS), *LETTERS), {"train": 697_932, "test": 116_323},
                    EMNIST_IDX, 1300, ("idx_files",),
                    "the official archive gzip.zip or torchvision's folder (by class; emnist-letters is another set)",
                    "public domain (NIST)", None, _idx_names("emnist-byclass-", "test")),
    "emnist-letters": Known((1, 28, 28), LETTERS, {"train": (4800,) * 26, "test": (800,) * 26},
                            _idx_paths("emnist-letters-", "train|test"), 256, ("idx_files",),
                            "the official archive gzip.zip, torchvision's folder, or the four files of it, gzipped or "
                            "not, in a folder, zip or tar", "public domain (NIST)", "9e2196f16d80a042182084e69c613135",
                            _idx_names("emnist-letters-", "test")),
    "cifar10": Known((3, 32, 32), CIFAR10_CLASSES, {"train": (5000,) * 10, "test": (1000,) * 10},
                     re.compile(rf"((^|/)(data_batch_\d|test_batch)(\.bin)?$)|{FOLDERS}"), 512,
                     ("cifar_binary", "cifar_pickled", "class_folders"), CIFAR_TAKES, "not stated"),
    "cifar100": Known((3, 32, 32), CIFAR100_CLASSES, {"train": (500,) * 100, "test": (100,) * 100},
                      re.compile(rf"((^|/)(train|test)(\.bin)?$)|{FOLDERS}"), 512,
                      ("cifar_binary", "cifar_pickled", "class_folders"), CIFAR_TAKES, "not stated",
                      "f3336ef5fe5aaeca5696623192158b2e"),
    "svhn": Known((3, 32, 32), DIGITS, {"train": (4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659),
                                        "test": (1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595)},
                  re.compile(rf"((^|/)(train|test)_32x32\.mat$)|{FOLDERS}"), 512, ("svhn_files", "class_folders"),
                  "a folder with train_32x32.mat and test_32x32.mat, or of train/<digit>/*.png and test/<digit>/*.png",
                  "non-commercial use"),
    # a part, enough for out-of-domain images: the first 10,000 of the test set. The fingerprint is of a copy as PNGs,
    # of which four images were compared with another copy, not yet of the official file
    "svhn-test10000": Known((3, 32, 32), DIGITS, {"test": (684, 1968, 1590, 1104, 964, 909, 773, 767, 621, 620)},
                            re.compile(rf"((^|/)test_32x32\.mat$)|{FOLDERS}"), 512, ("svhn_files", "class_folders"),
                            "test_32x32.mat, or a folder, zip or tar of test/<digit>/*.png of its first 10,000",
                            "non-commercial use", "79e66296052f2a59dd7112b7144dc864"),
    "imdb": Known((REVIEW,), ("negative", "positive"), {"train": (12_500,) * 2, "test": (12_500,) * 2},
                  re.compile(r"(train|test)/(neg|pos)/[^/]+\.txt$"), 256, ("reviews",),
                  "the official archive aclImdb_v1.tar.gz, or a folder, zip or tar of {train,test}/{neg,pos}/*.txt",
                  "not stated", "942856f6411989693b07c051aa05b60d"),
}
