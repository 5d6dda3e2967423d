"""The specs of a trial at a profile's sizes, and the results of many trials.

A trial draws its own training and fresh data (of signals its own test data too) and trains its own pool of teachers:
members 0 ... 11 teach, members 12 ... 23 are foils that no student of the trial ever sees. Trials share nothing. (Of
profile halves they share a split, and foils are the ensembles of the profile's other trials: `experiments.halves`.)
"""

import copy
import functools
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TypeVar

import numpy as np

from kdlib.catalog import BASELINE, POLICIES
from kdlib.errors import KdlibError, short
from kdlib.experiments.profile import Profile, Task
from kdlib.experiments.profiles import LIVE, PROFILES
from kdlib.experiments.profiles.own import on_data
from kdlib.results import UNSEEN, Recorded
from kdlib.settings import settings
from kdlib.spec import Data, Defects, Generator, Initialization, Student, Surface, Teacher, Training, levels

POOL = 12
BRIEF = 3  # times the usual steps: what takes longer is shown as recorded, where a page trains a few trials beside that
SEEDS = 1000  # trials at the most: a hundred decide most of what is decided at all
T = TypeVar("T")


class NotRecorded(KdlibError):
    """Results that do not have the runs of a condition, which it names; `planned`: the profile has such a condition."""

    def __init__(self, name, planned: bool):
        super().__init__(" ".join(map(str, name)) if isinstance(name, tuple) else name)
        self.planned = planned


class DesignError(KdlibError):
    """A profile, chapter or number of seeds that does not exist."""


class Row(Sequence):
    """A condition's specs, one per trial, each made when it is asked for: of a plan claims read a few conditions."""

    def __init__(self, make: Callable, each: Sequence):
        self._make, self._each = functools.cache(make), each

    def __len__(self):
        return len(self._each)

    def __getitem__(self, i):
        return [*map(self._make, self._each[i])] if isinstance(i, slice) else self._make(self._each[i])

    def __eq__(self, other):
        return isinstance(other, Sequence) and [*self] == [*other]


class Design:
    """What a chapter's runs are made of, at one profile; `data`, a set of colour images, in the place of its own."""

    def __init__(self, profile: str, seeds: int | None = None, data: str | None = None):
        if profile not in PROFILES:
            raise DesignError(f"unknown profile {profile!r}; there are {', '.join(PROFILES)}")
        self.profile, self.data = PROFILES[profile], data
        if data is not None:
            try:
                self.profile = on_data(self.profile, data)
            except ValueError as error:
                raise DesignError(str(error)) from None
        self.seeds = self.profile.seeds if seeds is None else seeds
        if isinstance(self.seeds, bool) or not isinstance(self.seeds, int) or not 1 <= self.seeds <= SEEDS:
            raise DesignError(f"seeds must be a whole number from 1 to {SEEDS:,} (got {short(self.seeds)})")
        self.trials = range(self.profile.first, self.profile.first + self.seeds)
        self.brief = False  # without what takes more than BRIEF times the usual steps

    @property
    def teaching(self) -> Training:
        """The profile's recipe of a teacher."""
        return self.profile.teaching

    @property
    def training(self) -> Training:
        """The profile's recipe of a student."""
        return self.profile.training

    def with_seeds(self, seeds: int) -> "Design":
        """The same with another number of trials."""
        return Design(self.profile.name, seeds, self.data)

    def few(self) -> "Design":
        """What a page trains beside recorded runs: a few trials, of what does not take long."""
        other = self.with_seeds(self.profile.live or self.seeds)
        other.brief = self.profile.live is not None
        return other

    def has(self, row: Sequence) -> bool:
        """Whether a condition's runs are of this design, with all that they need."""
        return not self.brief or all(spec.training.steps <= BRIEF * self.training.steps
                                     for layer in levels(row[:1]) for spec in layer if hasattr(spec, "training"))

    @property
    def halved(self) -> "Design":
        """The design of the runs of Fig 4 and 9: where all of the data is the teacher's, it is halved for them.

        Not of the chapter `halves`, whose whole profile is of halves."""
        other = copy.copy(self)
        other.profile = replace(self.profile, **self.profile.distillation_data.halved)
        return other

    def members(self, trial: int, first: int, count: int, net: str | None = None, teaching: Training | None = None,
                draw: Initialization | None = None) -> tuple[Teacher, ...]:
        """`count` teachers of a trial's pool, from member `first` on; the profile's net and recipe if none is given."""
        p = self.profile
        data = _data(p.data_set, trial, p.train, p.test, p.halves.split if p.halves else None)
        return _pool(data, net or p.net, teaching or self.teaching, draw or p.draw)[first : first + count]

    def foils(self, trial: int, m: int, pool) -> dict:
        """The ensembles of m that a student is compared with and never sees: one, or all of the trial's pool; where
        trials share their data, those of the profile's other trials, however many trials are asked for
        (`pool`: all but the first two arguments of `members`)."""
        p = self.profile
        if p.halves:
            foil, *foils = (self.members(other, 0, m, *pool) for other in range(p.first, p.first + p.seeds)
                            if other != trial)
        else:
            usual = pool[0] in (None, p.net) and pool[1] in (None, p.teaching) and pool[2] == p.draw
            count = POOL // m if p.every_foil and usual else 1  # of other nets no more are trained than needed
            teachers = self.members(trial, POOL, count * m, *pool)
            foil, *foils = (teachers[i : i + m] for i in range(0, count * m, m))
        return {"foil": foil} | ({"foils": tuple(foils)} if foils else {})

    def student(self, trial: int, m: int = 1, factor: float = 1, teacher: str | None = None,
                teaching: Training | None = None, times: float = 1, **options) -> Student:
        """A student of an m-member teacher, of the profile's net if none is named, on `factor` times the teacher's
        training inputs, trained `times` as long as usual. `draw` is that of teachers and student."""
        p, extra = self.profile, round((factor - 1) * self.profile.train)
        if extra:
            options[p.extra] = extra
        if POLICIES[options.get("policy", BASELINE)].pool == "generated" or options.get("generated"):
            options |= {"generator": self.generator(trial), "anew": p.anew}
        options.setdefault("model", teacher or p.net)
        options["training"] = self.lasting(options.get("training", self.training), p.train + extra, times)
        options.setdefault("measures", p.measures)
        pool = teacher, teaching, options.setdefault("draw", p.draw)
        return _student(teachers=self.members(trial, 0, m, *pool), **self.foils(trial, m, pool), **options)

    def elsewhere(self, task: Task, trial: int, m: int = 1, **more) -> Student:
        """A student of an m-member teacher on another task; `more`: what its set adds to its teacher's."""
        data = _data(task.data_set, trial, task.train, task.test)
        size = (task.train + more.get("fresh", 0)) * (1 + more.get("copies", 0)) + more.get("related", 0)
        training = self.lasting(task.training, size) if more else task.training  # else the task's own number of steps
        pool = _pool(data, task.net, task.teaching)
        return Student(teachers=pool[:m], model=task.net, training=training, foil=pool[POOL : POOL + m], **more)

    def lasting(self, training: Training, size: int, times: float = 1) -> Training:
        """A student's training on so many inputs, `times` as long as usual: the profile's epochs, if it counts them."""
        steps = self.profile.epochs * size / training.batch if self.profile.epochs else training.steps
        return _of_steps(training, round(times * steps))

    def generator(self, trial: int) -> Generator:
        """The SN-GAN of a trial's training images, judged by the trial's first teacher."""
        (judge,) = self.members(trial, 0, 1)
        return Generator(data=judge.data, judge=judge, **self.profile.generator)

    def students(self, m=1, factor=1.0, **options) -> Sequence[Student]:
        """One student per trial."""
        return Row(lambda trial: self.student(trial, m, factor, **options), self.trials)

    def recycled(self, half: str, m: int, temperature: float) -> Sequence[Student]:
        """Students on D0, D1 or both (Fig 4), one per trial."""
        # both halves are D0 and as many fresh inputs: the same run as factor 2
        options = {"factor": 2} if half == "D0+D1" else {"inputs": half}
        return self.students(m, temperature=temperature, **options)

    def surfaces(self, students, grid=0) -> Sequence[Surface]:
        """The loss surface around each student; with a plane of `grid` points a side."""
        return Row(lambda i: Surface(student=students[i], grid=grid), range(len(students)))

    def defects(self, students) -> Sequence[Defects]:
        """What the official code would have logged of each student."""
        return Row(lambda i: Defects(student=students[i]), range(len(students)))

    def train(self, runs: dict, workers: int | None = None, progress: bool = False) -> "Results":
        """Compute every spec of {name: [one spec per trial]}."""
        specs = list(dict.fromkeys(s for row in runs.values() for s in row))
        if settings().from_records:
            return Results.of(self.profile, runs, Recorded(self.profile.name).all_of(specs))
        from kdlib.compute import compute  # which imports torch: plans, records and claims do without

        return Results.of(self.profile, runs, compute(specs, workers, self.profile.name, progress))


@functools.lru_cache(10_000)  # a trial's students share teachers: made once, they are cheap to compare
def _data(name: str, trial: int, train: int, test: int, split: int | None = None) -> Data:
    return Data(name=name, trial=trial, train=train, test=test, split=split)


@functools.lru_cache(10_000)
def _pool(data: Data, net: str, teaching: Training, draw: Initialization = "torch") -> tuple[Teacher, ...]:
    return tuple(Teacher(data=data, model=net, training=teaching, member=i, draw=draw) for i in range(2 * POOL))


@functools.lru_cache(10_000)
def _of_steps(training: Training, steps: int) -> Training:
    return training.but(steps=steps)


@functools.lru_cache(100_000)  # chapters share students
def _student(**fields) -> Student:
    return Student(**fields)


@dataclass(frozen=True)
class Results:
    """Records by name of the condition, one per trial.

    `planned` are the names of all conditions, also of those without records; `needed` are all records and those they
    need, the teachers; `read` collects the records that were asked for, and `numbers` what was asked of them, so that a
    figure can say which runs it shows, and give its numbers. `live`: the same trained here, beside recorded ones.
    `judging`: the trials that verdicts rest on, where these are others; they lack what no claim reads.
    """

    profile: Profile
    rows: dict
    planned: frozenset = frozenset()
    needed: tuple = ()
    read: dict = field(default_factory=dict)
    numbers: dict = field(default_factory=dict)  # {(condition, metric): None}, in the order in which they were asked
    live: "Results | None" = None
    judging: "Results | None" = None

    @classmethod
    def of(cls, profile: Profile, runs: dict, records: dict) -> "Results":
        """From {name: [one spec per trial]} and records by spec; a condition that lacks one is left out."""
        return cls(profile, {name: [records[s] for s in row] for name, row in runs.items()
                             if all(s in records for s in row)}, frozenset(runs), tuple(records.values()))

    @property
    def words(self) -> dict:
        """What differs from profile to profile in the words of a claim."""
        p, usual = self.profile, PROFILES[LIVE]  # of a chapter that the profile does not have
        sizes, optimization = p.fidelity_gap or usual.fidelity_gap, p.optimization or usual.optimization
        return {"largest": sizes.factors[-1], "longest": f"{optimization.lengths[-1]:.3g}",
                "optimizers": list(optimization.optimizers), "easy": sizes.easy.title,
                "other": (p.scale or usual.scale).another.net}

    def beside(self, live: "Results") -> "Results":
        """Those of the conditions and trials that `live` has, so that like is compared with like."""
        return replace(self, rows={name: self.rows[name][:len(row)] for name, row in live.rows.items()})

    def _row(self, name, trials: int | None = None):
        """Its records, or those of the first trials alone."""
        if name not in self.rows:
            raise NotRecorded(name, name in self.planned)
        row = self.rows[name][:trials]
        self.read.update({record.key: record for record in row})
        return row

    def __call__(self, name, metric: str) -> np.ndarray:
        """[trials] values of one metric in one condition, as `results.Record.number` has it."""
        row = self._row(name)
        self.numbers[name, metric] = None
        return np.array([record.number(metric) for record in row])

    def most(self, values: Callable[["Results"], T]) -> T:
        """`values`, [trials] say, of the trials that verdicts rest on where these have all runs that it reads, else of
        these trials: what a text says of a claim's condition is of the trials that decide the claim."""
        if self.judging is not None:
            try:
                return values(self.judging)
            except NotRecorded:
                pass
        return values(self)

    @property
    def accounted(self) -> "Results":
        """Of which of these something was read since `forget`: of the trials that verdicts rest on, or of its own."""
        return self.judging if self.judging is not None and self.judging.read and not self.read else self

    def forget(self) -> None:
        """A fresh account of what is read begins."""
        for results in filter(None, (self, self.judging)):
            results.read.clear()
            results.numbers.clear()

    def curves(self, name, curve: str, trials: int | None = None) -> list:
        """One curve (a list, or a dict of a plane) per trial, or of the first `trials` alone; NotRecorded of trials of
        which metrics alone are kept."""
        row = self._row(name, trials)
        if self.profile.compact:
            raise NotRecorded(name, planned=False)
        return [record.curves[curve] for record in row]

    def table(self, names, metric: str) -> np.ndarray:
        """[trials, conditions]."""
        return np.stack([self(name, metric) for name in names], 1)

    def gap(self, name, metric="agreement") -> np.ndarray:
        """[trials] 1 minus an agreement."""
        return 1 - self(name, metric)

    def unseen(self, name, metric="agreement") -> np.ndarray:
        """[trials] the same metric with a teacher that the student never saw, the mean over all such: the
        independent-student baseline (paper, Sec 3.2)."""
        return self(name, f"{UNSEEN}{metric}")

    def specific(self, name, metric="agreement") -> np.ndarray:
        """[trials] what is specific to the student's own teacher: the metric with it minus that with an unseen one, the
        book's central quantity. The rest any net shares that has learned the task (paper, Sec 3.2)."""
        return self(name, metric) - self.unseen(name, metric)

    def room(self, name, metric="agreement") -> np.ndarray:
        """[trials] (own - unseen) / (1 - unseen) of a share: how much of the room above what any such net shares is
        filled by what is specific to the own teacher; NaN where there is none, as between nets that always say the
        same."""
        with np.errstate(invalid="ignore", divide="ignore"):
            share = self.specific(name, metric) / (1 - self.unseen(name, metric))
        return np.where(np.isfinite(share), share, np.nan)


class Beside(Results):
    """Results of some of the conditions that are planned, NaN in the others: over a figure of all it shows some."""

    def _row(self, name, trials=None):
        if name in self.rows or name not in self.planned:
            return super()._row(name, trials)
        return [SimpleNamespace(number=lambda _: np.nan, curves=defaultdict(dict))
                for _ in next(iter(self.rows.values()))[:trials]]


class Asked(Results):
    """Results of any condition, with any numbers, that keep in `read` which were asked for."""

    def __init__(self, profile: Profile):
        super().__init__(profile, {}, read={})

    def _row(self, name, trials=None):
        self.read[name] = None
        draws = np.random.default_rng(list(str(name).encode()))
        return [SimpleNamespace(number=lambda _: draws.uniform(0.4, 0.6)) for _ in range(3)]
