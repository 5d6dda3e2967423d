"""Distil any net from any teacher, on what data you have: `kdlib.distil`. The loop is that of all runs of the book
(`train.fit`); there is no store."""

import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator
from numbers import Integral, Real

import numpy as np
import torch
from pydantic import ValidationError
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset
from tqdm import tqdm

from kdlib import augment as policies
from kdlib import catalog, losses, metrics, own, train
from kdlib.errors import KdlibError, sentence, short
from kdlib.logits import LogitsError, answer, batches, ensemble, evaluated, listed, placed, tensor
from kdlib.spec import Training
from kdlib.streams import GlobalStream, seed_of, stream

NUMBERS = 1 << 22  # of inputs that are prepared at once, at the most


class DistilError(KdlibError, ValueError):
    """Nets, data or settings with which there is nothing to distil."""


def distil(teacher, student: nn.Module, data, *, steps: int,
           objective: str | Callable = catalog.DISTILLATION, temperature: float = 1.0,
           alpha: float = 0.0, optimizer="adamw", lr: float = 1e-3, final_lr: float = 0.0, warmup: int = 0,
           weight_decay: float = 1e-3, batch: int | None = None, augment: str | Callable | None = None, seed: int = 0,
           progress: bool | Callable = True) -> nn.Module:
    """Train a student, in place, to answer as its teacher does, and return it, in eval mode.

    teacher: an `nn.Module` that gives logits [n, classes], or a list of them, an ensemble, which predicts its members'
        mean probability (paper, Sec 3.1). It is asked in eval mode, on its device and in its precision, and stays as
        it is.
    student: any `nn.Module` of as many classes. What of it is frozen stays so, its precision and device too. What it
        draws in training (dropout) comes from a stream of its own.
    data: inputs x [n, ...] or a pair (x, labels [n]), tensors, arrays or lists of numbers: shuffled anew every epoch,
        in batches of `batch` (128, or all there are). Or a Dataset of such, or a loader, or whatever gives batches x or
        (x, labels) and can be gone through again; a loader keeps its own order and batches. Labels are used by an
        objective that takes them and with `alpha` > 0, and by nothing else.
    objective: a name in `catalog.OBJECTIVES` ("kd", "mse", "dkd", "reverse-kl", "js"), or of your own
        (`kdlib.objective`), with settings in brackets, as in "dkd(others=4)" or "kd(kl=True)", whose value is 0 at
        the optimum; or a function of the student's logits and the teacher's [n, classes], and of `labels` and
        `temperature` if it has arguments of these names, that gives one number an example. `alpha` is the weight of
        the true labels' likelihood beside it.
    optimizer: "adamw", "adam", "sgd" or one of your own (`kdlib.optimizer`); or a `torch.optim` class or optimizer, in
        whatever groups, or a list of them. The learning rate, `lr` or that of each group, rises over `warmup` steps and
        then falls by a cosine, `lr` to `final_lr`, at `steps`.
    augment: a policy of the catalog, or a function of a batch of inputs; the teacher labels what comes out. What it
        draws from torch's global stream is of a stream of its own here, as what a loader draws is.
    seed: of all these streams. Equal calls on one machine end with the same bits.
    progress: a bar; or a function that is called with a number of steps and their mean loss as they are done.

    DistilError, in a sentence, where that cannot be: nets and objective are tried on a batch before anything is
    trained. Where a later batch fails the student stays as the steps before it left it. train.Diverged where the loss
    does not stay finite.
    """
    teachers = list(teacher) if isinstance(teacher, list | tuple) else [teacher]
    for net in (*teachers, student):
        if not isinstance(net, nn.Module):
            raise DistilError(f"teacher and student must be nets, nn.Modules (got {type(net).__name__})")
    if not teachers:
        raise DistilError("there is no teacher: an ensemble of nothing")
    if not any(p.requires_grad for p in student.parameters()):
        none = next(student.parameters(), None) is None
        raise DistilError("the student has no parameters: there is nothing to train" if none else
                          "all parameters of the student are frozen: student.requires_grad_() lets them be trained")
    if not isinstance(seed, Integral) or isinstance(seed, bool):
        raise DistilError(f"seed must be a whole number (got {short(seed)})")
    loss, labelled = _loss(objective, temperature, alpha)
    given = _Tensors(data, batch, seed) if _in_memory(data) else _Loader(data, batch, seed)
    changed = _augmentation(augment, labelled, seed)
    where, kind = placed(student)
    where, precise = where or torch.device("cpu"), torch.float64 if kind == torch.float64 else torch.float32
    try:
        training = Training(lr=lr, final_lr=final_lr, warmup=warmup, weight_decay=weight_decay, batch=given.batch,
                            steps=steps)
    except ValidationError as error:
        raise DistilError(sentence(error)) from None

    def said(x):
        with evaluated(teachers):
            return ensemble([answer(net, x, "the teacher") for net in teachers]).to(where, precise)

    shape, odd = [], []  # of the last batch; whether inputs were not finite

    def lesson(x, y, z=None):
        """A batch as the loop takes it: inputs, the teacher's logits (z, where they are known), and labels."""
        if labelled and y is None:
            raise DistilError("alpha or the objective takes labels, and the data have none: give (x, labels)")
        x = changed(x)
        shape[:] = x.shape
        if x.is_floating_point() and not torch.isfinite(x).all():  # a net may take NaN for what is missing
            odd[:] = [True]
        z = said(x) if z is None else z
        if alpha > 0 or (labelled and isinstance(objective, str)):  # a function's labels are its own affair
            _classes(y, z)
        return x.to(where, kind if x.is_floating_point() else None), z, *([y.to(where)] if labelled else [])

    with GlobalStream(where) as inside:  # a lazy net draws its weights when it is tried
        inside.seed(seed_of(seed, "distil", "tried"))
        x, y = given.first()
        material = lesson(x, y)
        try:
            train.tried(student, loss, *material)
        except train.Unusable:
            if odd:
                raise DistilError(ODD) from None
            raise
    theirs = {id(p) for net in teachers for p in net.parameters()}
    if any(id(p) in theirs for p in student.parameters()):
        raise DistilError("the student has parameters of its teacher, which would change with it: copy.deepcopy it")
    chosen = _optimizers(optimizer, training, student)
    known = said_once(given, said) if augment is None and steps * given.batch >= given.n > 0 else None
    with tqdm(total=steps, desc="distil", unit="step", disable=progress is not True) as bar:
        def done(count, mean):
            bar.set_postfix_str(f"loss {mean:.4g}", refresh=False)
            bar.update(count)
            if callable(progress):
                try:
                    progress(count, mean)
                except Exception as error:  # the caller's own way to stop
                    stopped.append(error)
                    raise

        stopped: list[Exception] = []
        try:
            train.fit([student], training, [given.source(lesson, known)], loss, optimizer=chosen, progress=done)
        except train.Diverged as error:
            if odd:
                raise DistilError(f"{ODD} ({error.args[0].split(';')[0]})") from None
            raise
        except Exception as error:
            ours = isinstance(error, DistilError | LogitsError)
            if error in stopped or (isinstance(error, KdlibError) and not ours):
                raise
            reason = str(error) if ours else _reason(error, [given.batch if given.n else shape[0], *shape[1:]])
            raise DistilError(f"{reason}; the student stays as the steps before left it") from error
    return student


ODD = "inputs have NaN or infinity, and so has the loss: clean the data, or what augments them"


def _reason(error: Exception, shape: list[int]) -> str:
    """Why a step on a batch of that shape fails."""
    if shape[0] == 1 and "more than 1 value per channel" in str(error):
        return ("the student's BatchNorm cannot be trained on a batch of one example: let the loader drop its last "
                "batch, DataLoader(..., drop_last=True), or choose another batch size")
    return f"training fails on a batch {shape}: {train.first_line(error)}"


def _classes(labels, logits) -> None:
    """See whether labels are those of the logits' classes."""
    try:
        metrics.class_indices(labels, *logits.shape)
    except ValueError as error:
        raise DistilError(str(error)) from None


def said_once(given: "_Tensors", said: Callable) -> torch.Tensor:
    """What the teacher says of all inputs, which never change: [n, classes]."""
    return torch.cat([said(part) for part in given.x.split(train.chunk(given.x))])


def _loss(objective, temperature, alpha) -> tuple[Callable, bool]:
    """(a loss of logits, teacher's logits and, if it takes them, labels; whether it does). Half-precision logits are
    compared in single precision."""
    for name, value in (("temperature", temperature), ("alpha", alpha)):
        if not isinstance(value, Real):
            raise DistilError(f"{name} must be a number (got {short(value)})")
    if not isinstance(objective, str) and not callable(objective):
        raise DistilError(f"objective must be a name or a function (got {short(objective)})")
    try:
        entry = own.entry(objective) if callable(objective) else catalog.objective(objective).here()
        if not entry.temperature and temperature != 1:
            raise DistilError(f"objective {objective} has no temperature: leave it 1")
        loss = losses.of(entry if callable(objective) else objective, temperature, alpha)
    except (ValueError, TypeError) as error:
        raise DistilError(str(error)) from None
    if not 0 <= alpha <= 1:
        raise DistilError(f"alpha must lie in [0, 1] (got {alpha})")

    def precise(z, *rest):
        return loss(z.float() if z.dtype in (torch.float16, torch.bfloat16) else z, *rest)

    return precise, entry.labels or alpha > 0


def _optimizers(optimizer, training: Training, student) -> Callable:
    """What makes the optimizers, of the vector of all weights and the nets (`train.fit`)."""
    several = list(optimizer) if isinstance(optimizer, list | tuple) else [optimizer]

    def make(flat, nets):
        if isinstance(optimizer, str):
            return train.optimizers(optimizer, training, flat, nets)
        if isinstance(optimizer, type):
            return [optimizer([p for p in nets[0].parameters() if p.requires_grad], lr=training.lr,
                              weight_decay=training.weight_decay)]
        return several

    if isinstance(optimizer, str):
        try:
            if not catalog.optimizer(optimizer).here().by_net:
                return make
        except ValueError as error:
            raise DistilError(str(error)) from None
    elif isinstance(optimizer, type) and issubclass(optimizer, torch.optim.Optimizer):
        _without_closure(optimizer)
        lacking = [name for name in ("lr", "weight_decay") if name not in inspect.signature(optimizer).parameters]
        if lacking:
            raise DistilError(f"{optimizer.__name__} takes no {' and no '.join(lacking)}: give an optimizer that you "
                              f"made, {optimizer.__name__}(student.parameters(), ...)")
    elif not several or not all(isinstance(one, torch.optim.Optimizer) for one in several):
        raise DistilError("optimizer must be a name, a torch.optim class, an optimizer or a list of them (got "
                          f"{short(optimizer)})")
    try:
        made = make(None, [student])
    except Exception as error:
        raise DistilError(f"optimizer {short(optimizer)} cannot be made: {train.first_line(error)}") from error
    for one in made:
        _without_closure(one)
    ours = {id(p) for p in student.parameters()}
    if not any(id(p) in ours for one in made for group in one.param_groups for p in group["params"]):
        raise DistilError("the optimizer has no parameter of the student's")
    return make


def _without_closure(optimizer) -> None:
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if closure and closure.default is inspect.Parameter.empty:
        raise DistilError("an optimizer that evaluates the loss itself (LBFGS) is not one for this loop")


def _augmentation(augment, labelled, seed) -> Callable:
    """A function of a batch of inputs [n, ...]."""
    if augment is None:
        return lambda x: x
    if callable(augment):
        count = itertools.count()

        def changed(x):
            with GlobalStream(x.device) as draws:
                draws.seed(seed_of(seed, "distil", "augment", next(count)))
                try:
                    out = augment(x)
                except KdlibError:
                    raise
                except Exception as error:
                    raise DistilError(f"augment fails on a batch {list(x.shape)}: {train.first_line(error)}") from error
            if not isinstance(out, torch.Tensor) or out.shape[:1] != x.shape[:1]:
                got = list(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
                raise DistilError(f"augment must give a tensor of inputs [{len(x)}, ...] for {len(x)} of them (got "
                                  f"{got})")
            return out

        return changed
    policy, draws = catalog.POLICIES.get(augment), stream(seed, "distil", "augment")
    if policy is None or policy.pool:
        there = ", ".join(name for name, one in catalog.POLICIES.items() if not one.pool)
        raise DistilError(f"there is no augmentation {short(augment)}; there are {there}, or a function of your own")
    if labelled and augment != catalog.BASELINE:
        raise DistilError(f"labels are those of inputs before augmentation {augment}: an objective that takes them "
                          "needs the baseline, or a function of your own that leaves them true")

    def by_policy(x):
        try:
            kind = catalog.like(x.shape[1:])
        except ValueError as error:
            raise DistilError(f"augmentation {augment}: {error}; give a function of your own") from None
        if kind not in policy.steps:
            raise DistilError(f"augmentation {augment} is not one for {kind}")
        return policies.augment(x, augment, draws)

    return by_policy


def _in_memory(data) -> bool:
    return all(isinstance(part, torch.Tensor | np.ndarray) or listed(part) > 0
               for part in (data if isinstance(data, tuple) else (data,)))


def _drawn(data) -> Iterator:
    """Batches of what a user made, whose own failures are sentences."""
    try:
        for x, y in batches(data):
            if not x.ndim or not len(x):
                raise DistilError(f"a batch of the data has no inputs ({list(x.shape)})")
            yield x, y
    except KdlibError:
        raise
    except Exception as error:
        raise DistilError(f"data fails to give a batch: {train.first_line(error)}") from error


class _Tensors:
    """Inputs x [n, ...] and perhaps labels in memory: epochs are shuffled by a stream of their own."""

    def __init__(self, data, batch, seed):
        pair = data if isinstance(data, tuple) else (data,)
        self.x, *rest = [tensor(part, "data") for part in pair]
        if len(rest) > 1 or self.x.ndim == 0 or any(len(y) != len(self.x) for y in rest) or not len(self.x):
            raise DistilError("data must be inputs, or a pair of inputs and as many labels "
                              f"(got {[list(part.shape) for part in (self.x, *rest)]})")
        self.y, self.n, self.seed = rest[0] if rest else None, len(self.x), seed
        self.batch = min(128, self.n) if batch is None else batch

    def first(self):
        few = slice(min(self.batch, self.n))
        return self.x[few], None if self.y is None else self.y[few]

    def source(self, lesson, known) -> train.Source:
        def prepare(rows):
            return lesson(self.x[rows], None if self.y is None else self.y[rows],
                          None if known is None else known[rows.to(known.device)])

        block = min(train.BLOCK, max(1, NUMBERS // (self.batch * max(1, self.x[0].numel()))))
        return train.Source("distil", self.n, prepare, stream(self.seed, "distil", "order"),
                            inside=(self.seed, "distil", "inside"), block=block)


class _Loader:
    """A loader, or whatever gives batches x or (x, labels) again and again; what it draws is of streams of its own."""

    n = 0  # nobody knows

    def __init__(self, data, batch, seed):
        if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
            data, batch = DataLoader(data, 128 if batch is None else batch, shuffle=True), None
        if not isinstance(data, Iterable) or isinstance(data, Iterator):
            raise DistilError("data must be tensors, a Dataset, a loader or what gives batches again and again (got "
                              f"{type(data).__name__})")
        if batch is not None:
            raise DistilError("a loader has batches of its own: set their size there")
        self.data, self.seed, self.left, self.count = data, seed, iter(()), 0
        self.batch = max(1, len(self.first()[0]))

    def first(self):
        with GlobalStream(torch.device("cpu")) as draws:
            draws.seed(seed_of(self.seed, "distil", "first"))
            for x, y in _drawn(self.data):
                return x, y
        raise DistilError("data has no batches")

    def next(self):
        """The next batch; after the last of an epoch the first of another."""
        with GlobalStream(torch.device("cpu")) as draws:
            draws.seed(seed_of(self.seed, "distil", "loader", self.count))
            self.count += 1
            for _ in range(2):
                for x, y in self.left:
                    return x, y
                self.left = _drawn(self.data)
        raise DistilError("data has no batches any more: give what can be gone through again, a list or a loader")

    def source(self, lesson, known) -> train.Source:
        return train.Source("distil", 0, lambda rows: lesson(*self.next()), None,
                            inside=(self.seed, "distil", "inside"), block=1)
