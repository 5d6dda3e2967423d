"""What a list of runs will cost, before anything runs: how many, FLOPs, memory, and time here or on a named GPU."""

import functools
import math
import time
import warnings
from collections import Counter
from dataclasses import dataclass

import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from kdlib import catalog, gan, losses
from kdlib.compute import TOGETHER, levels
from kdlib.errors import KdlibError
from kdlib.models import build
from kdlib.spec import Generator, Training
from kdlib.store import Recorded, Store
from kdlib.train import Source, fit, steady_process

# Dense peak throughput in FLOP/s as the makers state it, of the arithmetic that training here would use, and memory in
# GB, of the largest version that is sold.
GPUS = {
    "t4": ("FP32", 8.1e12, 16), "v100": ("FP32", 15.7e12, 32), "a100": ("TF32", 156e12, 80),
    "l4": ("TF32", 60e12, 24), "rtx4090": ("FP32", 82.6e12, 24), "h100": ("TF32", 494e12, 80),
}


class PlanError(KdlibError):
    """A GPU that is not in the table, or a utilisation that is no share."""


@dataclass(frozen=True)
class Cost:
    """What runs of one architecture and batch size cost: FLOPs and bytes of one step, FLOPs of one teacher label.
    A generator's step includes those of its discriminator."""

    step_flops: int
    label_flops: int
    step_bytes: int
    state_bytes: int


def made_up(data: str, n: int) -> torch.Tensor:
    """Random inputs [n, ...] of a data set's kind."""
    kind = catalog.DATA_SETS[data].inputs
    return torch.randint(kind.tokens, (n, *kind.shape)) if kind.tokens else torch.rand(n, *kind.shape)


def few(data: str, batch: int, width: int = 32) -> int:
    """How many inputs of a batch are enough to count and time a step: the rest of a large one is more of the same."""
    numbers = math.prod(catalog.DATA_SETS[data].inputs.shape)
    return min(batch, max(2, (1 << 22) // (width * numbers)))


def counted(step, *nets) -> tuple[int, int]:
    """FLOPs of `step()`, a real one (2 per multiply-add of matrix products), and bytes that it keeps for backward
    besides the weights of `nets`."""
    saved = []

    def keep(tensor):
        saved.append(tensor)
        return tensor

    with FlopCounterMode(display=False) as counter, saved_tensors_hooks(keep, lambda tensor: tensor):
        step()
    weights = {p.untyped_storage().data_ptr() for net in nets for p in net.parameters()}
    kept = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in saved}
    return counter.get_total_flops(), sum(size for place, size in kept.items() if place not in weights)


def cost(model: str, data: str, batch: int) -> Cost:
    """Counted on one step of random data, forward and backward."""
    part = few(data, batch)
    stepping, labelling, kept, state = _counted_net(model, data, part)
    return Cost(stepping * batch // part, labelling // part, kept * batch // part, state)


@functools.cache
def _counted_net(model, data, n):
    net, x, known = build(model, data, "plan"), made_up(data, n), catalog.DATA_SETS[data]
    target = torch.randn(n, known.classes)
    # oneDNN's recurrent layers are one operation each, in which no product would be counted
    with warnings.catch_warnings(action="ignore"), torch.backends.mkldnn.flags(enabled=not known.inputs.tokens):
        with torch.no_grad():
            labelling, _ = counted(lambda: net.eval()(x))
        stepping, kept = counted(lambda: losses.distillation(net.train()(x), target).mean().backward(), net)
    return stepping, labelling, kept, _state_bytes(net)


def _state_bytes(*nets):
    """Weights, gradients, and the two moments of AdamW."""
    return 4 * sum(p.numel() * p.element_size() for net in nets for p in net.parameters())


def generator_cost(spec: Generator) -> Cost:
    """Counted on one step of each net."""
    part = few(spec.data.name, spec.batch, spec.width)
    run, latents = gan.Adversaries(spec, made_up(spec.data.name, 1)), torch.randn(part, spec.latent)
    nets = run.nets.values()
    one, one_kept = counted(lambda: run.discriminate(made_up(spec.data.name, part), latents), *nets)
    other, other_kept = counted(lambda: run.generate(latents), *nets)
    return Cost((spec.discriminator_steps * one + other) * spec.batch // part, 0,
                max(one_kept, other_kept) * spec.batch // part, _state_bytes(*nets))


def flops(spec, each: Cost, teacher: Cost | None = None) -> int:
    """FLOPs of a run's training: its steps, and the labels of its teachers (once if its inputs are fixed), which cost
    what the student's own net does unless `teacher` says otherwise."""
    if spec.kind == "defects":
        return (1 + len(spec.student.teachers)) * spec.student.data.test * each.label_flops
    if spec.kind == "labels":
        return (spec.teachers[0].data.train + spec.teachers[0].data.test) * len(spec.teachers) * each.label_flops
    if spec.kind == "surface":
        return (spec.segment * 2000 + spec.grid**2 * 500) * each.label_flops
    if spec.kind == "generator":
        return spec.steps * each.step_flops
    steps = spec.training.steps * each.step_flops
    if spec.kind == "teacher":
        return steps
    inputs = (1 + spec.copies) * (spec.data.train + spec.fresh) + spec.related + spec.generated
    once = spec.data.inputs.fixed(spec.policy)
    labelled = inputs if once else spec.training.steps * spec.training.batch
    return steps + labelled * len(spec.teachers) * (teacher or each).label_flops


def measured_step(model: str, data: str, batch: int, steps: int = 60) -> float:
    """Seconds of one step of one net here, on one thread, trained as the runs are: in a cohort where nets stack. Of a
    large net it takes fewer than `steps` steps."""
    part = few(data, batch)
    return _timed_net(model, data, part, steps) * batch / part


@functools.cache
def _timed_net(model, data, batch, steps):
    g = TOGETHER if catalog.net(model).family.stackable else 1
    x, target = made_up(data, 2 * batch), torch.randn(2 * batch, catalog.DATA_SETS[data].classes)

    def seconds(count):
        nets = [build(model, data, "plan", i) for i in range(g)]
        sources = [Source("plan", len(x), lambda rows: (x[rows], target[rows]), torch.Generator()) for _ in nets]
        start = time.perf_counter()
        fit(nets, Training(steps=count, batch=batch), sources, losses.distillation)
        return (time.perf_counter() - start) / count / g

    first = seconds(1)  # warms up
    return seconds(max(1, min(steps, round(2 / first / g))))


def measured_generator_step(spec: Generator, steps: int = 2) -> float:
    """Seconds of one step of a generator, with those of its discriminator, here on one thread."""
    part = few(spec.data.name, spec.batch, spec.width)
    batch, spec = spec.batch, spec.but(batch=part)
    run = gan.Adversaries(spec, made_up(spec.data.name, 2 * part))
    run.advance()  # warms up
    start = time.perf_counter()
    for _ in range(steps):
        run.advance()
    return (time.perf_counter() - start) / steps * batch / part


def net_of(spec) -> tuple:
    """What decides the cost of a step: name of the net, data, batch, and of a generator the rest of its step."""
    if spec.kind == "generator":
        return f"sngan-w{spec.width}", spec.data.name, spec.batch, spec.discriminator_steps, spec.latent
    run = inner(spec)
    return run.model, run.data.name, run.training.batch


def inner(spec):
    """The run whose net a spec is about: itself, or the one that it measures."""
    if spec.kind == "labels":
        return spec.teachers[0]
    return spec.student if spec.kind in ("surface", "defects") else spec


def duration(seconds: float) -> str:
    """In the largest unit of which there are two: "90 s", "58.0 h", "3.4 days"."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def plan(chapters: dict[str, list], workers: int, gpu: str | None = None, utilisation: float = 0.3,
         recorded: Recorded | None = None) -> str:
    """A report on the runs of {chapter: specs} and all that they need; `recorded` are those committed already."""
    if gpu is not None and gpu not in GPUS:
        raise PlanError(f"unknown GPU {gpu!r}; there are {', '.join(GPUS)}")
    if not 0 < utilisation <= 1:
        raise PlanError(f"utilisation must lie in (0, 1] (got {utilisation:g})")
    steady_process()
    needed = {name: {s for layer in levels(specs) for s in layer} for name, specs in chapters.items()}
    uses = Counter(s for specs in needed.values() for s in specs)
    missing = set(uses) - set(Store().look(uses)[0])
    costs, lines, todo, total_seconds = {}, [], {}, 0.0
    groups, large = {}, []
    for spec in uses:
        groups.setdefault((spec.kind, *net_of(spec)), []).append(spec)
    lines.append(f"{'kind':9} {'net':12} {'batch':>5} {'runs':>6} {'missing':>7} {'GFLOP a run':>11} "
                 f"{'MB a run':>8} {'ms a step':>9}")
    for (kind, *net), specs in sorted(groups.items()):
        if tuple(net) not in costs and kind == "generator":
            costs[tuple(net)] = generator_cost(specs[0]), measured_generator_step(specs[0])
        elif tuple(net) not in costs:
            costs[tuple(net)] = cost(*net), measured_step(*net)
        each, second = costs[tuple(net)]
        work = [flops(s, each, cost(*net_of(s.teachers[0])) if kind == "student" else None) for s in specs]
        here = {s: w for s, w in zip(specs, work, strict=True) if s in missing}
        todo |= here
        total_seconds += sum(here.values()) / each.step_flops * second
        needs = (each.step_bytes + each.state_bytes) / 1e9
        if gpu and needs > GPUS[gpu][2]:
            large.append(f"{net[0]} needs about {needs:.0f} GB for a {kind}'s batch of {net[2]}, and one {gpu} has "
                         f"{GPUS[gpu][2]}: spread it with KDLIB_DEVICES")
        lines.append(f"{kind:9} {net[0]:12} {net[2]:5d} {len(specs):6d} {sum(s in missing for s in specs):7d} "
                     f"{sum(work) / len(work) / 1e9:11.2f} {(each.step_bytes + each.state_bytes) / 1e6:8.1f} "
                     f"{1e3 * second:9.3f}")
    shared, total_flops = sum(n > 1 for n in uses.values()), sum(todo.values())
    lines += [
        f"{len(uses)} runs ({shared} of them shared by several chapters): {len(uses) - len(missing)} in the store, "
        f"{len(missing)} missing",
        f"missing: {total_flops / 1e12:.2f} TFLOP; about {duration(total_seconds / workers)} here on {workers} "
        "one-thread workers, from the steps just measured (evaluation and data not counted; other work on this machine "
        "makes them slower)"]
    known = sum(recorded.get(s) is not None for s in missing) if recorded else 0
    if known:
        lines.append(f"{known} of the missing are committed in {recorded.folder}: a page or `kdlib run` trains them, "
                     "`kdlib record` and `kdlib claims` do not need to")
    if gpu:
        arithmetic, peak, _ = GPUS[gpu]

        def hours(work):
            return f"{work / peak / utilisation / 3600:.3g} GPU-hours"

        lines += [f"{name}: {len(specs)} runs, {sum(s in missing for s in specs)} missing, "
                  f"{hours(sum(todo.get(s, 0) for s in specs))} on {gpu}" for name, specs in needed.items()]
        lines.append(f"each run once: {hours(total_flops)} on {gpu}, at its stated {peak / 1e12:g} TFLOP/s "
                     f"({arithmetic}) and an assumed utilisation of {utilisation:.0%}; small nets do not reach that")
    lines += large
    return "\n".join(lines)
