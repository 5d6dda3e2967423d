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
from kdlib.catalog import DATA_SETS, TEXT

PARTS = ("train", "test")
ARRAYS = ("train-x", "train-y", "test-x", "test-y")
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")  # of lower-cased text: letters and digits, apostrophes inside a word
WORDS_LIMIT = 1_000_000  # different ones; the training reviews have 75,000 or so
ALIASES = {"plane": "airplane", "car": "automobile"}  # what some copies of CIFAR-10 call its classes
RARE = 10  # a token is in the vocabulary if the training reviews have it so often (paper, A.3)

CIFAR10_BATCHES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}


def torchvision_class(name: str):
    """torchvision's class of a data set, which knows its addresses and checksums."""
    from torchvision import datasets

    return getattr(datasets, FORMS[name].torchvision)


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
    """MNIST's form: idx files, whole or as .gz; None where they are not there."""
    known = FORMS[name]
    arrays = _official(files, known.idx, source,
                       lambda raw, file, md5: _idx(_same(raw, file, md5, source), file, source))
    if arrays is None:
        return None
    if known.on_their_sides:
        arrays |= {part: arrays[part].swapaxes(-2, -1) for part in ("train-x", "test-x")}
    return arrays | {part: arrays[part] - np.uint8(known.first_label) for part in ("train-y", "test-y")}


def cifar_binary(name, files, source):
    """The "binary version": a label (of CIFAR-100 the coarse one, then the fine) and 3072 pixels after each other."""
    batches = {"train": ["train"], "test": ["test"]} if FORMS[name].coarse else CIFAR10_BATCHES
    labels = 2 if FORMS[name].coarse else 1

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
                                                "fine_labels" if FORMS[name].coarse else "labels")
        if len(pixels) != 3072 * len(numbers):
            raise DataError(f"{file} in {source} is not a batch of CIFAR")
        return np.frombuffer(pixels, np.uint8).reshape(-1, 3, 32, 32), np.array(numbers, np.uint8)

    found = _official(files, {file: (file, md5) for files_ in lists.values() for file, md5 in files_}, source, batch)
    if found is None:
        return None
    return {f"{part}-{array}": np.concatenate([found[file][i] for file, _ in lists[part]])
            for part in PARTS for i, array in enumerate("xy")}


def svhn_files(name, files, source):
    """SVHN's form: one file of MATLAB's for each part; None where they are not there."""
    from scipy.io import loadmat

    def digits(raw, file, md5):
        content = loadmat(io.BytesIO(_same(raw, file, md5, source)), variable_names=("X", "y"))
        return content["X"].transpose(3, 2, 0, 1), (content["y"][:, 0] % 10).astype(np.uint8)  # 10 is the digit 0

    known = DATA_SETS[name]
    found = _official(files, {part: tuple(torchvision_class(name).split_list[part][1:]) for part in known.counts},
                      source, digits)
    if found is None:
        return None
    return {f"{part}-{array}": found[part][i][: known.total(part)]  # of a part of the set the first ones
            for part in found for i, array in enumerate("xy")}


def class_folders(name, files, source):
    """`.../train/<class>/*.png` and `.../test/<class>/*.png`: the label is the class's place among the known names."""
    known = DATA_SETS[name]
    chosen = {part: [path for path in files if path.split("/")[-3:-2] == [part]] for part in known.counts}
    if not any(chosen.values()):
        return None
    labels = {label: i for i, label in enumerate(known.names)}
    labels |= {alias: labels[label] for alias, label in ALIASES.items() if label in labels}
    arrays = {}
    for part, paths in chosen.items():
        x, y = np.empty((len(paths), *known.inputs.shape), np.uint8), np.empty(len(paths), np.uint8)
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

    known = DATA_SETS[name].inputs.shape[:0:-1]
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
        texts[part].append(" ".join(tokens[:TEXT.shape[0]]))  # a tenth of what they take as a list
        labels[part].append(label == "pos")
    if not any(texts.values()):
        return None
    frequent = sorted((word for word, n in seen.items() if n >= RARE), key=lambda word: (-seen[word], word))
    vocabulary = ["", "?", *frequent[: TEXT.tokens - 2]]
    number = {word: i for i, word in enumerate(vocabulary)}
    arrays = {"words": vocabulary}
    for part in PARTS:
        x = np.zeros((len(texts[part]), TEXT.shape[0]), "<u2")
        for row, text in zip(x, texts[part], strict=True):
            tokens = text.split()
            row[: len(tokens)] = [number.get(word, 1) for word in tokens]
        arrays |= {f"{part}-x": x, f"{part}-y": np.array(labels[part], np.uint8)}
    return arrays


CHECKED = ("cifar_pickled", "svhn_files")  # those that compare md5s, so that what they read is the official content
READERS = {reader.__name__: reader
           for reader in (idx_files, cifar_binary, cifar_pickled, svhn_files, class_folders, reviews)}


@dataclass(frozen=True)
class Forms:
    """The forms that a data set comes in."""

    torchvision: str  # its class there; of a root of torchvision's, the folder
    files: re.Pattern  # paths of its files in a folder or an archive
    megabytes: int  # of these at most, unpacked: about twice what the set has, since a .gz may lie beside its file
    readers: tuple[str, ...]  # of READERS
    takes: str  # what `import` takes
    idx: dict = field(default_factory=dict)  # of MNIST's kind: {part: (official name unpacked, its md5 if known)}
    on_their_sides: bool = False  # the images in these
    first_label: int = 0  # in these
    coarse: bool = False  # of CIFAR's kind: each label follows that of a coarser class, and a part is one file


def _idx_names(prefix, test, md5=(None,) * 4):
    names = [f"{prefix}{part}-{kind}-ubyte" for part in ("train", test) for kind in ("images-idx3", "labels-idx1")]
    return dict(zip(ARRAYS, zip(names, md5, strict=True), strict=True))


def _idx_paths(prefix, parts):
    return re.compile(rf"(^|/){prefix}({parts})-(images[.-]idx3|labels[.-]idx1)-ubyte(\.gz)?$")


IDX = _idx_paths("", "train|t10k")
IDX_TAKES = "the four official files, gzipped or not, in a folder, zip or tar (such as torchvision's)"
CIFAR_TAKES = ("the official archive (Python or binary version), torchvision's folder, or a folder, zip or tar of "
               "train/<class>/*.png and test/<class>/*.png")
CIFAR = ("cifar_binary", "cifar_pickled", "class_folders")
FOLDERS = r"(train|test)/[^/]+/[^/.][^/]*\.(?i:png)$"
FORMS = {
    "mnist": Forms("MNIST", IDX, 128, ("idx_files",), IDX_TAKES,
                   _idx_names("", "t10k", ("6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624",
                                           "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"))),
    "fashion-mnist": Forms("FashionMNIST", IDX, 128, ("idx_files",), IDX_TAKES, _idx_names("", "t10k")),
    "emnist": Forms("EMNIST", _idx_paths("emnist-byclass-", "train|test"), 1300, ("idx_files",),
                    "the official archive gzip.zip or torchvision's folder (by class; emnist-letters is another set)",
                    _idx_names("emnist-byclass-", "test"), on_their_sides=True),
    "emnist-letters": Forms("EMNIST", _idx_paths("emnist-letters-", "train|test"), 256, ("idx_files",),
                            "the official archive gzip.zip, torchvision's folder, or the four files of it, gzipped or "
                            "not, in a folder, zip or tar",
                            _idx_names("emnist-letters-", "test"), on_their_sides=True, first_label=1),
    "cifar10": Forms("CIFAR10", re.compile(rf"((^|/)(data_batch_\d|test_batch)(\.bin)?$)|{FOLDERS}"), 512, CIFAR,
                     CIFAR_TAKES),
    "cifar100": Forms("CIFAR100", re.compile(rf"((^|/)(train|test)(\.bin)?$)|{FOLDERS}"), 512, CIFAR, CIFAR_TAKES,
                      coarse=True),
    "svhn": Forms("SVHN", re.compile(rf"((^|/)(train|test)_32x32\.mat$)|{FOLDERS}"), 512,
                  ("svhn_files", "class_folders"), "a folder with train_32x32.mat and test_32x32.mat, or of "
                  "train/<digit>/*.png and test/<digit>/*.png"),
    "svhn-test10000": Forms("SVHN", re.compile(rf"((^|/)test_32x32\.mat$)|{FOLDERS}"), 512,
                            ("svhn_files", "class_folders"), "test_32x32.mat, or a folder, zip or tar of "
                            "test/<digit>/*.png of its first 10,000"),
    "imdb": Forms("", re.compile(r"(train|test)/(neg|pos)/[^/]+\.txt$"), 256, ("reviews",),
                  "the official archive aclImdb_v1.tar.gz, or a folder, zip or tar of {train,test}/{neg,pos}/*.txt"),
}
# any other set on disk comes in class folders
FORMS |= {name: Forms("", re.compile(FOLDERS), 512, ("class_folders",),
                      "a folder, zip or tar of train/<class>/*.png and test/<class>/*.png")
          for name, known in DATA_SETS.items() if name not in FORMS and known.counts and not known.inputs.files}
