"""The sizes of the experiment (a profile), the specs of a trial, and the results of many trials.

A trial draws its own training, test and fresh data and trains its own pool of teachers: members 0 ... 11
teach, members 12 ... 23 are foils that no student of the trial ever sees. Trials share nothing.

How the sizes were chosen, before any of these trials was run:
- teachers take the 800 steps with which they fitted >= 95 % of their training set in a pilot (98 %);
- students take three times as many, as in the paper (300 epochs at batch 128 against 200 at 256);
- trials are numbered from FIRST: the earlier ones were a pilot, in which students took no more steps than teachers.
  Claims, statistics and thresholds were written before the pilot and are unchanged.
"""

from dataclasses import dataclass, field

import numpy as np

from kdlib.compute import compute
from kdlib.spec import Data, Student, Surface, Teacher, Training

POOL = 12
FIRST = 5  # the first trial that was not looked at while sizes were chosen
STUDENT_STEPS = 3  # times the teacher's
FACTORS = (1, 2, 5, 33)  # distillation inputs, as multiples of the teacher's training set
SETS = ("D0", "D1", "D0+D1")  # the teacher's own training inputs, as many new ones, both


@dataclass(frozen=True)
class Profile:
    """The sizes of one profile: trials, teacher's training and test inputs, teacher's steps, points of a plane."""

    name: str
    seeds: int
    train: int
    test: int
    steps: int  # of a teacher
    grid: int
    easy_train: int


# Smoke only proves that everything runs.
PROFILES = {p.name: p for p in (
    Profile("smoke", seeds=2, train=200, test=200, steps=10, grid=5, easy_train=50),
    Profile("laptop", seeds=5, train=1000, test=2000, steps=800, grid=21, easy_train=200),
    Profile("workstation", seeds=3, train=0, test=0, steps=0, grid=0, easy_train=200),
)}


class DesignError(ValueError):
    """A profile, chapter or number of seeds that does not exist."""


class Design:
    """What a chapter's runs are made of, at one profile."""

    def __init__(self, profile: str, seeds: int | None = None):
        if profile not in PROFILES:
            raise DesignError(f"unknown profile {profile!r}; there are {', '.join(PROFILES)}")
        self.profile = PROFILES[profile]
        self.seeds = self.profile.seeds if seeds is None else seeds
        if not isinstance(self.seeds, int) or self.seeds < 1:
            raise DesignError(f"seeds must be a whole number of at least 1 (got {self.seeds!r})")
        self.trials = range(FIRST, FIRST + self.seeds)
        self.teaching = Training(steps=max(self.profile.steps, 1))
        self.training = Training(steps=STUDENT_STEPS * self.teaching.steps)

    def members(self, trial: int, first: int, count: int) -> tuple[Teacher, ...]:
        """`count` teachers of a trial's pool, from member `first` on."""
        p = self.profile
        data = Data(trial=trial, train=p.train, test=p.test)
        return tuple(Teacher(data=data, model="cnn1d", training=self.teaching, member=first + i)
                     for i in range(count))

    def student(self, trial: int, m: int = 1, factor: int = 1, **options) -> Student:
        """A student of an m-member teacher on `factor` times the teacher's training inputs."""
        options = {"fresh": (factor - 1) * self.profile.train, "training": self.training} | options
        return Student(teachers=self.members(trial, 0, m), foil=self.members(trial, POOL, m),
                       model="cnn1d", **options)

    def students(self, m=1, factor=1, **options) -> list[Student]:
        """One student per trial."""
        return [self.student(trial, m, factor, **options) for trial in self.trials]

    def recycled(self, inputs: str, m: int, temperature: float) -> list[Student]:
        """Students on one of SETS (Fig 4), one per trial."""
        # both halves are D0 and as many fresh inputs: the same run as factor 2
        options = {"factor": 2} if inputs == "D0+D1" else {"inputs": inputs}
        return self.students(m, temperature=temperature, **options)

    def longer(self, times: int) -> Training:
        """The student's training, `times` as long."""
        return self.training.model_copy(update={"steps": times * self.training.steps})

    def surfaces(self, students, grid=0) -> list[Surface]:
        """The loss surface around each student; with a plane of `grid` points a side."""
        return [Surface(student=s, grid=grid) for s in students]

    def train(self, runs: dict, workers: int = 2, progress: bool = False) -> "Results":
        """Compute every spec of {name: [one spec per trial]}."""
        specs = list(dict.fromkeys(s for row in runs.values() for s in row))
        return Results.of(runs, compute(specs, workers, self.profile.name, progress))


@dataclass(frozen=True)
class Results:
    """Records by name of the condition, one per trial.

    `needed` are all of them and those they need, the teachers; `read` collects the records that were asked for, so that
    a figure can say which runs it shows.
    """

    rows: dict
    needed: tuple = ()
    read: dict = field(default_factory=dict)

    @classmethod
    def of(cls, runs: dict, records: dict) -> "Results":
        """From {name: [one spec per trial]} and records by spec."""
        return cls({name: [records[s] for s in row] for name, row in runs.items()}, tuple(records.values()))

    def _row(self, name):
        self.read.update({record.key: record for record in self.rows[name]})
        return self.rows[name]

    def __call__(self, name, metric: str) -> np.ndarray:
        """[trials] values of one metric in one condition."""
        return np.array([record.metrics[metric] for record in self._row(name)])

    def curves(self, name, curve: str) -> list:
        """One curve (a list, or a dict of a plane) per trial."""
        return [record.curves[curve] for record in self._row(name)]

    def table(self, names, metric: str) -> np.ndarray:
        """[trials, conditions]."""
        return np.stack([self(name, metric) for name in names], 1)

    def gap(self, name, metric="agreement") -> np.ndarray:
        """[trials] 1 minus an agreement."""
        return 1 - self(name, metric)
