"""Which way of distilling matches its teacher best? `kdlib benchmark mine.py` judges a method on the book's teachers.

A method is a function of a teacher and its training data that gives a student (`kdlib.method`), or a recipe, the book's
usual student but for its objective, optimizer, policy or steps (`kdlib.recipe`). It is run once a trial, on trials that
share nothing, and gets a card: accuracy beside fidelity, on test and training inputs, with the independent-student
baseline and intervals over trials.

Cost is counted in FLOPs of matrix products and convolutions, of all that a method does, whichever nets it makes; of a
recipe, those of a step of net, loss and optimizer, times the steps, and of its teacher's labels. The budget, cost 1, is
the usual number of steps, each with a label of the teacher for each example: what distillation with augmentation takes.

What is refused, and named: reading kdlib's data, so test labels; more than the cost that a method declares; a changed
teacher; a student that is the teacher, or lies next to it; one of another architecture. What is judged are the weights
that come back, in a net made here.

The rule of ranking, stated before any card was made. Ranked are the cards of a task that declare cost 1 and have at
least 10 trials. They are in the order of the mean over trials of own - unseen test agreement. A method is called ahead
of `kd`, distillation at temperature 1, or behind it, where the interval of the paired difference over trials lies on
one side of 0; the intervals of all rows hold together with 95 % (Bonferroni). Accuracy stands beside it and decides
nothing.
"""

import copy
import hashlib
import json
import math
import os
import sys
import time
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from tqdm import tqdm

from kdlib import catalog, data, losses, own
from kdlib.comparison import ALONE, FIDELITY, compare
from kdlib.compute import compute, processes, worker_count
from kdlib.devices import processor
from kdlib.distillation import distil
from kdlib.errors import KdlibError
from kdlib.experiments.design import Design
from kdlib.experiments.profiles import LIVE, PROFILES
from kdlib.metrics import NotFinite
from kdlib.models import build
from kdlib.own import Method
from kdlib.paths import atomic, data_dir, project_root, store_dir
from kdlib.results import Recorded, checksum
from kdlib.runs import cost
from kdlib.runs.kind import loaded
from kdlib.runs.labeller import asked
from kdlib.runs.student import start_of
from kdlib.spec import Student
from kdlib.stats import Estimate, estimate, telling_digits
from kdlib.store import Store, commit, digest
from kdlib.streams import GlobalStream, seed_of, stream
from kdlib.train import Source, first_line, fit, steady_process

TRIALS = 10  # of a card that is ranked, at the least
SLACK = 1.02  # a net is tried on a batch before it is trained
NEXT = 0.5  # how near the teacher's weights a student's may be, as a share of their norm; independent nets: 1.4
PARTS = "test", "train"
TASKS = {p.name: p.benchmark for p in PROFILES.values() if p.benchmark}


class BenchmarkError(KdlibError):
    """A benchmark that cannot be made."""


class Refused(KdlibError):
    """A method that breaks a rule, which it names."""


@dataclass(frozen=True)
class Material:
    """What a method is given beside its teacher: the inputs `x` [n, ...] and labels `y` [n] that its teacher was
    trained on, the usual `training` (`spec.Training`: steps, batch, optimizer ...), a `seed` for what it draws, and
    `augment`, the usual augmentation or None."""

    x: torch.Tensor
    y: torch.Tensor
    training: object
    augment: str | None
    seed: int
    _start: nn.Module = field(repr=False)

    @property
    def steps(self) -> int:
        """The usual number of steps."""
        return self.training.steps

    def student(self) -> nn.Module:
        """A new student, with the trial's initial weights."""
        return copy.deepcopy(self._start)

    def distil(self, teacher, student: nn.Module | None = None, **options) -> nn.Module:
        """`kdlib.distil` with the usual settings, but for `options`."""
        t = self.training
        usual = {"optimizer": t.optimizer, "lr": t.lr, "final_lr": t.final_lr, "warmup": t.warmup, "batch": t.batch,
                 "weight_decay": t.weight_decay, "steps": t.steps, "augment": self.augment, "seed": self.seed,
                 "progress": False}
        return distil(teacher, self.student() if student is None else student, (self.x, self.y), **usual | options)


def entry_of(file: Path, name: str = "") -> tuple[str, Method]:
    """(name, method) of what a file defines: a method or recipe, or an objective, an optimizer, or one of each, which
    make a recipe. BenchmarkError where it is not clear which is meant."""
    before = [dict(table) for table in _tables()]
    with closed() as touched:
        try:
            own.use(file)
        except own.OwnError:
            if not touched:
                raise
    if touched:
        raise Refused(f"{file} is refused: it reads {touched[0]}, kdlib's data, before it is asked to distil")
    methods, objectives, optimizers = ([key for key, value in table.items() if was.get(key) is not value]
                                       for table, was in zip(_tables(), before, strict=True))
    if name:
        methods, objectives, optimizers = ([n for n in names if n == name]
                                           for names in (methods, objectives, optimizers))
        if not (methods or objectives or optimizers):
            raise BenchmarkError(f"{file} defines no {name!r}")
    if len(methods) > 1 or (not methods and max(len(objectives), len(optimizers)) > 1):
        raise BenchmarkError(f"{file} defines {', '.join(methods or objectives + optimizers)}: say which by --name")
    if methods:
        return methods[0], own.METHODS[methods[0]]
    parts = [(catalog.OBJECTIVES, objectives), (catalog.OPTIMIZERS, optimizers)]
    said = next(own.about(table[names[0]].code) for table, names in parts if names)
    fields = {what: names[0] for what, names in (("objective", objectives), ("optimizer", optimizers)) if names}
    return " + ".join(objectives + optimizers), Method(said, fields=fields)


def _tables():
    return own.METHODS, catalog.OBJECTIVES, catalog.OPTIMIZERS


def task(profile: str, trials: int | None = None) -> list[Student]:
    """The usual students of a profile, one a trial: they say which teachers, data, net and training. BenchmarkError
    where it is no task."""
    if profile not in TASKS:
        raise BenchmarkError(f"there is no benchmark on {profile!r}; there are {', '.join(TASKS)}")
    given = PROFILES[profile].weights  # of its teachers: there are as many trials as it has, and none is trained
    usual = None if given else TRIALS
    design, source = Design(profile, usual if trials is None else trials), Recorded(profile)
    students = [*design.students()]
    missing = {t for s in students for t in s.needs if not source.weights_path(t.key).exists()} if given else ()
    if missing:
        raise BenchmarkError(f"{profile} has {PROFILES[profile].seeds} trials; of the teachers of {len(students)} "
                             f"{len(missing)} are not committed with their weights")
    return students


def budget(spec: Student) -> int:
    """FLOPs of cost 1: the usual steps, each with its teacher's label of every example."""
    price = cost.of_run(spec).cost()
    return spec.training.steps * (price.step_flops + spec.training.batch * price.label_flops)


class Meter(TorchDispatchMode):
    """Counts the FLOPs of matrix products and convolutions, forward and backward, up to a limit."""

    def __init__(self, limit: float):
        super().__init__()
        self.limit, self.total = limit, 0
        self.counts: dict = dict.fromkeys(flop_registry)  # torch counts slowly: once for operands of a shape

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **kwargs or {})
        if func.overloadpacket in self.counts:
            shapes = tuple(arg.shape if isinstance(arg, torch.Tensor) else str(arg) for arg in args)
            if (func, shapes) not in self.counts:
                self.counts[func, shapes] = flop_registry[func.overloadpacket](*args, **kwargs or {}, out_val=out)
            self.total += self.counts[func, shapes]
            if self.total > self.limit:
                raise Refused("exceeds the cost")
        return out

    @classmethod
    def ignore_compile_internals(cls):
        """Nothing here is compiled: torch need not look."""
        return True


_watching: list[list[str]] = []  # what was opened, while data are closed


def _note(event, arguments):
    if not _watching:
        return
    if event == "kdlib.draw":
        what = f"a draw of {arguments[0]}"
    elif event == "open" and isinstance(arguments[0], str | bytes):
        what = os.path.realpath(os.fsdecode(arguments[0]))
        if not any(Path(what).is_relative_to(os.path.realpath(folder)) for folder in (data_dir(), store_dir())):
            return
    else:
        return
    _watching[-1].append(what)
    raise Refused(f"reads {what}: kdlib's data, so test labels")


@contextmanager
def closed():
    """Meanwhile nothing of kdlib's data, drawn or stored, can be read; gives a list of what was tried. It is against
    mistakes: whoever wants to cheat in Python can, and shows how in the code beside the card."""
    if not getattr(_note, "added", False):
        sys.addaudithook(_note)
        _note.added = True
    _watching.append([])
    try:
        yield _watching[-1]
    finally:
        _watching.pop()


def failed(name: str, error: Exception) -> BenchmarkError:
    """Of a method that raises: what it raises and where in its own file."""
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in own.USED]
    where = f" at {lines[-1].filename}, line {lines[-1].lineno}" if lines else ""
    return BenchmarkError(f"method {name} fails{where}: {type(error).__name__}: {first_line(error)}")


def recipe_of(method: Method, spec: Student) -> Student:
    """The usual student as a recipe changes it."""
    fields = dict(method.fields)
    changed = {"optimizer": fields.pop("optimizer")} if "optimizer" in fields else {}
    training = spec.training.but(steps=round(method.times * spec.training.steps), **changed)
    return spec.but(training=training, **fields)


def recipe_cost(spec: Student) -> float:
    """FLOPs of a student that is trained as the book's runs are: of a step of its net, its loss and its optimizer,
    which is done here, times the steps, and of its teacher's labels."""
    n, classes = spec.training.batch, spec.data.known.classes
    net, x, draws = build(spec.model, spec.data.name, "cost"), cost.made_up(spec.data.name, n), stream("cost")
    parts = (x, torch.randn(n, classes, generator=draws), *(
        [torch.randint(classes, (n,), generator=draws)] if spec.labelled else []))
    source = Source("cost", n, lambda rows: tuple(part[rows] for part in parts), draws)
    with closed() as touched, Meter(math.inf) as meter, suppress(Refused):
        fit([net], spec.training.but(steps=1, warmup=0), [source], losses.of(**dict(spec.loss)))
    if touched:
        raise Refused(f"objective {spec.objective} is refused: it reads {touched[0]}: kdlib's data, so test labels")
    return spec.training.steps * meter.total + asked(spec) * cost.of_run(spec.teachers[0]).cost().label_flops


def judge(name: str, spec: Student, used: dict[str, str]) -> dict:
    """One trial of a method: its numbers. Refused names the rule that it breaks."""
    steady_process()
    with closed():
        own.receive(used)
    method, store, splits = own.METHODS[name], Store(), data.load(**dict(spec.data))
    teacher = loaded(spec.teachers[0], store.weights)
    given, start = copy.deepcopy(teacher).eval(), start_of(spec, store.weights)
    material = Material(data.pixels(splits.train_x), splits.train_y, spec.training, catalog.BASELINE
                        if spec.data.inputs.cropped else None, seed_of("benchmark", spec.key), start)
    unit = budget(spec)

    def refuse(why):
        raise Refused(f"method {name} is refused, in trial {spec.data.trial}: it {why}")

    began = time.process_time()
    meter = Meter(method.cost * unit * SLACK)
    with closed() as touched, GlobalStream(torch.device("cpu")) as draws:
        draws.seed(material.seed)  # whatever a method draws without a thought, it draws again next time
        try:
            with meter:
                student = method.code(given, material)
        except Exception as error:
            if not touched and meter.total <= meter.limit:
                raise failed(name, error) from error
    seconds = time.process_time() - began
    if touched:
        refuse(f"reads {touched[0]}: kdlib's data, so test labels")
    if meter.total > meter.limit:
        refuse(EXCEEDS.format(method.cost, method.cost * unit))
    if digest(_state(given)) != digest(_state(teacher)):
        refuse("changes the teacher: train a student, and copy.deepcopy what you need of the teacher")
    if student is given or not isinstance(student, nn.Module):
        refuse("returns the teacher" if student is given else f"returns {type(student).__name__}, and no student")
    shapes = [{name: value.shape for name, value in _state(net).items()} for net in (student, start)]
    if shapes[0] != shapes[1]:
        refuse("returns a net of another architecture than data.student()")
    fresh = copy.deepcopy(start)
    fresh.load_state_dict(_state(student))
    if shapes[0] == {name: value.shape for name, value in _state(teacher).items()}:
        ours, theirs = (nn.utils.parameters_to_vector(net.parameters()) for net in (fresh, teacher))
        if (ours - theirs).norm() < NEXT * theirs.norm():
            refuse("returns the teacher, or a net next to it: a student does not start from its teacher's weights")
    try:
        return measured(spec, fresh, meter.total / unit, seconds)
    except (NotFinite, ValueError) as error:
        refuse(f"returns a student whose answers are no logits ({error})")


EXCEEDS = "exceeds the cost of {:g}, {:.3g} FLOPs: declare more by cost=..., or do less"


def measured(spec: Student, student: nn.Module, used: float, seconds: float) -> dict:
    """A trial's numbers, of a student with its trial's teachers; `used`: its cost."""
    store, splits = Store(), data.load(**dict(spec.data))
    teacher, *unseen = (loaded(t, store.weights) for t in (spec.teachers[0], *spec.unseen))
    parts = {"test": (splits.test_x, splits.test_y), "train": (splits.train_x, splits.train_y)}
    return {"trial": spec.data.trial, "teacher": spec.teachers[0].key, "unseen": [t.key for t in spec.unseen],
            "cost": round(used, 4), "seconds": round(seconds, 2)} | {
                part: _numbers(teacher, student, unseen, *xy) for part, xy in parts.items()}


def judge_recipe(name: str, method: Method, specs: list[Student], workers: int | None, progress: bool) -> list[dict]:
    """All trials of a recipe, which are runs like the book's."""
    made = [recipe_of(method, spec) for spec in specs]
    unit = budget(specs[0])
    try:
        used = recipe_cost(made[0]) / unit
    except Refused:
        raise
    except Exception as error:
        raise failed(name, error) from error
    if used > method.cost * SLACK:
        raise Refused(f"method {name} is refused: it " + EXCEEDS.format(method.cost, method.cost * unit))
    records, store = compute(made, workers, None, progress), Store()
    return [measured(spec, loaded(spec, store.weights), used, records[spec].seconds) for spec in made]


def _state(net) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}


def _numbers(teacher, student, unseen, x, y) -> dict[str, dict[str, float | None]]:
    """{measure: {of whom: number}}, None where it is not defined."""
    found = compare(teacher=teacher, student=student, unseen=unseen, data=(data.pixels(x), y), resamples=100)
    out: dict[str, dict] = {measure: {} for measure in (*ALONE, *FIDELITY)}
    for (measure, of), e in found.estimates.items():
        out[measure][of] = round(e.mean, 6) if math.isfinite(e.mean) else None
    return out


def values(card: dict, part: str, measure: str, of: str) -> list[float]:
    """One number a trial."""
    return [trial[part][measure][of] for trial in card["trials"]]


def _summary(trials) -> dict:
    """{part: {measure: {of: mean and 95 % t-interval over trials}}}; a measure that a trial lacks is left out."""
    card, out = {"trials": trials}, {part: {} for part in PARTS}
    for part in PARTS:
        for measure, whom in trials[0][part].items():
            rows = {of: values(card, part, measure, of) for of in whom}
            out[part][measure] = {of: _plain(estimate(row)) for of, row in rows.items() if None not in row}
    return out


def _plain(e: Estimate) -> dict:
    return {name: round(value, 6) if math.isfinite(value) else None for name, value in (
        ("mean", e.mean), ("low", e.low), ("high", e.high))} | {"n": e.n}


def run(file: Path, name: str = "", profile: str = LIVE, trials: int | None = None, workers: int | None = None,
        progress: bool = True) -> dict:
    """The card of what a file defines. Teachers that the store lacks are trained, or taken over where their weights
    are committed. Refused and BenchmarkError say, in a sentence, why there is no card."""
    (name, method), specs = entry_of(file, name), task(profile, trials)
    teachers = [t for spec in specs for t in spec.needs]
    records, source = compute(teachers, workers, None, progress), Recorded(profile)
    known = [(source.get(t), records[t]) for t in teachers if source.get(t)]
    if method.code is None:
        judged = judge_recipe(name, method, specs, workers, progress)
    else:
        given = [name] * len(specs), specs, [own.USED] * len(specs)
        count, pool = min(worker_count(workers), len(specs)), None
        try:
            pool = processes(count, KDLIB_STORE=str(store_dir())) if count > 1 else None
            done = pool.map(judge, *given) if pool else map(judge, *given)
            judged = list(tqdm(done, total=len(specs), unit="trial", desc=name, disable=not progress))
        except BaseException:  # what is under way is not waited for
            if pool:
                pool.shutdown(kill_workers=True)
            raise
    path = str(Path(file).expanduser().absolute())
    body = {
        "method": name, "about": method.about, "code": Path(path).name,
        "sha256": hashlib.sha256(own.USED[path].encode()).hexdigest(), "task": profile, "declared_cost": method.cost,
        "budget_flops": budget(specs[0]), "commit": commit(), "processor": processor(), "torch": torch.__version__,
        "teachers": {"used": len(teachers), "recorded": len(known), "largest_difference_from_records": max(
            (max(was.difference(now)) for was, now in known), default=None)},
        "cost": _plain(estimate([trial["cost"] for trial in judged])), "summary": _summary(judged), "trials": judged}
    return body | {"checksum": checksum(body)}


def write(card: dict, path: Path) -> None:
    """Put a card into a file."""
    with atomic(path) as file:
        file.write(_written(card).encode())


def _written(card: dict) -> str:
    return json.dumps(card, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read(path: Path) -> dict:
    """A card, whose code lies beside it; BenchmarkError where either was changed."""
    try:
        card = json.loads(there := path.read_text(encoding="utf-8"))
        given = card["checksum"]
        code = (path.parent / card["code"]).read_text(encoding="utf-8-sig")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(f"{path} is no card with its code beside it ({error})") from None
    whole = there == _written(card)  # which says each thing once
    if checksum({name: value for name, value in card.items() if name != "checksum"}) != given or not whole:
        raise BenchmarkError(f"{path} was changed after it was written")
    if hashlib.sha256(code.encode()).hexdigest() != card["sha256"]:
        raise BenchmarkError(f"{path.parent / card['code']} is not the code of {path}: run `kdlib benchmark` again")
    return card


# What ranks comes first: a phone shows two columns or three.
ROWS = (("test", "agreement", "specific", "own − unseen (%)", 100),
        ("test", "agreement", "own", "test agreement (%)", 100), ("test", "accuracy", "student", "accuracy (%)", 100),
        ("train", "agreement", "own", "train agreement (%)", 100), ("test", "kl", "own", "test KL (nats)", 1))


def text(card: dict) -> str:
    """A card in a few lines."""
    count, used = len(card["trials"]), card["cost"]["mean"]
    lines = [f"{card['method']} on {TASKS[card['task']]}: {count} trials, cost {used:.2f}"]
    for part, measure, of, label, scale in ROWS:
        lines.append(f"  {label:20} {_cell(card['summary'][part][measure][of], scale)}")
    teacher = card["summary"]["test"]["accuracy"]["teacher"]
    return "\n".join([*lines, f"  {'its teacher (%)':20} {_cell(teacher, 100)}",
                      "Mean over trials [95 % t-interval]; unseen: with a teacher that it never saw."])


def _cell(e: dict, scale: float) -> str:
    digits = 1 if scale == 100 else 3
    if e["low"] is None:
        return f"{e['mean'] * scale:.{digits}f}"
    return f"{e['mean'] * scale:.{digits}f} [{e['low'] * scale:.{digits}f}, {e['high'] * scale:.{digits}f}]"


# --- the page

BASE = catalog.DISTILLATION  # the card of it, with which the others are compared
MARKS = "<!-- the leaderboard: written by python -m kdlib.benchmark -->", "<!-- end of the leaderboard -->"


def ranked(cards: list[dict]) -> list[SimpleNamespace]:
    """Cards of one task in the order of the page, by the rule at the top: each with its rank, "" if it has none, and
    how it stands to the base."""
    def merit(card):
        return card["summary"]["test"]["agreement"]["specific"]["mean"]

    rows, rank = [], 0
    base = next((card for card in cards if card["method"] == BASE), None)
    for card in sorted(cards, key=merit, reverse=True):
        counts = card["declared_cost"] <= 1 and len(card["trials"]) >= TRIALS
        rank += counts
        rows.append(SimpleNamespace(card=card, rank=str(rank) if counts else "", against=_against(
            card, base, max(1, len(cards) - 1))))
    return rows


def _against(card, base, several: int) -> str:
    if base is None or card is base:
        return ""
    def by_teachers(one):  # a trial is the same one with the same teachers: their recipe may change
        return {(t["trial"], t["teacher"], *t["unseen"]): t["test"]["agreement"]["specific"] for t in one["trials"]}

    ours, theirs = by_teachers(card), by_teachers(base)
    pairs = [ours[trial] - theirs[trial] for trial in ours if trial in theirs]
    if len(pairs) < 2:
        return ""
    e = estimate(pairs, 1 - 0.05 / several)
    word = "ahead" if e.low > 0 else "behind" if e.high < 0 else "undecided"
    digits = telling_digits(e, [0], 100)
    return f"{100 * e.mean:+.{digits}f} [{100 * e.low:+.{digits}f}, {100 * e.high:+.{digits}f}]: {word}"


def usual_card(cards: list[dict]) -> dict:
    """The base's, or the first where it has none."""
    return next((card for card in cards if card["method"] == BASE), cards[0])


def table(cards: list[dict]) -> str:
    """The leaderboard in Markdown, of the cards of one task, and what each method is."""
    first, *others = [label for *_, label, _ in ROWS]
    header = ["rank", "method", first, f"that, less {BASE}'s", "cost", *others]
    lines, methods = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"], []
    usual = len(usual_card(cards)["trials"])
    for row in ranked(cards):
        card = row.card
        link = f"{{download}}`{card['method']} <../results/benchmark/{card['code']}>`"
        count = "" if len(card["trials"]) == usual else f", {len(card['trials'])} trials"
        methods.append(f"- `{card['method']}`: {card['about'].rstrip('.')}{count}")
        first, *others = [_cell(card["summary"][part][measure][of], scale) for part, measure, of, _, scale in ROWS]
        cells = [row.rank, link, first, row.against, f"{card['cost']['mean']:.2f}", *others]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *methods])


def page(root: Path) -> str:
    """What stands between the marks of `book/leaderboard.md`: a table for each task that has cards."""
    cards = [read(path) for path in sorted((root / "results" / "benchmark").glob("*.json"))]
    blocks = []
    for name, title in TASKS.items():
        if PROFILES[name].role == "check":  # where a method is tried
            continue
        group = [card for card in cards if card["task"] == name]
        if group:
            usual = usual_card(group)
            teacher = usual["summary"]["test"]["accuracy"]["teacher"]
            blocks.append(f"**{title}**, {len(usual['trials'])} trials where a method says no other number. The "
                          f"teachers' accuracy is {_cell(teacher, 100)} %.\n\n{table(group)}")
    return "\n\n".join(blocks)


def main() -> None:
    """Write the tables of `book/leaderboard.md` anew from the cards."""
    file = project_root() / "book" / "leaderboard.md"
    before, rest = file.read_text(encoding="utf-8").split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    file.write_text(f"{before}{MARKS[0]}\n\n{page(project_root())}\n\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
