"""A data set of one's own: images of any classes, number and size, found in class folders or arrays, and stored.

What is found out, shape, classes and fingerprint, is noted with it; `catalog.data_set` then knows it by its name.
"""

import io
import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from kdlib.catalog import DATA_SETS, NAME
from kdlib.data import archives, stored
from kdlib.data.archives import DataError
from kdlib.data.readers import CALLED, FORMATS, IMAGE, PARTS, images, in_folders, opened

LIMIT = 4 << 30  # bytes of files, and of pixels
SIDES = range(8, 513)  # pixels
INPUTS, LABELS = ("x", "images", "image", "data"), ("y", "labels", "label", "targets")
SHARE = 5  # one of so many is tested on, of each class, where nothing is said
TAKES = ("a folder, zip or tar of train/<class>/<image> and test/<class>/<image>, or of <class>/<image> alone, or an "
         ".npz with x_train, y_train, x_test and y_test, or with x and y")


def import_new(name: str, source: Path) -> str:
    """Store a set of one's own under a new name; a sentence says what was found. Grey images become colour images of
    three equal channels. DataError on what is no such set; what was stored before is then still there."""
    if name in DATA_SETS:
        raise DataError(f"{name} is a data set that kdlib knows: import it without --new, or choose another name")
    if not NAME.fullmatch(name):
        raise DataError(f"a data set's name is made of small letters, digits, - and _, 40 at most (got {name!r})")
    source = Path(source)
    files = archives.read(source, lambda path: path.endswith(".npy") or IMAGE.search(path), LIMIT)
    arrays = {path.split("/")[-1].removesuffix(".npy"): raw for path, raw in files.items() if path.endswith(".npy")}
    found, names = _of_arrays(arrays, source) if arrays else _of_folders(files, source)
    del files, arrays
    if missing := sorted(set(range(len(names))) - set(found["train"][1].tolist())):
        raise DataError(f"{source} has no training image of class {names[missing[0]]}")
    if len(names) < 2:
        raise DataError(f"{source} has images of one class only")
    said = ""
    if "test" not in found:
        found, said = _apart(*found["train"], source), f"; one of {SHARE} of each class is tested on"
    found = {part: stored.canonical(x, y.astype(np.uint16 if len(names) > 256 else np.uint8))
             for part, (x, y) in found.items()}
    try:
        before = stored.info(name)["fingerprint"]
    except DataError:
        before = None
    stored.keep(name, {f"{part}-{kind}": values for part, pair in found.items()
                       for kind, values in zip("xy", pair, strict=True)}, "a copy of your own", classes=names)
    now = stored.info(name)["fingerprint"]
    if before not in (None, now):
        said += f"; it takes the place of other content, fingerprint {before}"
    (x, _), (test_x, _) = found["train"], found["test"]
    return (f"{name} is stored: {len(x):,} training and {len(test_x):,} test images {list(x.shape[1:])} of "
            f"{len(names)} classes ({', '.join(names[:10])}{', …' * (len(names) > 10)}), fingerprint {now}{said}")


def _parts(found, source):
    """{part: what was found} of train and test: a validation part is tested on where there is no other."""
    if "train" not in found:
        raise DataError(f"{source} has a {' and a '.join(found)} part and none that is called train")
    tested = found.get("test") or found.get("val")
    return {"train": found["train"]} | ({"test": tested} if tested else {})


def _of_folders(files, source):
    """({part: (images, labels)}, names of the classes)."""
    found = in_folders(files)
    bare = found.pop("", [])
    found = _parts(found, source) if found else {"train": bare}
    if not found["train"]:
        raise DataError(f"there are no class folders in {source}; `kdlib data import NAME PATH --new` takes {TAKES}")
    names = sorted({label for label, _ in found["train"]})
    if other := sorted({label for rows in found.values() for label, _ in rows} - set(names)):
        raise DataError(f"{source} has test images of class {other[0]}, and no training images of it")
    first = found["train"][0][1]
    size = opened(io.BytesIO(files[first]), f"{first} in {source}", FORMATS).size
    _shape(*size[::-1], sum(map(len, found.values())), source)
    return {part: (images(files, [path for _, path in rows], source, size),
                   np.array([names.index(label) for label, _ in rows])) for part, rows in found.items()}, names


def _shape(height, width, n, source):
    """That of n images of colour."""
    if not (height in SIDES and width in SIDES):
        raise DataError(f"{source} has images of {width} x {height} pixels: sides must have {SIDES[0]} to {SIDES[-1]}")
    if n * 3 * height * width > LIMIT:
        raise DataError(f"{source} has more than {LIMIT >> 20:,} MB of pixels: make the images smaller")
    return 3, height, width


def _of_arrays(files, source):
    """The same of arrays by name."""
    found, names = defaultdict(dict), None
    for name, raw in files.items():
        try:
            values = np.load(io.BytesIO(raw), allow_pickle=False)
        except (ValueError, EOFError, OSError, MemoryError) as error:
            raise DataError(f"{name} in {source} is damaged, or is no array of numbers ({error})") from None
        words = [word for word in re.split("[^a-z]+", name.lower()) if word]
        part = next((CALLED.get(word, word) for word in words if word in (*PARTS, *CALLED)), "")
        for kind, known in (("x", INPUTS), ("y", LABELS)):
            if any(word in known for word in words):
                found[part][kind] = values
        if words in (["classes"], ["names"], ["class", "names"]):
            names = list(map(str, values.tolist()))
    parts = _parts(found, source) if "" not in found else {"train": found[""]}
    if any(set(pair) != {"x", "y"} for pair in parts.values()):
        raise DataError(f"{source} has arrays {', '.join(sorted(files))}; `kdlib data import NAME PATH --new` takes "
                        + TAKES)
    labels = {part: _labels(pair["y"], len(pair["x"]), source) for part, pair in parts.items()}
    highest = max(int(y.max(initial=0)) for y in labels.values())
    names = names or list(map(str, range(highest + 1)))
    if highest >= len(names):
        raise DataError(f"{source} has label {highest}, and names of {len(names)} classes")
    x = {part: _pixels(pair["x"], source) for part, pair in parts.items()}
    if len({values.shape[1:] for values in x.values()}) > 1:
        raise DataError(f"{source} has training images {list(x['train'].shape[1:])} and test images of another size")
    return {part: (x[part], labels[part]) for part in parts}, names


def _labels(y, n, source):
    """int64 [n] of labels [n] or [n, 1]."""
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.shape != (n,) or y.dtype.kind not in "iu" or not 0 <= y.min(initial=0) <= y.max(initial=0) < 65_536:
        raise DataError(f"{source} has labels {y.dtype} {list(y.shape)} for {n} images: give whole numbers from 0")
    return y.astype(np.int64)


def _pixels(x, source):
    """uint8 [n, 3, h, w] of images [n, h, w], [n, h, w, channels] or [n, channels, h, w], grey ones repeated."""
    shape = x.shape
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[-1] in (1, 3):
        x = x.transpose(0, 3, 1, 2)
    if x.ndim != 4 or x.shape[1] not in (1, 3) or not len(x):
        raise DataError(f"{source} has inputs {list(shape)}, which are no images [n, h, w] or [n, h, w, channels] of 1 "
                        "or 3 channels")
    three = _shape(*x.shape[2:], len(x), source)
    if x.dtype.kind == "f" and x.min() >= 0 and x.max() <= 1:
        x = np.round(x * 255)
    if x.dtype.kind not in "iuf" or not (x.min() >= 0 and x.max() <= 255 and (x == np.floor(x)).all()):
        raise DataError(f"{source} has pixels of {x.dtype}, neither whole numbers from 0 to 255 nor shares from 0 to 1")
    return np.broadcast_to(x.astype(np.uint8), (len(x), *three))


def _apart(x, y, source):
    """{part: (images, labels)}: of each class one of `SHARE`, by content, is tested on."""
    x, y = stored.canonical(x, y)
    rank = np.concatenate([np.arange(n) for n in np.bincount(y)])
    tested = rank % SHARE == 1
    if (np.bincount(y[tested], minlength=int(y.max()) + 1) == 0).any():
        raise DataError(f"{source} has a class of a single image, and no test part: one is trained on, one tested on")
    return {"train": (x[~tested], y[~tested]), "test": (x[tested], y[tested])}
