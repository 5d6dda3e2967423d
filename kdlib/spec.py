"""What a run is: frozen, validated, hashable values. A student's spec contains its teachers' specs."""

import functools
import hashlib
import json
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

# Raise this number whenever a change to the code changes results: every key changes with it.
RESULTS_VERSION = 3

def added(default):
    """A field added after runs were recorded: left out where it is neutral, so that their keys stay. Its default must
    never change without a new RESULTS_VERSION."""
    return Field(default=default, exclude_if=lambda value: value == default)


# abs: -0.0 equals 0.0, so it must have the same key
Share = Annotated[float, Field(ge=0, le=1), AfterValidator(abs)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(abs)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Size = Annotated[int, Field(ge=1, le=10_000_000)]  # of a data set held in memory
Extra = Annotated[int, Field(ge=0, le=10_000_000)]  # unlabelled inputs
Index = Annotated[int, Field(ge=0)]

Policy = Literal["baseline", "shift", "scale", "jitter", "rotation", "vflip", "colour", "combined", "mixup", "noise",
                 "ood", "fresh", "gan"]

# what a data set's inputs are, and how many classes it has
SIGNAL, DIGIT, COLOUR, SMALL = "signals [1, 40]", "images [1, 28, 28]", "images [3, 32, 32]", "images [3, 16, 16]"
TEXT, PHOTO = "reviews of 100 tokens", "images [3, 224, 224]"
DATA_SETS = {"mnist1d": (SIGNAL, 10), "mnist1d-easy": (SIGNAL, 10), "mnist": (DIGIT, 10), "fashion-mnist": (DIGIT, 10),
             "cifar10": (COLOUR, 10), "cifar100": (COLOUR, 100), "cifar100-16": (SMALL, 100), "imdb": (TEXT, 2),
             "imagenet": (PHOTO, 1000)}
VOCABULARY = 20_526  # of the reviews: the padding 0, any other token 1, and those seen ten times or more
DataSet = Literal[tuple(DATA_SETS)]
# the policies that each kind of inputs has, besides the baseline
POLICIES = {SIGNAL: ("shift", "scale", "jitter", "combined", "mixup", "noise", "ood", "fresh"), DIGIT: (), TEXT: (),
            PHOTO: ()} | dict.fromkeys((COLOUR, SMALL), ("rotation", "vflip", "colour", "combined", "mixup", "noise",
                                                        "ood", "fresh", "gan"))

# nets of a fixed shape by what they take; the families of any depth and width are read from their names
NETS = {"mlp": (SIGNAL,), "resnet1d-bn": (SIGNAL,), "resnet1d-ln": (SIGNAL,), "lenet5": (DIGIT,),
        "resnet50": (PHOTO,), "lstm": (TEXT,), "lstm-small": (TEXT,)}
CNN_NAME = re.compile(r"cnn1d(-w(?P<width>\d{1,4}))?")
RESNET_NAME = re.compile(r"resnet(?P<depth>\d{1,4})-(?P<norm>bn|ln|gn)(-w(?P<width>\d{1,4}))?")
VGG_NAME = re.compile(r"vgg(?P<layers>11|16)(-w(?P<width>\d{1,4}))?")


def _net(name: str) -> str:
    resnet = RESNET_NAME.fullmatch(name)
    deep = resnet and int(resnet["depth"]) in range(8, 10_000, 6)
    if name in NETS or deep or CNN_NAME.fullmatch(name) or VGG_NAME.fullmatch(name):
        return name
    raise ValueError(f"there is no net {name!r}; there are {', '.join(NETS)}, cnn1d, vgg11, vgg16, resnetN-bn, -ln and "
                     "-gn of N = 6n + 2 layers, and the last four with another first width, as in resnet8-bn-w32")


Architecture = Annotated[str, AfterValidator(_net)]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @property
    def key(self) -> str:
        """The content address of this spec: 24 hex digits."""
        return _key(self)


@functools.lru_cache(maxsize=100_000)  # by value, so that a changed copy never inherits a key
def _key(spec) -> str:
    text = json.dumps([RESULTS_VERSION, spec.model_dump(mode="json")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


class Data(Frozen):
    """A draw of a data set: which one, which trial's draw, how many labelled training examples.

    `split`: the number of a draw that trials share, of sets that are not drawn without end. They then differ in
    weights, order and augmentation alone, as in the official code, and a teacher of another trial is independent."""

    name: DataSet = "mnist1d"
    trial: Index
    train: Size
    test: Size
    split: Index | None = added(None)

    @model_validator(mode="after")
    def _can_be_shared(self):
        if self.split is not None and DATA_SETS[self.name][0] == SIGNAL:
            raise ValueError("a split is of a set that is not drawn without end; every trial of signals has its own")
        return self


class Training(Frozen):
    """One optimisation: linear warm-up to `lr`, then cosine to `final_lr` at `steps`, wherever it starts from."""

    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: Positive = 1e-2
    final_lr: NotNegative = added(0.0)
    warmup: Index = added(0)  # steps
    nesterov: bool = added(True)  # of SGD, whose momentum is 0.9
    weight_decay: NotNegative = 1e-3
    batch: Count = 50
    steps: Count

    @model_validator(mode="after")
    def _warm_up_ends(self):
        if self.warmup >= self.steps:
            raise ValueError(f"warmup must be shorter than the {self.steps} steps (got {self.warmup})")
        return self


# of initial weights: PyTorch's own, or the official code's, N(0, 2 / (k^2 x filters out)) for every convolution (He et
# al., 2015, by fan-out)
Draw = Literal["torch", "he-fan-out"]


class Teacher(Frozen):
    """A net trained on labels. `member` tells the members of one trial's pool apart."""

    kind: Literal["teacher"] = "teacher"
    data: Data
    model: Architecture
    training: Training
    member: Index
    draw: Draw = added("torch")

    @model_validator(mode="after")
    def _fits(self):
        _fits(self.model, self.data)
        return self


def _fits(model, data):
    takes = (SIGNAL,) if CNN_NAME.fullmatch(model) else NETS.get(model, (COLOUR, SMALL))
    inputs = DATA_SETS[data.name][0]
    if inputs not in takes:
        raise ValueError(f"{model} takes {' or '.join(takes)}, and {data.name} has {inputs}")


def _drawn(data: Data):
    """What decides which examples there are."""
    return data if data.split is None else data.model_dump(exclude={"trial"})


class Generator(Frozen):
    """An SN-GAN of a teacher's training images (paper, A.2). `judge` is the classifier whose features and classes
    measure its samples, where Inception's are not at hand."""

    kind: Literal["generator"] = "generator"
    data: Data
    judge: Teacher
    width: Annotated[int, Field(ge=2)]  # filters of the generator; the discriminator has half as many
    latent: Count = 128
    steps: Count  # of the generator
    discriminator_steps: Count = 5  # to each of them
    batch: Count = 128
    lr: Positive = 2e-4  # falls linearly to
    final_lr: NotNegative = 1e-6

    @model_validator(mode="after")
    def _images(self):
        if DATA_SETS[self.data.name][0] not in (COLOUR, SMALL) or self.judge.data != self.data:
            raise ValueError("a generator and its judge are trained on the same colour images")
        return self


class Student(Frozen):
    """A net distilled from one teacher, or from an ensemble (log of the members' mean probability).

    `foil` is an independently trained teacher (or ensemble) of the same trial that the student never
    sees: agreement with it is the independent-student baseline (paper, section 3.2).
    """

    kind: Literal["student"] = "student"
    teachers: Annotated[tuple[Teacher, ...], Field(min_length=1)]
    foil: tuple[Teacher, ...] = ()
    inputs: Literal["D0", "D1"] = "D0"  # D0: what the teacher was trained on; D1: as many new ones
    fresh: Extra = 0  # further unlabelled inputs from the data's own distribution
    copies: Annotated[int, Field(ge=0, le=100)] = 0  # random affine copies of every input (grey images)
    related: Extra = added(0)  # images of EMNIST added to those of MNIST
    generator: Generator | None = added(None)
    generated: Extra = added(0)  # images drawn from the generator, added to the set
    policy: Policy = "baseline"
    temperature: Positive = 1.0
    alpha: Share = 0.0
    start: Literal["random", "teacher-initial"] = "random"
    toward_teacher: Share = 0.0  # lambda of Fig 6b: start = lambda * teacher + (1 - lambda) * start
    model: Architecture
    training: Training
    draw: Draw = added("torch")

    @model_validator(mode="after")
    def _consistent(self):
        if any(t.data != self.data for t in self.teachers) or any(_drawn(t.data) != _drawn(self.data)
                                                                  for t in self.foil):
            raise ValueError("all teachers of one student share one trial's data")
        if set(self.teachers) & set(self.foil):
            raise ValueError("a foil is a teacher the student never sees: it cannot be one of its teachers")
        more = self.fresh or self.copies or self.related or self.generated
        if self.alpha > 0 and (self.inputs != "D0" or more or self.policy != "baseline"):
            raise ValueError("alpha > 0 needs true labels, which only the teacher's own data D0 has")
        _fits(self.model, self.data)
        inputs = DATA_SETS[self.data.name][0]
        if self.policy != "baseline" and self.policy not in POLICIES[inputs]:
            raise ValueError(f"policy {self.policy} is not one for {inputs}")
        if self.copies and inputs != DIGIT:
            raise ValueError("affine copies are of grey images; of other data more are drawn: use fresh")
        if self.related and self.data.name != "mnist":
            raise ValueError("related images, EMNIST's, are for mnist only")
        if bool(self.generator) != bool(self.generated or self.policy == "gan"):
            raise ValueError("a generator goes with generated images or policy gan, and these with a generator")
        if self.generator and self.generator.data != self.data:
            raise ValueError("the generator is trained on the teachers' own images")
        near = self.toward_teacher > 0 or self.start != "random"
        if near and (len(self.teachers) != 1 or self.model != self.teachers[0].model):
            raise ValueError("starting from a teacher needs one teacher of the student's own architecture")
        return self

    @property
    def data(self) -> Data:
        return self.teachers[0].data


class Surface(Frozen):
    """The distillation loss around one student: on the segment to its teacher and on a plane (Fig 6c)."""

    kind: Literal["surface"] = "surface"
    student: Student
    grid: Index = 0  # points per side of the plane; 0: the segment only
    segment: Annotated[int, Field(ge=2)] = 21

    @model_validator(mode="after")
    def _weights_alone(self):
        if self.student.model.endswith("-bn"):
            raise ValueError("a surface needs a net without BatchNorm, whose running moments are not weights")
        return self


class Labels(Frozen):
    """What a teacher (or an ensemble) tells its students: its predictive distributions on training and test inputs
    (Fig 8). `show` examples of each are kept whole."""

    kind: Literal["labels"] = "labels"
    teachers: Annotated[tuple[Teacher, ...], Field(min_length=1)]
    temperatures: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1.0, 4.0)
    show: Annotated[int, Field(ge=1, le=20)] = 4

    @model_validator(mode="after")
    def _of_one_trial(self):
        if any(t.data != self.teachers[0].data for t in self.teachers):
            raise ValueError("all teachers of an ensemble share one trial's data")
        return self


class Defects(Frozen):
    """What the official code's formulas make of one student: its metrics right and wrong, side by side."""

    kind: Literal["defects"] = "defects"
    student: Student
    batch: Count = 128  # test inputs evaluated at a time there


Spec = Annotated[Teacher | Generator | Student | Surface | Labels | Defects, Field(discriminator="kind")]


def needs(spec) -> tuple:
    """The runs that must exist before this one."""
    if spec.kind == "teacher":
        return ()
    if spec.kind == "generator":
        return (spec.judge,)
    if spec.kind in ("surface", "defects"):
        return (spec.student,)
    if spec.kind == "labels":
        return spec.teachers
    return spec.teachers + spec.foil + ((spec.generator,) if spec.generator else ())
