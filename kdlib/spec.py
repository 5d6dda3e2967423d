"""What a run is: frozen, validated, hashable values. A student's spec contains its teachers' specs."""

import functools
import hashlib
import json
import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, Union

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from kdlib import catalog
from kdlib.catalog import BASELINE, DISTILLATION, Inputs, net
from kdlib.errors import short

# Raise this number whenever a change to the code changes results: every key changes with it.
RESULTS_VERSION = 3


def added(default):
    """A field added after runs were recorded: left out where it is neutral, so that their keys stay. Its default must
    never change without a new RESULTS_VERSION."""
    return Field(default=default, exclude_if=functools.partial(operator.eq, default))


# abs: -0.0 equals 0.0, so it must have the same key
Share = Annotated[float, Field(ge=0, le=1), AfterValidator(abs)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(abs)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Temperature = Annotated[float, Field(ge=1e-3, le=1e4)]  # beyond it float32 has no softened probabilities
Steps = Annotated[int, Field(ge=1, le=10_000_000)]  # whose losses are kept until the run ends
Batch = Annotated[int, Field(ge=1, le=1_000_000)]
Size = Annotated[int, Field(ge=1, le=10_000_000)]  # of a data set held in memory
Extra = Annotated[int, Field(ge=0, le=10_000_000)]  # unlabelled inputs
Index = Annotated[int, Field(ge=0, le=1_000_000_000)]

if TYPE_CHECKING:  # what a table holds is known only when it is read
    Policy = str
    DataSet = str
else:
    Policy = Annotated[str, AfterValidator(lambda name: _known("policy", catalog.POLICIES, name))]
    DataSet = Annotated[str, AfterValidator(lambda name: _of_runs(name))]


def _in_a_file(chosen: catalog.Chosen) -> str:
    """Its only name, so that it has one key."""
    if chosen.source == catalog.UNSAVED:
        raise ValueError(f"the {chosen.what} {chosen.name} is known to this process alone, and a key needs its source: "
                         "put it into a file, and give that to kdlib.use or `kdlib run ... --with FILE`")
    return chosen.text


Objective = Annotated[str, AfterValidator(lambda text: _in_a_file(catalog.objective(text)))]
Optimizer = Annotated[str, AfterValidator(lambda text: _in_a_file(catalog.optimizer(text)))]
Architecture = Annotated[str, AfterValidator(lambda name: net(name).name)]  # each net has one name, so one key


def _known(what, table, name):
    if name not in table:
        raise ValueError(f"there is no {what} {short(name)}; there are {', '.join(table)}")
    return name


def _of_runs(name):
    if catalog.data_set(name).lends_only:
        raise ValueError(f"{name} only lends its images to runs of other data sets")
    return name


class Frozen(BaseModel):
    """A value: it never changes, and knows no field but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @property
    def key(self) -> str:
        """The content address of this spec: 24 hex digits."""
        return self._key

    @functools.cached_property
    def _key(self) -> str:
        return key_of(self._json)

    @functools.cached_property
    def _json(self) -> str:
        """As `json.dumps(self.model_dump(mode="json"), sort_keys=True)`; but that of a teacher is made once."""
        known = sorted(type(self).model_fields.items())
        fields = ((name, field.exclude_if, getattr(self, name)) for name, field in known)
        parts = (f'"{name}": {_as_json(value)}' for name, neutral, value in fields if not (neutral and neutral(value)))
        return f"{{{', '.join(parts)}}}"

    def __eq__(self, other) -> bool:
        return self is other or (type(self) is type(other) and self._key == other._key)

    def __hash__(self) -> int:
        return hash(self._key)

    def but(self, **fields) -> Self:
        """The same with other values of some fields; pydantic.ValidationError as for any spec."""
        return type(self).model_validate(dict(self) | fields)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """pydantic's own would take any name and any value, under the key of what was copied."""
        return self.but(**(update or {}))


def _as_json(value) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_as_json, value))}]"
    return value._json if isinstance(value, Frozen) else json.dumps(value)


def key_of(text: str) -> str:
    """The key of a spec by its plain values as JSON, sorted by name."""
    return hashlib.sha256(f"[{RESULTS_VERSION}, {text}]".encode()).hexdigest()[:24]


class Data(Frozen):
    """A draw of a data set: which one, which trial's draw, how many labelled training examples.

    `split`: the number of a draw that trials share, of sets that are not drawn without end. They then differ in
    weights, order and augmentation alone, as in the official code, and a teacher of another trial is independent."""

    name: DataSet = catalog.USUAL
    trial: Index
    train: Size
    test: Size
    split: Index | None = added(None)

    @model_validator(mode="after")
    def _can_be_shared(self):
        if self.split is not None and self.known.drawn is not None:
            raise ValueError("a split is of a set that is not drawn without end; every trial of signals has its own")
        return self

    @property
    def known(self) -> catalog.DataSet:
        """What is known of the data set."""
        return catalog.data_set(self.name)

    @property
    def inputs(self) -> Inputs:
        """What its inputs are."""
        return self.known.inputs


class Training(Frozen):
    """One optimisation: linear warm-up to `lr`, then cosine to `final_lr` at `steps`, wherever it starts from."""

    optimizer: Optimizer = "adamw"
    lr: Positive = 1e-2
    final_lr: NotNegative = added(0.0)
    warmup: Index = added(0)  # steps
    nesterov: bool = added(True)  # of SGD, whose momentum is 0.9
    weight_decay: NotNegative = 1e-3
    batch: Batch = 50
    steps: Steps

    @model_validator(mode="after")
    def _warm_up_ends(self):
        if self.warmup >= self.steps:
            raise ValueError(f"warmup must be shorter than the {self.steps} steps (got {self.warmup})")
        return self


# of initial weights: PyTorch's own, or the official code's, N(0, 2 / (k^2 x filters out)) for every convolution (He et
# al., 2015, by fan-out)
Initialization = Literal["torch", "he-fan-out"]


class Run(Frozen):
    """What can be executed and recorded."""

    @property
    def subject(self) -> "Run":
        """The run whose net it is about: itself, or the one that it measures."""
        return self

    @property
    def needs(self) -> tuple["Run", ...]:
        """The runs that must exist before this one."""
        return ()


class Teacher(Run):
    """A net trained on labels. `member` tells the members of one trial's pool apart.

    >>> data = Data(trial=0, train=1000, test=2000)
    >>> first = Teacher(data=data, model="mlp", training=Training(steps=800), member=0)
    >>> first.key == first.but(member=1).key
    False
    """

    kind: Literal["teacher"] = "teacher"
    data: Data
    model: Architecture
    training: Training
    member: Index
    draw: Initialization = added("torch")

    @model_validator(mode="after")
    def _fits(self):
        _fits(self.model, self.data)
        return self

    @property
    def net(self) -> catalog.Net:
        """What the catalog knows of its net."""
        return net(self.model)

    @property
    def loss(self) -> tuple:
        """As of a student; empty as long as nothing but what is named here decides a teacher's."""
        return _others(self, "kind", "data", "model", "draw", "training", "member")


def _others(spec, *names):
    """All fields but these, as pairs: a field that is added later is among them unless it is named."""
    return tuple((name, value) for name, value in spec if name not in names)


def _fits(model, data):
    takes = net(model).family.takes
    if data.inputs.like not in takes:
        raise ValueError(f"{model} takes {' or '.join(map(str, takes))}, and {data.name} has {data.inputs}")


Pool = Annotated[tuple[Teacher, ...], Field(min_length=1, max_length=1000)]


def _drawn(data: Data):
    """What decides which examples there are."""
    return data if data.split is None else data.model_dump(exclude={"trial"})


class Generator(Run):
    """An SN-GAN of a teacher's training images (paper, A.2). `judge` is the classifier whose features and classes
    measure its samples, beside Inception's where these are at hand."""

    kind: Literal["generator"] = "generator"
    data: Data
    judge: Teacher
    width: Annotated[int, Field(ge=2, le=4096)]  # filters of the generator; the discriminator has half as many
    latent: Annotated[int, Field(ge=1, le=65_536)] = 128
    steps: Steps  # of the generator
    discriminator_steps: Annotated[int, Field(ge=1, le=1000)] = 5  # to each of them
    batch: Batch = 128
    lr: Positive = 2e-4  # falls linearly to
    final_lr: NotNegative = 1e-6

    @model_validator(mode="after")
    def _images(self):
        if not self.data.inputs.imitated or self.judge.data != self.data:
            raise ValueError("a generator and its judge are trained on the same colour images")
        return self


    @property
    def needs(self) -> tuple[Run, ...]:
        """Its judge."""
        return (self.judge,)


class Student(Run):
    """A net distilled from one teacher, or from an ensemble (log of the members' mean probability).

    `foil` is an independently trained teacher (or ensemble), on the same draw of data, that the student never sees:
    agreement with it is the independent-student baseline (paper, section 3.2). `foils` are more of them. `measures`:
    the paper's metrics, or all there are, also train agreement in train mode; "function" is the paper's without CKA,
    which costs as much as all others where a student has many foils.
    """

    kind: Literal["student"] = "student"
    teachers: Pool
    foil: Annotated[tuple[Teacher, ...], Field(max_length=1000)] = ()
    foils: Annotated[tuple[Pool, ...], Field(max_length=1000)] = added(())
    measures: Literal["function", "paper", "all"] = added("paper")
    inputs: Literal["D0", "D1"] = "D0"  # D0: what the teacher was trained on; D1: as many new ones
    fresh: Extra = 0  # further unlabelled inputs from the data's own distribution
    copies: Annotated[int, Field(ge=0, le=100)] = 0  # random affine copies of every input (grey images)
    related: Extra = added(0)  # images of a related set that are added, as EMNIST to MNIST
    related_set: Annotated[str, Field(max_length=40)] = added("")  # which one; "": the catalog's first
    generator: Generator | None = added(None)
    generated: Extra = added(0)  # images drawn from the generator, added to the set
    anew: bool = added(False)  # whether these, and those that a policy mixes in, are others in every batch
    policy: Policy = BASELINE
    objective: Objective = added(DISTILLATION)  # what it minimises, of `catalog.OBJECTIVES` or one's own (`own`)
    temperature: Temperature = 1.0
    alpha: Share = 0.0  # weight of the true labels' likelihood beside it
    start: Literal["random", "teacher-initial"] = "random"
    toward_teacher: Share = 0.0  # lambda of Fig 6b: start = lambda * teacher + (1 - lambda) * start
    model: Architecture
    training: Training
    draw: Initialization = added("torch")

    @model_validator(mode="after")
    def _consistent(self):
        if any(t.data != self.data for t in self.teachers) or any(_drawn(t.data) != _drawn(self.data)
                                                                  for t in self.unseen):
            raise ValueError("all teachers of one student share one trial's data")
        if self.foils and not self.foil:
            raise ValueError("more foils need a first one")
        if set(self.teachers) & set(self.unseen):
            raise ValueError("a foil is a teacher the student never sees: it cannot be one of its teachers")
        more = self.fresh or self.copies or self.related or self.generated
        if self.labelled and (self.inputs != "D0" or more or self.policy != BASELINE):
            what = "alpha > 0" if self.alpha > 0 else f"objective {self.objective}"
            raise ValueError(f"{what} needs true labels, which only the teacher's own data D0 has")
        entry = catalog.objective(self.objective).entry
        if entry and not entry.temperature and self.temperature != 1:
            raise ValueError(f"objective {self.objective} has no temperature: leave it 1")
        _fits(self.model, self.data)
        inputs, policy = self.data.inputs, catalog.POLICIES[self.policy]
        if inputs.like not in policy.steps:
            raise ValueError(f"policy {self.policy} is not one for {inputs}")
        if self.copies and not inputs.copied:
            raise ValueError("affine copies are of grey images; of other data more are drawn: use fresh")
        if self.related and not self.data.known.related:
            raise ValueError(f"no other set's images are related to {self.data.name}'s")
        if self.related_set and not (self.related and self.related_set in self.data.known.related):
            raise ValueError(f"a related set goes with a number of its images, related, and is one of "
                             f"{', '.join(self.data.known.related) or 'none'}")
        if bool(self.generator) != bool(self.generated or policy.pool == "generated"):
            raise ValueError("a generator goes with generated images or a policy that mixes them in, and these with "
                             "a generator")
        if self.anew and not self.generator:
            raise ValueError("only a generator's images can be drawn anew for every batch")
        if self.generator and self.generator.data != self.data:
            raise ValueError("the generator is trained on the teachers' own images")
        near = self.toward_teacher > 0 or self.start != "random"
        if near and (len(self.teachers) != 1 or self.model != self.teachers[0].model):
            raise ValueError("starting from a teacher needs one teacher of the student's own architecture")
        return self

    @property
    def data(self) -> Data:
        """Its teachers' draw of data."""
        return self.teachers[0].data

    @property
    def unseen(self) -> tuple[Teacher, ...]:
        """All teachers that it is compared with and not trained from."""
        return self.foil + tuple(teacher for foil in self.foils for teacher in foil)

    @property
    def needs(self) -> tuple[Run, ...]:
        """Its teachers, those that it never sees, and its generator."""
        return self.teachers + self.unseen + ((self.generator,) if self.generator else ())

    @property
    def net(self) -> catalog.Net:
        """What the catalog knows of its net."""
        return net(self.model)

    @property
    def size(self) -> int:
        """How many inputs it is distilled on."""
        return (1 + self.copies) * (self.data.train + self.fresh) + self.related + self.generated

    @property
    def lenders(self) -> dict[str, str]:
        """The data sets whose images it borrows: {"related": …} of what is added, {"unlike": …} of what its policy puts
        in place of its own."""
        known, policy = self.data.known, catalog.POLICIES[self.policy]
        return ({"related": self.related_set or known.related[0]} if self.related else {}) | (
            {"unlike": policy.lender or known.unlike} if policy.pool == "unlike" else {})

    @property
    def labelled(self) -> bool:
        """Whether its loss takes the labels of its examples."""
        entry = catalog.objective(self.objective).entry
        return self.alpha > 0 or bool(entry and entry.labels)

    @property
    def loss(self) -> tuple[tuple[str, object], ...]:
        """All that its loss depends on, as pairs: the loss gets nothing else (`losses.of`), and runs of another one
        are of another cohort."""
        return _others(self, "kind", "teachers", "foil", "foils", "measures", "inputs", "fresh", "copies", "related",
                       "related_set", "generator", "generated", "anew", "policy", "start", "toward_teacher", "model",
                       "draw", "training")

    @property
    def batches(self) -> tuple:
        """All that decides which batches it sees, with which labels, and what it is compared with. Students of equal
        batches, which differ in objective, net or start, may share them: they are then labelled once."""
        return self.labelled, *_others(self, "objective", "temperature", "alpha", "start", "toward_teacher", "model",
                                       "draw")


class Surface(Run):
    """The distillation loss around one student: on the segment to its teacher and on a plane (Fig 6c)."""

    kind: Literal["surface"] = "surface"
    student: Student
    grid: Annotated[int, Field(ge=0, le=1000)] = 0  # points per side of the plane; 0: the segment only
    segment: Annotated[int, Field(ge=2, le=100_000)] = 21

    @model_validator(mode="after")
    def _weights_alone(self):
        if self.student.net.batchnorm:
            raise ValueError("a surface needs a net without BatchNorm, whose running moments are not weights")
        return self

    @property
    def subject(self) -> Student:
        """The student around which it lies."""
        return self.student

    @property
    def needs(self) -> tuple[Run, ...]:
        """The student."""
        return (self.student,)


class Labels(Run):
    """What a teacher (or an ensemble) tells its students: its predictive distributions on training and test inputs
    (Fig 8). `show` examples of each are kept whole."""

    kind: Literal["labels"] = "labels"
    teachers: Pool
    temperatures: Annotated[tuple[Temperature, ...], Field(min_length=1, max_length=100)] = (1.0, 4.0)
    show: Annotated[int, Field(ge=1, le=20)] = 4

    @model_validator(mode="after")
    def _of_one_trial(self):
        if any(t.data != self.teachers[0].data for t in self.teachers):
            raise ValueError("all teachers of an ensemble share one trial's data")
        return self

    @property
    def subject(self) -> Teacher:
        """The first teacher."""
        return self.teachers[0]

    @property
    def needs(self) -> tuple[Run, ...]:
        """All its teachers."""
        return self.teachers


class Defects(Run):
    """What the official code's formulas make of one student: its metrics right and wrong, side by side."""

    kind: Literal["defects"] = "defects"
    student: Student
    batch: Batch = 128  # test inputs evaluated at a time there

    @property
    def subject(self) -> Student:
        """The student that is measured."""
        return self.student

    @property
    def needs(self) -> tuple[Run, ...]:
        """The student."""
        return (self.student,)


RUNS = Teacher, Generator, Student, Surface, Labels, Defects
KIND_NAMES = tuple(run.model_fields["kind"].default for run in RUNS)
if TYPE_CHECKING:
    Spec = Run
else:
    Spec = Annotated[Union[RUNS], Field(discriminator="kind")]  # noqa: UP007


def levels(specs) -> list[list]:
    """Everything `specs` need, once each, in layers that depend only on earlier layers."""
    depth = {}

    def visit(spec):
        if spec not in depth:
            depth[spec] = 1 + max((visit(n) for n in spec.needs), default=-1)
        return depth[spec]

    for spec in specs:
        visit(spec)
    return [[s for s in depth if depth[s] == d] for d in range(max(depth.values(), default=-1) + 1)]
