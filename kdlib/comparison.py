"""Does this student match this teacher? `kdlib.compare`: fidelity of any two nets beside the independent-student
baseline, with intervals.

Every statistic here is a function of how often each input counts, w [n, r] for r resamples at once: once each gives
the number itself, as `kdlib.metrics` defines it, a bootstrap's draws its interval. All nets are seen on the same
draws, so differences are paired.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import ndtr, ndtri
from torch import nn

from kdlib import metrics
from kdlib.errors import short
from kdlib.logits import (
    ROWS,
    Features,
    LogitsError,
    checked,
    ensemble,
    listed,
    of_nets,
    read,
    read_labels,
    shuffles,
    tensor,
)
from kdlib.stats import Estimate, estimate
from kdlib.streams import stream

COUNTS = 1_000_000  # of inputs in resamples that are held at a time
CONFIDENCE = 0.95


class Measure(NamedTuple):
    """How a measure is shown: its name, a factor, digits."""

    label: str
    scale: float
    digits: int
    undefined: str = ""  # when it has no number, or no finite one


ALONE = {  # of one net
    "accuracy": Measure("accuracy (%)", 100, 1),
    "nll": Measure("NLL (nats)", 1, 3, "infinite: a net rules out the class of a label"),
    "ece": Measure("ECE (%)", 100, 1),
}
FIDELITY = {  # of a student and a teacher
    "agreement": Measure("agreement (%)", 100, 1),
    "kl": Measure("predictive KL (nats)", 1, 3, "infinite: the student rules out a class that a teacher does not"),
    "reverse_kl": Measure("reverse KL (nats)", 1, 3, "infinite: a teacher rules out a class that the student does not"),
    "jensen_shannon": Measure("Jensen-Shannon (nats)", 1, 3),
    "total_variation": Measure("total variation", 1, 3),
    "kappa": Measure("Cohen's κ", 1, 3),
    "log_odds_slope": Measure("slope of log-odds", 1, 3, "a teacher is equally sure everywhere, or a net is certain"),
    "agreement_right": Measure("agreement where the teacher is right (%)", 100, 1, "a teacher is never right"),
    "agreement_wrong": Measure("agreement where it is wrong (%)", 100, 1, "a teacher is never wrong"),
    "copied_errors": Measure("copies of its errors above chance (%)", 100, 1,
                             "a teacher is never wrong where its input has another one of its label"),
}
CKA = "cka:"  # and the name of a module
NETS, SIDES = ("teacher", "student", "unseen teachers"), ("own", "unseen", "specific")


def _measure(name: str) -> Measure:
    return ({**ALONE, **FIDELITY}.get(name)
            or Measure(f"CKA of {name.removeprefix(CKA)}", 1, 3, "features that are the same for all inputs"))


@dataclass(frozen=True, repr=False)
class Comparison:
    """What `compare` found. `estimates` {(measure, of whom): Estimate}; the properties give {measure: Estimate}."""

    inputs: int
    classes: int
    students: int
    unseen_teachers: int
    resamples: int
    estimates: dict[tuple[str, str], Estimate]
    notes: tuple[str, ...]

    def of(self, whom: str) -> dict[str, Estimate]:
        """{measure: Estimate} of "teacher", "student" or "unseen teachers" by themselves, or of the student beside its
        "own" teacher, beside "unseen" ones, and what is "specific": own minus unseen."""
        return {measure: e for (measure, of), e in self.estimates.items() if of == whom}

    @property
    def teacher(self) -> dict[str, Estimate]:
        """Accuracy, NLL and ECE of the teacher."""
        return self.of("teacher")

    @property
    def student(self) -> dict[str, Estimate]:
        """Accuracy, NLL and ECE of the student."""
        return self.of("student")

    @property
    def unseen_teachers_alone(self) -> dict[str, Estimate]:
        """Accuracy, NLL and ECE of the unseen teachers, their mean."""
        return self.of("unseen teachers")

    @property
    def own(self) -> dict[str, Estimate]:
        """Fidelity to the student's own teacher."""
        return self.of("own")

    @property
    def unseen(self) -> dict[str, Estimate]:
        """The same with teachers that the student never saw, their mean: the independent-student baseline (paper,
        Sec 3.2)."""
        return self.of("unseen")

    @property
    def specific(self) -> dict[str, Estimate]:
        """Own minus unseen, input by input: what of the fidelity belongs to this teacher (paper, Sec 3.2)."""
        return self.of("specific")

    def to_frame(self):
        """A pandas DataFrame, one row for each number: measure, of (whom), mean, low, high, n."""
        try:
            import pandas
        except ImportError:
            raise LogitsError("to_frame needs pandas: pip install pandas; to_json does not") from None
        return pandas.DataFrame([{"measure": measure, "of": of, "mean": e.mean, "low": e.low, "high": e.high, "n": e.n}
                                 for (measure, of), e in self.estimates.items()])

    def to_json(self) -> str:
        """All of it; null where a number is not defined or not finite."""
        def plain(value):
            return value if np.isfinite(value) else None

        estimates = {}
        for (measure, of), e in self.estimates.items():
            estimates.setdefault(measure, {})[of] = {"mean": plain(e.mean), "low": plain(e.low), "high": plain(e.high),
                                                     "n": e.n}
        return json.dumps({
            "inputs": self.inputs, "classes": self.classes, "students": self.students,
            "unseen_teachers": self.unseen_teachers, "resamples": self.resamples, "confidence": CONFIDENCE,
            "estimates": estimates, "notes": self.notes}, indent=1, allow_nan=False, ensure_ascii=False)

    @property
    def title(self) -> str:
        """How many students, unseen teachers, inputs and classes it is of."""
        unseen = f", {_count(self.unseen_teachers, 'unseen teacher')}" * bool(self.unseen_teachers)
        return (f"{_count(self.students, 'student')} and its teacher{unseen}; {_count(self.inputs, 'input')}, "
                f"{self.classes} classes").replace("students and its", "students and their")

    @property
    def legend(self) -> str:
        """What its intervals are."""
        bootstrap = f"[{100 * CONFIDENCE:.0f} % bootstrap interval over inputs]"
        if self.students > 1:
            return (f"Mean over students [{100 * CONFIDENCE:.0f} % t-interval]; of teachers by themselves, estimate "
                    f"{bootstrap}.")
        return f"Estimate {bootstrap}."

    def tables(self) -> list[list[list[str]]]:
        """Tables of text, rows of cells, the first one a header."""
        out = []
        for header, whom in ((NETS, NETS), (("own teacher", "unseen", "own − unseen"), SIDES)):
            measures = list(dict.fromkeys(m for m, of in self.estimates if of in whom))
            count = len(whom) if self.unseen_teachers else whom.index("unseen teachers" if whom is NETS else "unseen")
            rows = [[_measure(m).label, *(_text(m, self.estimates[m, of]) for of in whom[:count])] for m in measures]
            out += [[["", *header[:count]], *rows]] * bool(rows)
        return out

    def __repr__(self):
        tables = self.tables()
        widths = [max(len(row[i]) for table in tables for row in table if i < len(row))
                  for i in range(max(len(table[0]) for table in tables))]
        lines = [self.title]
        for table in tables:
            lines += ["", *("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
                            for row in table)]
        return "\n".join([*lines, "", self.legend, *self.notes])

    def to_markdown(self) -> str:
        """The tables of `print`, as Markdown."""
        blocks = [f"**{self.title}**"]
        for table in self.tables():
            header, *rows = [f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in table]
            blocks.append("\n".join([header, "|---" * len(table[0]) + "|", *rows]))
        return "\n\n".join([*blocks, self.legend, *self.notes]) + "\n"

    _repr_markdown_ = to_markdown

    def figure(self):
        """A matplotlib figure: agreement and its like, on an axis that reaches 1, and divergences; with the student's
        own teacher and with unseen ones beside each other."""
        from matplotlib import rc_context

        from kdlib import figures

        drawn = [m for m, e in self.own.items() if np.isfinite(e.mean)]
        nats = [m for m in drawn if "nats" in _measure(m).label]
        shares = [m for m in drawn if m not in (*nats, "total_variation", "log_odds_slope")]
        with rc_context():
            figures.style()
            figure, axes = figures.panels(1 + bool(nats), height=2.6)
            for ax, measures, label in zip(axes, (shares, nats), ("share; κ and CKA", "nats"), strict=False):
                for offset, side, name, colour, marker in ((-0.13, self.own, "own teacher", figures.BLUE, "o"),
                                                           (0.13, self.unseen, "unseen teachers", figures.GREY, "X")):
                    rows = [(i + offset, side[m]) for i, m in enumerate(measures) if m in side]
                    for at, e in rows:
                        reach = [[e.mean - e.low], [e.high - e.mean]] if np.isfinite(e.high - e.low) else None
                        ax.errorbar(e.mean, at, xerr=reach, fmt=marker, color=colour, capsize=2)
                    if rows and measures is shares:
                        ax.plot([], [], marker, color=colour, label=name)
                ax.set_yticks(range(len(measures)), [_measure(m).label.split(" (")[0] for m in measures])
                ax.set_ylim(len(measures) - 0.5, -0.5)
                ax.set_xlabel(label)
                ax.set_xlim(left=min(0, ax.get_xlim()[0]), right=1.02 if measures is shares else None)
            axes[0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
        return figure


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' * (n != 1)}"


def _text(measure: str, e: Estimate) -> str:
    m = _measure(measure)
    if np.isnan(e.mean):
        return "–"
    text = f"{e.mean * m.scale:z.{m.digits}f}"
    return (e.text(m.scale, m.digits) if np.isfinite([e.low, e.high]).all() else text).replace("inf", "∞")


def compare(*, teacher, student, data=None, unseen=(), labels=None, modules=(), probabilities: bool | None = None,
            resamples: int = 1000, seed: int = 0, cka_inputs: int = 2000) -> Comparison:
    """Fidelity of a student to its teacher, with intervals, beside the same with teachers that it never saw.

    teacher: an `nn.Module`, or, without `data`, its logits [n, classes]: a tensor of any precision and device, an
        array, numbers in lists, the name of a .npz, .npy or .csv file (`kdlib.logits.read`). A list of such is an
        ensemble, which predicts its members' mean probability (paper, Sec 3.1), as are logits [members, n, classes].
    student: likewise one, or a list of several students of this teacher, seeds for example; a list within it is an
        ensemble. Of several, intervals are Student's t over students.
    unseen: a list of teachers like the student's own, trained like it, that the student never saw; each may be an
        ensemble. Without any, nobody knows how much of the agreement is only that both have learned the task.
    data: a loader, a Dataset or an iterable of batches x or (x, y), or tensors x or (x, y). One pass over it; nets stay
        in their mode, on their device.
    labels: whole numbers [n], or a file of them; if not given, those of `data` or of the files, if they have any.
    modules: names of modules to compare by CKA, of single nets; where the names differ {"teacher": name, "student":
        name}. A random `cka_inputs` of the inputs are used.
    probabilities: the numbers given, or what the nets give, are probabilities.

    With one student, intervals are of `resamples` bootstrap draws of the inputs, the same for all nets, by
    bias-corrected percentiles (Efron, 1981): how sure the numbers are for these nets, not for others trained alike.
    Logits of -inf are of classes that are ruled out; where only the student rules one out, KL is infinite.
    LogitsError, one sentence, if there is nothing to compare.
    """
    for name, value, least in (("resamples", resamples, 100), ("cka_inputs", cka_inputs, 2)):
        if not isinstance(value, Integral) or value < least:
            raise LogitsError(f"{name} must be a whole number of at least {least} (got {value!r})")
    if not isinstance(seed, Integral):
        raise LogitsError(f"seed must be a whole number (got {short(seed)})")
    students, others = ([*given] if isinstance(given, list | tuple) and listed(given) not in (1, 2) else [given]
                        for given in (student, unseen))
    if not students:
        raise LogitsError("there is no student")
    names = [f"student {i}" if len(students) > 1 else "the student" for i in range(1, len(students) + 1)]
    teachers = ["the teacher", *(f"unseen teacher {i}" for i in range(1, len(others) + 1))]
    given = {name: list(one) if isinstance(one, list | tuple) and not listed(one) else [one]
             for name, one in zip((*teachers, *names), (teacher, *others, *students), strict=True)}
    entries, features = _modules(modules, given), Features(cka_inputs, seed)
    watched = {name: {label: entry["student" if name in names else "teacher"] for label, entry in entries.items()}
               for name in given if entries}
    logits, labels = _gather(given, data, labels, watched, features, probabilities)
    for foil in teachers[1:]:
        if torch.equal(logits[foil], logits["the teacher"]):
            raise LogitsError(f"{foil} is the student's own teacher: it must be another net, trained like it")

    alone = {name: _alone(z, labels) for name, z in logits.items()} if labels is not None else {}
    pairs = {(s, t): _pair(logits[s], logits[t], labels) for s in names for t in teachers}
    grams = {key: Gram(features.of(*key)) for key in features.kept}
    n, classes = logits["the teacher"].shape
    sample = torch.tensor(features.rows, dtype=torch.long)

    def of_teachers(w):
        own, *foils = [_quality(alone[t], w) for t in teachers] if alone else [{}]
        return _named("teacher", own) | _named("unseen teachers", _mean(foils))

    def of_student(s, w):
        own, *foils = [_fidelity(pairs[s, t], w) | {
            CKA + label: grams[s, label].cka(grams[t, label], w[sample]) for label in entries} for t in teachers]
        unseen, quality = _mean(foils), _quality(alone[s], w) if alone else {}
        return (_named("student", quality) | _named("own", own) | _named("unseen", unseen)
                | _named("specific", {m: own[m] - v for m, v in unseen.items()}))

    if len(names) == 1:
        found = _bootstrap(lambda w: of_teachers(w) | of_student(names[0], w), n, resamples, seed)
        found |= {key: replace(e, n=len(sample)) for key, e in found.items() if key[0].startswith(CKA)}
    else:
        each = [of_student(s, torch.ones(n, 1, dtype=torch.double)) for s in names]
        found = _bootstrap(of_teachers, n, resamples, seed) | {
            key: _over_students([float(one[key]) for one in each], key[0]) for key in each[0]}
    order = [*ALONE, *FIDELITY, *(CKA + label for label in entries)]
    estimates = {(m, of): found[m, of] for m in order for of in (*NETS, *SIDES) if (m, of) in found}
    return Comparison(n, classes, len(names), len(others), int(resamples), estimates, _notes(estimates, bool(others)))


def _modules(modules, given) -> dict[str, dict[str, str]]:
    """As {label: {"teacher": name, "student": name}}."""
    entries = {}
    for entry in [modules] if isinstance(modules, str | dict) else modules or ():
        entry = {"teacher": entry, "student": entry} if isinstance(entry, str) else entry
        if not isinstance(entry, dict) or set(entry) != {"teacher", "student"}:
            raise LogitsError('modules must be names, or {"teacher": name, "student": name} where they differ '
                              f"(got {entry!r})")
        entries[" and ".join(dict.fromkeys((entry["teacher"], entry["student"])))] = entry
    several = [name for name, members in given.items() if len(members) > 1]
    if entries and several:
        raise LogitsError(f"CKA of modules is of single nets, and {several[0]} is an ensemble")
    return entries


def _gather(given, data, labels, watched, features, probabilities):
    """({name: logits [n, classes]}, labels [n] or None)."""
    sources = {"the labels given": read_labels(labels) if isinstance(labels, str | Path) else labels}
    nets = {name: [isinstance(one, nn.Module) for one in members] for name, members in given.items()}
    for name, members in given.items():
        if not members:
            raise LogitsError(f"{name} is an ensemble of nothing")
        if all(nets[name]) != (data is not None) or any(nets[name]) != (data is not None):
            raise LogitsError(f"{name} must be " + ("a net, an nn.Module, since there are data" if data is not None else
                                                    "logits, since there are no data: give data for nets"))
    if data is not None:
        if labels is not None and shuffles(data):
            raise LogitsError("the loader shuffles, so that labels given beside it would belong to other inputs: let "
                              "it give (x, y), or do not shuffle")
        outputs, sources["the labels of the data"] = of_nets(given, data, features, watched)
    else:
        if watched:
            raise LogitsError("CKA of modules needs nets and data, and there are logits only")
        outputs = {}
        for name, members in given.items():
            outputs[name] = []
            for one in members:
                if isinstance(one, str | Path):
                    path = one
                    one, sources[f"the labels in {path}"] = read(path)
                outputs[name].append(one)
    logits = {name: ensemble([checked(one, name, probabilities) for one in members])
              for name, members in outputs.items()}
    first, shape = next((name, z.shape) for name, z in logits.items())
    for name, z in logits.items():
        if z.shape != shape:
            raise LogitsError(f"{name} and {first} differ in shape, {list(z.shape)} and {list(shape)}: the same inputs "
                              "and classes are needed")
    return logits, _labels({source: y for source, y in sources.items() if y is not None}, *shape)


def _labels(sources: dict, n: int, classes: int):
    """The labels that all sources agree on, None without any."""
    found = {}
    for source, y in sources.items():
        try:
            found[source] = metrics.class_indices(tensor(y, source), n, classes)
        except ValueError as error:
            raise LogitsError(f"{source}: {str(error).removeprefix(f'{source} ')}") from None
    for source, y in found.items():
        first = next(iter(found))
        if not torch.equal(y, found[first]):
            raise LogitsError(f"{first} and {source} differ: rows would be compared that are not of the same input")
    return next(iter(found.values()), None)


def _alone(z, labels) -> dict[str, torch.Tensor]:
    """What the measures of one net need of each input."""
    nll, place, error, right = [], [], [], []
    for part, y in zip(z.split(ROWS), labels.split(ROWS), strict=True):
        part = part.double()
        index, distance = metrics.calibration_errors(part, y)
        nll.append(-part.log_softmax(1).gather(1, y[:, None])[:, 0])
        place.append(index)
        error.append(distance)
        right.append((part.argmax(1) == y).double())
    return {"means": torch.stack([torch.cat(right), torch.cat(nll)]), "bin": torch.cat(place),
            "error": torch.cat(error)}


def _pair(s, t, labels) -> dict[str, torch.Tensor]:
    """What the measures of a student and a teacher need of each input."""
    rows, guesses = [], []
    for a, b in zip(s.split(ROWS), t.split(ROWS), strict=True):
        a, b = a.double(), b.double()
        p, q = a.log_softmax(1), b.log_softmax(1)
        guess_s, guess_t = a.argmax(1), b.argmax(1)
        rows.append(torch.stack([
            (guess_s == guess_t).double(), metrics.kl_rows(q, p), metrics.kl_rows(p, q),
            metrics.jensen_shannon_rows(p, q), (p.exp() - q.exp()).abs().sum(1) / 2,
            metrics.log_odds(b, guess_t), metrics.log_odds(a, guess_t)]))
        guesses.append(torch.stack([guess_s, guess_t]))
    rows, (guess_s, guess_t) = torch.cat(rows, 1), torch.cat(guesses, 1)
    same, (x, y) = rows[0], rows[5:] - rows[5:].mean(1, keepdim=True)
    found = {"means": rows[:5], "moments": torch.stack([x, y, x * x, x * y]), "same": same,
             "guesses": (guess_s, guess_t), "classes": torch.tensor(s.shape[1])}
    if labels is not None:
        right = (guess_t == labels).double()
        found["by correctness"] = torch.stack([right, 1 - right, same * right, same * (1 - right)])
        # pairs (label, guess), numbered: those of the student, and of the teacher where it is wrong
        wrong = (right == 0).nonzero()[:, 0]
        numbers = torch.cat([labels * s.shape[1] + guess_s, (labels * s.shape[1] + guess_t)[wrong]])
        _, numbers = numbers.unique(return_inverse=True)
        found |= {"labels": labels, "wrong": wrong, "of student": numbers[: len(labels)],
                  "of teacher": numbers[len(labels) :]}
    return found


def _sums(index, w, size: int):
    """[size, r]: the sums of the rows of w [n, r] by their index [n]."""
    return torch.zeros(size, w.shape[1], dtype=w.dtype).index_add_(0, index, w)


def _quality(a, w) -> dict[str, torch.Tensor]:
    """{measure: [r]} of one net."""
    total = w.sum(0)
    accuracy, nll = a["means"] @ w / total
    errors = _sums(a["bin"], w * a["error"][:, None], int(a["bin"].max()) + 1)
    return {"accuracy": accuracy, "nll": nll, "ece": errors.abs().sum(0) / total}


def _fidelity(p, w) -> dict[str, torch.Tensor]:
    """{measure: [r]} of a student and a teacher; NaN where a measure is not defined."""
    total, classes = w.sum(0), int(p["classes"])
    agreement, *divergences = p["means"] @ w / total
    found = {"agreement": agreement} | dict(zip(
        ("kl", "reverse_kl", "jensen_shannon", "total_variation"), divergences, strict=True))
    chance = torch.stack([_sums(guess, w, classes) / total for guess in p["guesses"]]).prod(0).sum(0)
    found["kappa"] = torch.where(chance < 1, (agreement - chance) / (1 - chance), 1.0)
    x, y, xx, xy = p["moments"] @ w / total
    found["log_odds_slope"] = torch.where(xx - x * x > 1e-24, (xy - x * y) / (xx - x * x), torch.nan)
    if "labels" in p:
        right, wrong, same_right, same_wrong = p["by correctness"] @ w
        found |= {"agreement_right": same_right / right, "agreement_wrong": same_wrong / wrong}
        # `metrics.copied_errors`; an input drawn twice is not another one of its label
        errors, same = w[p["wrong"]], p["same"][p["wrong"], None]
        others = _sums(p["labels"], w, classes)[p["labels"][p["wrong"]]] - errors
        as_often = _sums(p["of student"], w, len(w) + len(errors))[p["of teacher"]] - errors * same
        errors = errors * (others > 0)
        above = same - as_often / others.clamp(min=1)
        found["copied_errors"] = (errors * above).sum(0) / errors.sum(0)
    return found


class Gram:
    """Features [n, d] of one module, ready for `metrics.cka` of many resamples: products of rows with rows."""

    def __init__(self, features: torch.Tensor):
        f = features.double()
        if not torch.isfinite(f).all():
            raise LogitsError("a module named for CKA gives NaN or infinity")
        spread, f = f.abs().max(), f - f.mean(0)
        self.constant = bool(f.abs().max() <= 1e-12 * spread)
        self.k = f @ f.T / max(float(f.square().sum() / len(f)), 1e-300)

    def cka(self, other: "Gram", w) -> torch.Tensor:
        """[r] for counts w [n, r].

        An input drawn twice is not compared with itself: copies are as similar as can be in any features, and would put
        all draws above the estimate. Nor are features centred again on each draw's mean, which changes CKA in second
        order only, and likewise upwards."""
        if self.constant or other.constant:
            return torch.full((w.shape[1],), torch.nan, dtype=w.dtype)
        return (_hsic(self.k, other.k, w) / (_hsic(self.k, self.k, w) * _hsic(other.k, other.k, w)).sqrt()).clamp(max=1)


def _hsic(k, h, w):
    """[r]: the sum of products of two Gram matrices' entries over the pairs of inputs in a draw."""
    products = k * h
    return (w * (products @ w)).sum(0) - ((w * w - w) * products.diagonal()[:, None]).sum(0)


def _mean(each: list[dict]) -> dict:
    return {m: torch.stack([one[m] for one in each]).mean(0) for m in each[0]} if each else {}


def _named(whom: str, values: dict) -> dict:
    return {(measure, whom): value for measure, value in values.items()}


def _bootstrap(of: Callable, n: int, resamples: int, seed: int) -> dict[tuple[str, str], Estimate]:
    """Estimates of what `of` gives for counts w [n, r]: {key: [r]}."""
    points, found = of(torch.ones(n, 1, dtype=torch.double)), []
    draws, one = stream(seed, "bootstrap"), torch.ones((), dtype=torch.double)
    for part in torch.arange(resamples).split(max(1, COUNTS // n)):
        rows = torch.randint(n, (n, len(part)), generator=draws)
        found.append(of(torch.zeros(n, len(part), dtype=torch.double).scatter_add_(0, rows, one.expand(rows.shape))))
    return {key: _interval(float(point), torch.cat([d[key] for d in found]), n) for key, point in points.items()}


def _interval(point: float, draws: torch.Tensor, n: int) -> Estimate:
    """Bias-corrected percentiles (Efron, 1981): the share of draws below the estimate says how far they are off, which
    they are for ECE, a sum of distances that noise can only raise."""
    if np.isnan(point):
        return Estimate(np.nan, np.nan, np.nan, n)
    if np.isinf(point):  # one such input makes it infinite for whatever the inputs were drawn from
        return Estimate(point, point, point, n)
    draws = draws[torch.isfinite(draws)].numpy()  # not those that drew no error of the teacher, for example
    if n == 1 or len(draws) == 0:
        return Estimate(point, -np.inf, np.inf, n)
    tie = 1e-12 * max(abs(point), 1)
    below = ((draws < point - tie).mean() + (draws <= point + tie).mean()) / 2
    off = ndtri(np.clip(below, 0.5 / len(draws), 1 - 0.5 / len(draws)))
    low, high = np.quantile(draws, ndtr(2 * off + ndtri([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])))
    return Estimate(point, float(low), float(high), n)


def _over_students(values: list[float], measure: str) -> Estimate:
    if np.isfinite(values).all():
        share = measure.startswith(CKA) or _measure(measure).scale == 100
        return estimate(values, CONFIDENCE, bound=1 if share else np.inf)
    mean = float(np.mean(values))
    return Estimate(mean, mean, mean, len(values))


def _notes(estimates, baseline: bool) -> tuple[str, ...]:
    missing = list(dict.fromkeys(measure for (measure, _), e in estimates.items() if not np.isfinite(e.mean)))
    notes = [f"{_measure(m).label.split(' (')[0]}: {_measure(m).undefined or 'not defined here'}." for m in missing]
    if not baseline:
        notes.append("How much of this belongs to this teacher shows only beside teachers that the student never saw: "
                     "give unseen.")
    return tuple(notes)
