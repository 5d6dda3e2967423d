"""What a run is: frozen, validated, hashable values. A student's spec contains its teachers' specs."""

import functools
import hashlib
import json
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

# Raise this number whenever a change to the code changes results: every key changes with it.
RESULTS_VERSION = 3

# abs: -0.0 equals 0.0, so it must have the same key
Share = Annotated[float, Field(ge=0, le=1), AfterValidator(abs)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Size = Annotated[int, Field(ge=1, le=10_000_000)]  # of a data set held in memory
Index = Annotated[int, Field(ge=0)]

Policy = Literal["baseline", "shift", "scale", "jitter", "combined", "mixup", "noise", "ood", "fresh", "crop-flip"]
# what a data set's inputs are, and what each net and policy can be given
SIGNAL, DIGIT, COLOUR = "signals [1, 40]", "images [1, 28, 28]", "images [3, 32, 32]"
INPUTS = {"mnist1d": SIGNAL, "mnist1d-easy": SIGNAL, "mnist": DIGIT}
TAKES = {"cnn1d": SIGNAL, "mlp": SIGNAL, "resnet1d-bn": SIGNAL, "resnet1d-ln": SIGNAL, "lenet5": DIGIT,
         "resnet8-bn": COLOUR, "resnet20-bn": COLOUR}

Architecture = Literal["cnn1d", "mlp", "resnet1d-bn", "resnet1d-ln", "lenet5", "resnet8-bn", "resnet20-bn"]


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
    """A draw of a data set: which one, which trial's draw, how many labelled training examples."""

    name: Literal["mnist1d", "mnist1d-easy", "mnist"] = "mnist1d"
    trial: Index
    train: Size
    test: Size


class Training(Frozen):
    """One optimisation: cosine from `lr` to 0 over `steps` batches, decoupled from where it starts."""

    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: Positive = 1e-2
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(abs)] = 1e-3
    batch: Count = 50
    steps: Count


class Teacher(Frozen):
    """A net trained on labels. `member` tells the members of one trial's pool apart."""

    kind: Literal["teacher"] = "teacher"
    data: Data
    model: Architecture
    training: Training
    member: Index

    @model_validator(mode="after")
    def _fits(self):
        _fits(self.model, self.data)
        return self


def _fits(model, data):
    if TAKES[model] != INPUTS[data.name]:
        raise ValueError(f"{model} takes {TAKES[model]}, and {data.name} has {INPUTS[data.name]}")


class Student(Frozen):
    """A net distilled from one teacher, or from an ensemble (log of the members' mean probability).

    `foil` is an independently trained teacher (or ensemble) of the same trial that the student never
    sees: agreement with it is the independent-student baseline (paper, section 3.2).
    """

    kind: Literal["student"] = "student"
    teachers: Annotated[tuple[Teacher, ...], Field(min_length=1)]
    foil: tuple[Teacher, ...] = ()
    inputs: Literal["D0", "D1"] = "D0"  # D0: what the teacher was trained on; D1: as many new ones
    fresh: Annotated[int, Field(ge=0, le=10_000_000)] = 0  # further unlabelled inputs from the data's own distribution
    copies: Annotated[int, Field(ge=0, le=100)] = 0  # random affine copies of every input (images)
    policy: Policy = "baseline"
    temperature: Positive = 1.0
    alpha: Share = 0.0
    start: Literal["random", "teacher-initial"] = "random"
    toward_teacher: Share = 0.0  # lambda of Fig 6b: start = lambda * teacher + (1 - lambda) * start
    model: Architecture
    training: Training

    @model_validator(mode="after")
    def _consistent(self):
        if any(t.data != self.teachers[0].data for t in self.teachers + self.foil):
            raise ValueError("all teachers of one student share one trial's data")
        if set(self.teachers) & set(self.foil):
            raise ValueError("a foil is a teacher the student never sees: it cannot be one of its teachers")
        if self.alpha > 0 and (self.inputs != "D0" or self.fresh or self.copies or self.policy != "baseline"):
            raise ValueError("alpha > 0 needs true labels, which only the teacher's own data D0 has")
        _fits(self.model, self.data)
        signals = INPUTS[self.data.name] == SIGNAL
        if self.policy == "crop-flip" and signals or self.policy not in ("baseline", "crop-flip") and not signals:
            raise ValueError(f"policy {self.policy} is not one for {INPUTS[self.data.name]}")
        if self.copies and signals:
            raise ValueError("affine copies are of images; of signals more are drawn: use fresh")
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


Spec = Annotated[Teacher | Student | Surface, Field(discriminator="kind")]


def needs(spec) -> tuple:
    """The runs that must exist before this one."""
    if spec.kind == "teacher":
        return ()
    return (spec.student,) if spec.kind == "surface" else spec.teachers + spec.foil


def sentence(error: ValidationError) -> str:
    """A pydantic error as one sentence that names the field and what is wrong with it."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "spec"
    if first["type"] == "value_error":
        return f"{where}: {first['msg'].removeprefix('Value error, ')}"
    if first["type"] == "extra_forbidden":
        return f"{where}: there is no such key"
    if first["type"] == "union_tag_not_found":
        return f"{where}: it needs a kind, teacher, student or surface"
    got = repr(first.get("input"))
    return f"{where}: {first['msg']} (got {got if len(got) <= 60 else got[:57] + '...'})"
