"""What is recorded, for those who read it: `kdlib.records`, `kdlib.record`, `kdlib.teacher`.

A table of runs needs pandas, a net needs torch; each is imported when it is asked for.
"""

import json
import warnings
from typing import TYPE_CHECKING, NamedTuple

from pydantic import BaseModel

from kdlib import experiments
from kdlib.catalog import DRAWN_BY
from kdlib.experiments.design import Design
from kdlib.experiments.profiles import LIVE, PROFILES
from kdlib.results import Record, Recorded, StoreError, check_there
from kdlib.spec import Run, levels

if TYPE_CHECKING:
    import pandas
    from torch import nn


class Column(NamedTuple):
    """A column of `records` that is no metric."""

    name: str
    what: str


# In the order of the table. What a run itself does not have, a surface say, is that of the run that it measures.
FIRST = tuple(Column(*column) for column in (
    ("key", "address of the run: a hash of its spec"),
    ("profile", "the size of the experiment whose records it is among"),
    ("chapters", "the chapters that show the run or need it, by number and stem"),
    ("condition", "its name in these chapters' plans, of several all, between semicolons; empty where others need it"),
    ("kind", "teacher, student, surface, labels, generator or defects"),
    ("data", "data set"),
    ("trial", "number of the trial: runs of one trial share their data and teachers, trials share none"),
    ("train", "labelled training inputs of the teacher"),
    ("test", "test inputs"),
    ("split", "number of the division into halves, where trials share one"),
    ("model", "net"),
    ("draw", "of initial weights: PyTorch's own, or the official code's"),
    ("member", "of a teacher: its place in the trial's pool"),
    ("m", "how many members its teacher has"),
    ("teacher_model", "net of its teacher"),
    ("teachers", "keys of its teacher's members"),
    ("foil", "keys of the members of a teacher that it never saw"),
    ("foils", "the same of further such teachers, between semicolons"),
    ("student", "key of the student that it measures"),
    ("judge", "of a generator: key of the teacher whose features and classes measure it"),
    ("half", "D0: distilled on what the teacher was trained on; D1: on as many new inputs"),
    ("fresh", "further unlabelled inputs from the data's own distribution"),
    ("copies", "random affine copies of every input"),
    ("related", "images of a related data set that were added"),
    ("related_set", "which related data set, where it is not the usual one"),
    ("generator", "key of the generator of images"),
    ("generated", "images from it that were added"),
    ("anew", "whether its images are others in every batch"),
    ("policy", "augmentation"),
    ("objective", "what a student minimises: cross-entropy with its teacher's softened probabilities, kd, or another"),
    ("temperature", "of both distributions in the loss"),
    ("alpha", "weight of the true labels in the loss"),
    ("start", "of the student's weights: random, or the teacher's own initial ones"),
    ("toward_teacher", "lambda of Fig 6b: how far from there to the teacher it starts"),
    ("measures", "the paper's metrics, these without CKA, or all there are"),
    ("optimizer", "of its training"),
    ("lr", "learning rate at its highest"),
    ("final_lr", "and at the last step"),
    ("warmup", "steps to the highest"),
    ("nesterov", "whether SGD has Nesterov's momentum"),
    ("weight_decay", "of its training"),
    ("batch", "inputs a step"),
    ("steps", "of its training"),
    ("width", "of a generator: filters"),
    ("latent", "of a generator: numbers that it makes an image of"),
    ("discriminator_steps", "of a generator: to each of its own"),
    ("surface_grid", "of a surface: points per side of the plane; 0: a segment only"),
    ("surface_segment", "of a surface: points of the segment from student to teacher"),
    ("labels_temperatures", "of labels: the temperatures at which they were looked at"),
    ("labels_show", "of labels: how many examples the record keeps whole"),
    ("defects_batch", "of defects: test inputs evaluated at a time"),
))
DERIVED = (
    Column("unseen_agreement", "agreement with a teacher that the student never saw: the mean over all such, the "
                               "independent-student baseline"),
    Column("specific_agreement", "agreement with its own teacher less that: what is specific to this teacher"),
)
LAST = tuple(Column(*column) for column in (
    ("seconds", "that it took, one core's; of runs that were trained together each its share"),
    ("device", "where it ran"),
    ("processor", "maker, family, model and instruction set; empty in the earliest records"),
    ("kdlib", "version"),
    ("torch", "version"),
    ("numpy", "version"),
    (DRAWN_BY, "version of the package that draws the signals"),
    ("commit", "of the code; +changes: and something not committed"),
    ("content", "fingerprints of its stored data sets, as JSON; empty: the official ones, or none"),
    ("weights", "the beginning of the checksum of its final weights; empty in the earliest records"),
))
NAMES = {"inputs": "half", "name": "data"}  # fields of a spec under another name: `inputs` is a metric, too


def described(spec: Run) -> dict:
    """A spec as flat columns, other runs in it as their keys."""
    subject = spec.subject
    out: dict = {"kind": spec.kind}
    for part in (subject.data, getattr(subject, "training", None), subject):
        out |= {NAMES.get(name, name): _cell(value) for name, value in part or ()
                if name not in ("kind", "data", "training")}
    if spec is not subject:
        out |= {name if _runs(value) else f"{spec.kind}_{name}": _cell(value) for name, value in spec if name != "kind"}
    teachers = getattr(spec, "teachers", getattr(subject, "teachers", ()))
    return out | ({"m": len(teachers), "teacher_model": teachers[0].model} if teachers else {})


def _runs(value) -> bool:
    return isinstance(value, Run) or (isinstance(value, tuple) and any(map(_runs, value)))


def _cell(value):
    """A value of a spec as one of a table."""
    if isinstance(value, Run):
        return value.key
    if isinstance(value, tuple):
        between = "; " if any(isinstance(part, tuple) for part in value) else " "
        return between.join(str(_cell(part)) for part in value) or None
    return value.model_dump_json() if isinstance(value, BaseModel) else value


def in_words(condition) -> str:
    """A condition's name as tables write it: "size 1 1"."""
    return " ".join(map(str, condition)) if isinstance(condition, tuple) else str(condition)


def records(profile: str = LIVE, chapter: str = "all", complete: bool = True) -> "pandas.DataFrame":
    """The committed records of a profile, or of one chapter's plan with all that its runs need, as a pandas DataFrame.

    One row a run, whichever chapter's file holds it. Columns: the spec's fields, the metrics, where the run came from;
    `kdlib export` writes them with a description of each. Only conditions all of whose trials are recorded; those that
    are not are listed in `.attrs["incomplete"]`, and with `complete=False` what there is of them is there. Curves are
    in `kdlib.record(key).curves`.

    KdlibError where there is no such profile or chapter, or pandas is not installed; a warning where no condition is
    recorded whole, and the table is empty.

    >>> table = records("laptop", chapter="04_paradox")
    >>> len(table), table.kind.nunique()
    (350, 2)
    """
    try:
        import pandas
    except ImportError:
        raise StoreError("a table of records needs pandas: pip install pandas") from None

    check_there()
    incomplete: list[str] = []
    source = Recorded(Design(profile).profile.name)
    design = experiments.design_of(source)
    places: dict[Run, tuple[list, list]] = {}  # the chapters of each run, and its conditions
    for name in experiments.chapters(chapter):
        plan = experiments.CHAPTERS[name].runs(design)
        partial = [condition for condition, specs in plan.items() if not all(map(source.get, specs))]
        incomplete += [f"{name}: {in_words(condition)}" for condition in partial]
        shown = {in_words(condition): specs for condition, specs in plan.items()
                 if not (complete and condition in partial)}
        for spec in (s for layer in levels(s for specs in shown.values() for s in specs) for s in layer):
            if source.get(spec):
                places.setdefault(spec, ([], []))[0].append(name)
        for condition, specs in shown.items():
            for spec in specs:
                if spec in places and condition not in places[spec][1]:
                    places[spec][1].append(condition)
    rows = [_row(profile, spec, source.records[spec.key], *where) for spec, where in places.items()]
    metrics = sorted({metric for spec in places for metric in source.records[spec.key].metrics})
    names = [*(column.name for column in FIRST + DERIVED), *metrics, *(column.name for column in LAST)]
    columns = {name: [row.get(name) for row in rows] for name in names}
    table = pandas.DataFrame({name: pandas.Series(values, dtype=_type(values)) for name, values in columns.items()
                              if not rows or any(value is not None for value in values)})
    table.attrs = {"profile": profile, "incomplete": incomplete}
    if incomplete and not rows:
        warnings.warn(f"no condition of {profile} is recorded whole yet: complete=False gives what there is of them",
                      stacklevel=2)
    return table


def _row(profile: str, spec: Run, record: Record, chapters: list[str], conditions: list[str]) -> dict:
    if derived := record.numbers(["unseen_agreement"]):
        derived["specific_agreement"] = record.number("agreement") - derived["unseen_agreement"]
    return {"profile": profile, "chapters": " ".join(chapters), "condition": "; ".join(conditions),
            **described(spec), **derived, **record.metrics, **record.versions,
            **{name: getattr(record, name) for name in ("key", "seconds", "device", "processor", "commit", "weights")},
            "content": json.dumps(record.content, sort_keys=True) if record.content else None}


def _type(values) -> str | None:
    """pandas' own type where there are gaps among whole numbers or truths, of which NumPy's have none."""
    types = {type(value) for value in values}
    return {int: "Int64", bool: "boolean"}.get(*(types - {type(None)})) if len(types) == 2 and None in values else None


def committed() -> dict[str, list[Record]]:
    """All committed records, by profile."""
    check_there()
    sources = {profile: Recorded(profile) for profile in PROFILES}
    return {profile: list(source.records.values()) for profile, source in sources.items() if source.records}


def find(key: str) -> tuple[str, Record]:
    """(profile, record) of the one committed run whose key begins so; StoreError where there is none, or several."""
    found = {record.key: (profile, record) for profile, group in committed().items() for record in group
             if record.key.startswith(key)}
    if not key or not found:
        raise StoreError(f"no committed record has a key that begins with {key!r}; `kdlib runs --recorded` lists them")
    if len(found) > 1:
        raise StoreError(f"{len(found)} committed records have keys that begin with {key!r}: give more of it")
    return next(iter(found.values()))


def record(key: str) -> Record:
    """The committed record of a run by its key, or the beginning of it, from any profile. `.metrics`, `.curves`,
    `.spec` and where it came from are plain values; `.rerun()` trains it again.

    >>> record("f28fe189").metrics["accuracy"]
    0.719
    """
    return find(key)[1]


def teacher(profile: str, trial: int = 0, member: int = 0) -> "nn.Module":
    """A recorded teacher, in eval mode on the CPU: from inputs as `kdlib.data` has them, images in [0, 1], to logits.

    `trial` counts from 0, whatever its number in specs; `member` is the place in the trial's pool. Its weights are
    those committed beside the records, or else those in the run store. KdlibError where there is no such teacher, or
    there are no weights of it.
    """
    from kdlib.runs import kind_of
    from kdlib.runs.kind import loaded
    from kdlib.store import Store, committed_weights

    design, source = Design(profile), Recorded(profile)
    p = design.profile
    usual = p.data_set, p.net, p.draw, p.train, design.teaching
    pool: dict[int, dict] = {}
    for spec in (record.planned for record in source.records.values()):
        if kind_of(spec).starts_others and (
                spec.data.name, spec.model, spec.draw, spec.data.train, spec.training) == usual:
            pool.setdefault(spec.data.trial, {})[spec.member] = spec
    if not pool:
        raise StoreError(f"no teachers are recorded at profile {profile}")
    if not 0 <= trial < len(pool):
        raise StoreError(f"profile {profile} has {len(pool)} trials, counted from 0 (got {trial})")
    members = pool[sorted(pool)[trial]]
    if member not in members:
        there = ", ".join(map(str, sorted(members)))
        raise StoreError(f"of trial {trial} of profile {profile} the teachers {there} are recorded (got {member})")
    spec = members[member]
    store, there = Store(), source.weights_path(spec.key).exists()
    if not there and not store.weights_path(spec.key).exists():
        raise StoreError(f"the weights of teacher {spec.key} are not committed, nor in the run store: "
                         f"`kdlib run all --profile {profile}` trains it")
    return loaded(spec, lambda spec: committed_weights(source, spec) if there else store.weights(spec)).eval()
