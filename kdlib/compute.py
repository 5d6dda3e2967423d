"""Many runs: those that exist are read, the others trained by one-thread worker processes, teachers first."""

import logging
import os
import sys
import time
import warnings
from concurrent.futures.process import BrokenProcessPool

import torch
from joblib import Parallel, delayed
from tqdm import tqdm

from kdlib.run import cohort, device
from kdlib.spec import needs
from kdlib.store import Recorded, Store, StoreError
from kdlib.train import Diverged


class WorkersError(ValueError):
    """A number of worker processes that is none."""


class Computed(dict):
    """Records by spec, and how many of them were trained now, how many found, in how many seconds."""

    trained = reused = 0
    seconds = 0.0


def levels(specs) -> list[list]:
    """Everything `specs` need, once each, in layers that depend only on earlier layers."""
    depth = {}

    def visit(spec):
        if spec not in depth:
            depth[spec] = 1 + max((visit(n) for n in needs(spec)), default=-1)
        return depth[spec]

    for spec in specs:
        visit(spec)
    return [[s for s in depth if depth[s] == d] for d in range(max(depth.values(), default=-1) + 1)]


TOGETHER = 8  # runs advanced together: more gains nothing, and a kill loses the group in flight


def cohorts(specs, workers: int) -> list[list]:
    """Groups of runs to execute together, the longest first, so that no worker waits long at the end."""
    groups = {}
    for spec in specs:
        groups.setdefault(cohort(spec) or spec, []).append(spec)
    tasks = []
    for group in groups.values():
        size = min(TOGETHER, -(-len(group) // workers))
        tasks += [group[i : i + size] for i in range(0, len(group), size)]
    return sorted(tasks, key=lambda task: -sum(map(_cost, task)))


def _cost(spec) -> float:
    """Roughly how long a run takes, in steps of a student on fixed inputs."""
    if spec.kind == "teacher":
        return spec.training.steps
    if spec.kind == "surface":
        return spec.grid**2
    if spec.kind == "generator":  # each of its updates costs about two
        return 2 * spec.steps * (1 + spec.discriminator_steps)
    if spec.kind == "labels":
        return 10
    return spec.training.steps * (1 + (spec.policy != "baseline") * len(spec.teachers))


def compute(specs, workers: int = 2, profile: str | None = None, progress: bool = False) -> Computed:
    """Records of `specs` and of all that they need, by spec.

    With KDLIB_FROM_RECORDS set they come from `results/<profile>` and nothing is trained.
    """
    specs = list(specs)
    if os.environ.get("KDLIB_FROM_RECORDS"):
        return Computed(recorded(specs, profile))
    if not isinstance(workers, int) or workers < 1:
        raise WorkersError(f"workers must be a whole number of at least 1 (got {workers!r})")
    device()  # a wrong KDLIB_DEVICE is said here, once, and not by every worker
    store, start, done = Store(), time.perf_counter(), Computed()
    layers = levels(specs)
    done.update(store.find(spec for layer in layers for spec in layer))
    missing = sum(map(len, layers)) - len(done)
    if missing:  # a store that has everything is only read
        store.prepare()
        store.tidy()
        store.check_weights({need for layer in layers for spec in layer if spec not in done
                             for need in needs(spec) if need in done})
    done.reused = len(done)
    log = _log(store)
    # joblib replaces a worker that has grown large, which is as it should be and nothing to warn a reader of
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor")
    with tqdm(total=missing, disable=not (progress and missing), unit="run", file=sys.stderr) as bar:
        for layer in layers:
            tasks = cohorts([spec for spec in layer if spec not in done], workers)
            if not tasks:
                continue
            pool = Parallel(n_jobs=min(workers, len(tasks)), return_as="generator_unordered")
            try:
                for task, results in pool(delayed(_together)(task, store.root) for task in tasks):
                    for spec, (record, trained) in zip(task, results, strict=True):
                        done[spec] = record
                        done.trained += trained
                        done.reused += not trained
                        log.info("%s %s %.2f s", spec.kind, spec.key, record.seconds)
                    bar.update(len(task))
            except BrokenProcessPool:
                raise StoreError("a worker process died (out of memory?); what was finished is kept: "
                                 "run again, with fewer workers") from None
    done.seconds = time.perf_counter() - start
    return done


def recorded(specs, profile) -> dict:
    """Committed records of `specs` and of all that they need, by spec; a missing one is an error that names it."""
    source = Recorded(profile)
    found = {spec: source.get(spec) for layer in levels(specs) for spec in layer}
    absent = [spec for spec, record in found.items() if record is None]
    if absent:
        raise StoreError(f"{len(absent)} of {len(found)} runs are not recorded in {source.folder} "
                         f"(the first: {absent[0].kind} {absent[0].key}); `kdlib record` writes them")
    return found


def _together(specs, root):
    torch.set_num_threads(1)  # bit-identical results, and two small runs beat one on two threads
    store = Store(root)
    try:
        return specs, store.run(specs)
    except Diverged:
        if len(specs) == 1:
            raise
    # one of them diverged: each by itself, so that the others are not lost
    results, failure = [], None
    for spec in specs:
        try:
            results += store.run([spec])
        except Diverged as error:
            failure = error
    if failure:
        raise failure
    return specs, results


def _log(store):
    """One line per finished run, in a file of the store."""
    log = logging.getLogger(f"kdlib {store.root}")
    if not log.handlers:
        log.setLevel(logging.INFO)
        log.propagate = False
        handler = logging.FileHandler(store.root / "runs.log", delay=True)
        handler.handleError = lambda _: None  # on a full disk a line is lost, no run
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        log.addHandler(handler)
    return log
