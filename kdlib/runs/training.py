"""What teachers and students do alike: nets of one cohort are trained, evaluated, and kept."""

import functools
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from kdlib import catalog, data, losses, own
from kdlib.catalog import DISTILLATION
from kdlib.devices import DeviceError, device, devices
from kdlib.models import build
from kdlib.processes import end_with
from kdlib.runs import cost
from kdlib.runs.kind import of_finite, on_cpu
from kdlib.spec import Student, Teacher, Training
from kdlib.streams import stream
from kdlib.train import BLOCK, Diverged, Source, Unusable, fit, share, steady_process
from kdlib.train import tried as try_batch


@dataclass(frozen=True)
class Prepared:
    """A run that is about to train: its net, its batches, its loss, and what evaluates it once it is trained."""

    net: torch.nn.Module
    source: Source
    loss: Callable
    evaluate: Callable


def train_together(specs, prepared: list[Prepared], kept) -> list[tuple[dict, dict, dict]]:
    """(metrics, curves, weights) of each, trained together. Where all objectives are one, so is the loss: one call."""
    one = len({spec.loss for spec in specs}) == 1
    curves = fit([p.net for p in prepared], specs[0].training, [p.source for p in prepared],
                 prepared[0].loss if one else [p.loss for p in prepared], kept)
    return [(of_finite(spec, p.evaluate), {"loss": curve}, on_cpu(p.net))
            for spec, p, curve in zip(specs, prepared, curves, strict=True)]


def tried(spec: Teacher | Student) -> None:
    """See whether its net, objective and optimizer do what training needs of them, on a few made-up examples; those of
    a name once a process. train.Unusable, or OwnError of what is not here, says what they do not."""
    objective = getattr(spec, "objective", DISTILLATION)
    own_one = catalog.objective(objective).source
    _tried(spec.data.name, spec.model, objective if own_one else DISTILLATION, spec.training.optimizer)


@functools.cache
def _tried(data, model, objective, optimizer):
    known, n = catalog.data_set(data), cost.few(data, 8)
    net, x, draws = build(model, data, "tried"), cost.made_up(data, n), stream("tried")
    teacher = torch.randn(n, known.classes, generator=draws)
    labels = torch.randint(known.classes, (n,), generator=draws)
    loss, given = losses.of(objective), (labels,) if catalog.objective(objective).here().labels else ()
    try_batch(net, loss, x, teacher, *given, name=f"net {model}", objective=f"objective {objective}")
    if not catalog.optimizer(optimizer).here().by_net:
        return
    try:
        fit([net], Training(steps=1, batch=n, optimizer=optimizer),
            [Source("tried", n, lambda rows: (x[rows], *(part[rows] for part in (teacher, *given))), draws)], loss)
    except Exception as error:
        raise Unusable(f"optimizer {optimizer} fails with net {model}: {type(error).__name__}: {error}") from error


def stacking_cohort(spec: Teacher | Student):
    """Nets that stack are trained together with those of equal shape, training and objective."""
    if spec.net.family.stackable:
        return spec.kind, spec.model, spec.data.known.classes, spec.training, spec.loss
    return None


def initial(teacher: Teacher) -> torch.nn.Module:
    """A teacher's net before its training."""
    return build(teacher.model, teacher.data.name, teacher.data.trial, "teacher", teacher.member, "init",
                 draw=teacher.draw)


def batches(spec: Teacher | Student, inputs, prepare: Callable, draws: torch.Generator, *streams) -> Source:
    """Batches of a run whose random streams are called `streams`."""
    # of photographs a single batch fills as much memory as is good
    return Source(spec.key, len(inputs), prepare, stream(*streams, "order"), draws, (*streams, "inside"),
                  1 if spec.data.inputs.files else BLOCK)


def pixels(x):
    """A batch, of photographs those decoded that this process trains on."""
    return data.pixels(x, share(len(x)))


def on_devices(execute: Callable, specs, weights: dict, kept):
    """`execute(specs, weights_of, kept)` by one process per device; they are started, and given their devices, by
    Lightning Fabric. `weights` are those of all runs that these need."""
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments import LightningEnvironment
    except ImportError:
        raise DeviceError("KDLIB_DEVICES needs Lightning Fabric: pip install lightning-fabric") from None
    count, batch = devices(), specs[0].training.batch
    if batch < count:
        raise DeviceError(f"KDLIB_DEVICES is {count}: more than the {batch} examples of a batch")
    if kept:
        kept.load()  # a damaged one is named here, before there are ranks that would wait for each other
    if multiprocessing.get_start_method() == "loky":  # joblib's, which is not known in a fresh process
        multiprocessing.set_start_method("spawn", force=True)
    fabric = Fabric(accelerator=device().type, devices=count, strategy="ddp_spawn", plugins=[LightningEnvironment()])
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results"
        before = multiprocessing.active_children()
        try:
            fabric.launch(_rank, out, execute, specs, weights, kept, os.getpid(), own.USED)
        except torch.multiprocessing.ProcessExitedException as error:
            raise DeviceError(f"one of the {count} processes of run {specs[0].key} died ({error}); "
                              "run again, with fewer devices") from None
        except BaseException:  # what is under way is not waited for
            for rank in set(multiprocessing.active_children()) - set(before):
                rank.kill()
            raise
        results = torch.load(out, weights_only=True)
    if isinstance(results, str):
        raise Diverged(results)
    return results


def _rank(fabric, out, execute, specs, weights, kept, parent, used):
    end_with(parent)
    steady_process()
    own.receive(used)
    try:
        results = execute(specs, weights.__getitem__, kept)
    except Diverged as error:  # on every rank, at the same step
        results = str(error)
    if fabric.is_global_zero:
        torch.save(results, out)
