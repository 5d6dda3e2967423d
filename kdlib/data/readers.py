"""The forms that data sets come in: from the files of a folder or an archive to arrays.

What a form reads is "train-x", "train-y", "test-x" and "test-y", or None if there are no files of it. DataError names a
damaged, missing or wrong file.
"""

import hashlib
import io
import math
import pickletools
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from kdlib.catalog import TEXT, DataSet
from kdlib.data.archives import DataError

PARTS = ("train", "test")
ARRAYS = ("train-x", "train-y", "test-x", "test-y")
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")  # of lower-cased text: letters and digits, apostrophes inside a word
WORDS_LIMIT = 1_000_000  # different ones; the training reviews have 75,000 or so
RARE = 10  # a token is in the vocabulary if the training reviews have it so often (paper, A.3)
PIXELS = 100_000_000  # of an image at most
CIFAR10_BATCHES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}


@dataclass(frozen=True)
class Form:
    """A form that data sets come in; what the functions get besides are the set and its options of this form."""

    takes: str  # of what files
    wants: Callable  # (set, path) -> whether it is one of these
    read: Callable  # (set, {path: content}, where they are from) -> arrays, or None
    official: bool = False  # md5s are compared, so that what it reads is the official content


def official(takes: str, names: Callable, read: Callable, md5: Callable, checked: bool = False) -> Form:
    """The form of official files. `names(set)` gives {array or part: their names}, several where they follow each
    other; `read(content, name, set)` what is in one: {"": an array} or {"-x": inputs, "-y": labels}; `md5(set)` (name,
    md5) of those whose md5 is known, of all if `checked`.
    """
    def wants(known, path, **options):
        return any(_name(path) in some for some in names(known, **options).values())

    def arrays(known, files, source, **options):
        wanted, there = names(known, **options), defaultdict(list)
        for path, content in files.items():
            there[_name(path)].append(content)
        missing = [name for some in wanted.values() for name in some if name not in there]
        if len(missing) == sum(map(len, wanted.values())):
            return None
        if missing:
            raise DataError(f"{missing[0]} is not in {source}, other files of the set are: it takes all of them")
        md5s, found = dict(md5(known, **options)), {}
        for key, some in wanted.items():
            parts = [_first(there[name], name, md5s.get(name), source, partial(read, known=known, **options))
                     for name in some]
            found |= {f"{key}{kind}": np.concatenate([part[kind] for part in parts]) for kind in parts[0]}
        return found

    return Form(takes, wants, arrays, checked)


def _first(contents, name, md5, source, read):
    """What is in the first of the files of a name that is one: there may be several, gzipped and not, another set's."""
    for content in contents:
        try:
            if md5 and hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
                raise DataError(f"{name} in {source} is not the official file (its md5 differs): get it again")
            return read(content, f"{name} in {source}")
        except DataError as error:
            last = error
    raise last


def _name(path):
    """A file's official name: some copies are called train-images.idx3-ubyte."""
    return path.split("/")[-1].removesuffix(".gz").replace(".idx", "-idx")


def torchvision_class(known: DataSet):
    """torchvision's class of a data set, which knows its addresses and checksums."""
    from torchvision import datasets

    return getattr(datasets, known.torchvision)


def _idx_names(known, prefix="", test="t10k", **_):
    names = [f"{prefix}{part}-{kind}-ubyte" for part in ("train", test) for kind in ("images-idx3", "labels-idx1")]
    return {array: [name] for array, name in zip(ARRAYS, names, strict=True)}


def _idx_md5(known, md5=(), **options):
    return zip((name for name, in _idx_names(known, **options).values()), md5, strict=False)


def _idx(raw, where, known, first_label=0, sideways=False, **_):
    """The array in a file of MNIST's: two zero bytes, the type, the number of sizes, the sizes, the values."""
    sizes = tuple(np.frombuffer(raw, ">u4", raw[3], 4)) if len(raw) >= 16 and raw[:3] == b"\0\0\x08" else ()
    if len(raw) != 4 + 4 * len(sizes) + math.prod(map(int, sizes)) or len(sizes) not in (1, 3):
        raise DataError(f"{where} is damaged or cut off: get it again")
    values = np.frombuffer(raw, np.uint8, offset=4 + 4 * len(sizes)).reshape(sizes)
    if len(sizes) == 1:
        return {"": values - np.uint8(first_label)}
    return {"": (values.swapaxes(1, 2) if sideways else values)[:, None]}


def _cifar_names(known, coarse=False, ending=""):
    batches = {part: [part] for part in PARTS} if coarse else CIFAR10_BATCHES
    return {part: [name + ending for name in names] for part, names in batches.items()}


def _cifar_binary(raw, where, known, coarse=False):
    """A label (of CIFAR-100 the coarse one, then the fine) and the pixels, after each other."""
    labels, size = 1 + coarse, math.prod(known.inputs.shape)
    if len(raw) % (labels + size):
        raise DataError(f"{where} is cut off: get it again")
    rows = np.frombuffer(raw, np.uint8).reshape(-1, labels + size)
    return {"-x": rows[:, labels:].reshape(-1, *known.inputs.shape), "-y": rows[:, labels - 1]}


def _cifar_md5(known, coarse=False):
    return torchvision_class(known).train_list + torchvision_class(known).test_list


def _cifar_pickled(raw, where, known, coarse=False):
    """torchvision's form, never executed."""
    try:
        pixels, labels = read_pickled(raw, "fine_labels" if coarse else "labels")
        x = np.frombuffer(pixels, np.uint8).reshape(len(labels), *known.inputs.shape)
    except ValueError as error:
        raise DataError(f"{where} is not a batch of CIFAR ({error})") from None
    return {"-x": x, "-y": np.array(labels, np.uint8)}


def read_pickled(raw: bytes, labels: str) -> tuple[bytes, list[int]]:
    """(the longest string in a pickle, the whole numbers that follow the string `labels`): what a batch of CIFAR's
    Python version needs. The opcodes are read as text is, not executed. ValueError where these are none."""
    longest, numbers, key = "", [], None
    for opcode, value, _ in pickletools.genops(raw):
        if opcode.name in ("BININT1", "BININT2", "BININT") and key == labels:
            numbers.append(value)
        elif hasattr(value, "encode") or hasattr(value, "decode"):
            key = value if hasattr(value, "encode") else value.decode("latin-1")
            longest = max(longest, key, key=len)
    return longest.encode("latin-1", "replace"), numbers


def _svhn_names(known):
    return {part: [f"{part}_32x32.mat"] for part in known.counts}


def _svhn_md5(known):
    return (split[1:] for split in torchvision_class(known).split_list.values())


def _svhn(raw, where, known):
    """A file of MATLAB's for each part; of a set that is a part of it, its first examples."""
    from scipy.io import loadmat

    content = loadmat(io.BytesIO(raw), variable_names=("X", "y"))
    total = max(map(known.total, known.counts)) if len(known.counts) == 1 else None
    return {"-x": content["X"].transpose(3, 2, 0, 1)[:total],
            "-y": (content["y"][:total, 0] % 10).astype(np.uint8)}  # 10 is the digit 0


IMAGE = re.compile(r"(^|/)[^/]+/[^/.][^/]*\.(png|jpe?g|bmp|gif|tiff?|webp)$", re.I)
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
CALLED = {"training": "train", "testing": "test", "val": "val", "valid": "val", "validation": "val"}  # by others


def in_folders(files: dict) -> dict[str, list[tuple[str, str]]]:
    """{part: [(class, path)]} of `.../<part>/<class>/<image>`, in capitals or not; "" of what is in no part."""
    found = defaultdict(list)
    for path in files:
        *above, label, _ = ("", *path.split("/"))
        part = above[-1].lower() if above else ""
        part = CALLED.get(part, part)
        found[part if part in (*PARTS, "val") else ""].append((label, path))
    return found


def images(files: dict, paths: list[str], source, size: tuple[int, int], formats=FORMATS) -> np.ndarray:
    """uint8 [n, 3, h, w] of image files, each of that (w, h); DataError names one that is not, or is damaged."""
    x = np.empty((len(paths), 3, *size[::-1]), np.uint8)
    for i, path in enumerate(paths):
        x[i] = np.asarray(opened(io.BytesIO(files[path]), f"{path} in {source}", formats, size)).transpose(2, 0, 1)
    return x


def class_folders(known: DataSet, files: dict, source) -> dict | None:
    """`.../train/<class>/*.png` and `.../test/<class>/*.png`: the label is the class's place among the known names,
    whatever the case of its letters. Other formats of images lose pixels."""
    found = in_folders(files)
    if not any(found[part] for part in known.counts):
        return None
    arrays = {}
    for part in known.counts:
        arrays[f"{part}-y"] = np.array([_label(known, label, source) for label, _ in found[part]], np.uint8)
        paths = [path for _, path in found[part]]
        arrays[f"{part}-x"] = images(files, paths, source, known.inputs.shape[:0:-1], ("PNG",))
    return arrays


def _label(known, folder, source):
    called = folder.lower().replace(" ", "_")
    called = known.aliases.get(called, called)
    for i, name in enumerate(known.names):
        if called == name.lower():
            return i
    names = ", ".join(known.names[:10]) + ", …" * (known.classes > 10)
    raise DataError(f"{source} has a class folder {folder!r}, and the classes are {names}: rename it to the class that "
                    "is in it")


def opened(file, where, formats: tuple[str, ...], size: tuple[int, int] | None = None):
    """An image file as PIL's image, in colour; DataError if it is none, of another (w, h) than `size`, or has more than
    `PIXELS`: what it claims is looked at before it is decoded."""
    from PIL import Image

    try:
        with Image.open(file, formats=formats) as picture:
            if size and picture.size != size:
                raise DataError(f"{where} has {picture.size} pixels, and images of this set have {size}")
            if picture.width * picture.height > PIXELS:
                raise Image.DecompressionBombError
            return picture.convert("RGB")
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise DataError(f"{where} claims to have more than {PIXELS:,} pixels: it is not read") from None
    except Exception as error:  # PIL raises about anything on a malformed file
        raise DataError(f"{where} cannot be read, it is damaged ({error}): get it again") from None


REVIEW = re.compile(r"(^|/)(train|test)/(neg|pos)/[^/]+\.txt$", re.I)


def reviews(known: DataSet, files: dict, source) -> dict | None:
    """`.../{train,test}/{neg,pos}/*.txt`: the first 100 tokens of a review, 0 where it is shorter; labels 0 and 1."""
    texts, labels, seen = {part: [] for part in PARTS}, {part: [] for part in PARTS}, Counter()
    for path, raw in files.items():
        part = path.lower().split("/")[-3]
        tokens = WORD.findall(raw.decode("utf-8", "replace").lower().replace("<br />", " "))
        if part == "train":
            seen.update(tokens)
            if len(seen) > WORDS_LIMIT:
                raise DataError(f"{source} has more than {WORDS_LIMIT:,} different words: these are not reviews")
        texts[part].append(" ".join(tokens[:TEXT.shape[0]]))  # a tenth of what they take as a list
        labels[part].append(_label(known, path.split("/")[-2], source))
    if not files:
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


FORMS = {
    "idx files": official("the four official files, gzipped or not", _idx_names, _idx, _idx_md5),
    "cifar binary": official("the official binary version", partial(_cifar_names, ending=".bin"), _cifar_binary,
                             lambda known, **_: ()),
    "cifar pickled": official("the official Python version", _cifar_names, _cifar_pickled, _cifar_md5,
                              checked=True),
    "svhn files": official("the official .mat files", _svhn_names, _svhn, _svhn_md5, checked=True),
    "class folders": Form("train/<class>/*.png and test/<class>/*.png", lambda known, path: path[-4:].lower() == ".png"
                          and IMAGE.search(path), class_folders),
    "reviews": Form("{train,test}/{neg,pos}/*.txt", lambda known, path: REVIEW.search(path), reviews),
}


def takes(known: DataSet) -> str:
    """What a set is imported from, for a sentence."""
    return ("the official archive, torchvision's folder, or " * bool(known.torchvision) + "a folder, zip or tar of "
            + " or of ".join(FORMS[form].takes for form in known.forms))
