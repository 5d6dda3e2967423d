"""Many runs: those that exist are read, the others trained by one-thread workers, here or on a Ray cluster."""

import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from graphlib import TopologicalSorter
from pathlib import Path

from joblib import cpu_count
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.backend.resource_tracker import ensure_running
from tqdm import tqdm

from kdlib import own
from kdlib.devices import devices
from kdlib.errors import KdlibError, short
from kdlib.processes import end_with
from kdlib.results import Recorded, StoreError
from kdlib.runs import check, cohort, divides, work
from kdlib.runs.cost import COHORT
from kdlib.settings import settings
from kdlib.spec import levels
from kdlib.store import Store
from kdlib.train import Diverged, steady_process


class WorkersError(KdlibError):
    """Workers that cannot be had: a number that is none, an unknown backend, a cluster that does not answer."""


class Computed(dict):
    """Records by spec, and how many of them were trained now, how many found, in how many seconds."""

    trained = reused = 0
    seconds = 0.0


def cohorts(specs, workers: int, kept=(), in_order: bool = False) -> list[list]:
    """Groups of runs to execute together, the longest first, so that no worker waits long at the end; or `in_order` of
    `specs`.

    `kept`: keys of runs that were together when their state was kept, and go on only so.
    """
    left, groups, tasks = {spec.key: spec for spec in specs}, {}, []
    for keys in kept:
        if all(key in left for key in keys):
            tasks.append([left.pop(key) for key in keys])
    for spec in left.values():
        groups.setdefault(cohort(spec) or spec, []).append(spec)
    for group in groups.values():
        size = min(COHORT, -(-len(group) // workers) if divides(group[0]) else len(group))
        tasks += [group[i : i + size] for i in range(0, len(group), size)]
    if in_order:
        place = {spec.key: i for i, spec in enumerate(specs)}
        return sorted(tasks, key=lambda task: min(place[spec.key] for spec in task))
    return sorted(tasks, key=lambda task: -sum(work(spec).passes for spec in task))


WORKERS = 1024  # at the most: each is a process


def worker_count(workers: int | None) -> int:
    """How many one-thread workers: so many, or (None) one for each core that this process may use: its affinity and
    the limits of its container count, not the machine's cores."""
    if workers is None:
        return cpu_count()
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= WORKERS:
        raise WorkersError(f"workers must be a whole number from 1 to {WORKERS:,} (got {short(workers)})")
    return workers


def compute(specs, workers: int | None = None, profile: str | None = None, progress: bool = False,
            backend: str = "local", address: str | None = None, gpus_per_run: float = 0.0,
            in_order: bool = False) -> Computed:
    """Records of `specs` and of all that they need, by spec.

    `backend` "local": `workers` processes on this machine (see `worker_count`). "ray": the Ray cluster at `address`
    ("host:port", or "auto" for the one this machine belongs to), all of it; without an address a Ray of `workers`
    processes is started here, and one that this process has connected to already is used. All nodes must see the
    store's folder under the same path. Each run, or cohort of runs, then takes one CPU and `gpus_per_run` of a GPU.

    Of runs that could start the longest comes first, or, `in_order`, the earlier one in `specs`: so that of days of
    runs the first parts are there first.

    Committed weights are adopted into the store first; what they are of is not trained again.

    With KDLIB_FROM_RECORDS set the records come from `results/<profile>` and nothing is trained.
    """
    specs = list(specs)
    if settings().from_records:
        return Computed(Recorded(profile).all_of(specs))
    workers = worker_count(workers)
    if backend not in ("local", "ray"):
        raise WorkersError(f"unknown backend {backend!r}; there are local, ray")
    if backend == "local" and (address or gpus_per_run):
        raise WorkersError("an address and GPUs per run belong to the backend ray")
    if not (0 <= gpus_per_run <= 1 or (gpus_per_run >= 1 and gpus_per_run % 1 == 0)):
        raise WorkersError(f"GPUs per run must be a share from 0 to 1, or a whole number (got {gpus_per_run:g})")
    devices()  # one that is not here is said here, once, and not by every worker
    store, start, done = Store(), time.perf_counter(), Computed()
    layers = levels(specs)
    done.update(store.find(spec for layer in layers for spec in layer))
    missing = [[spec for spec in layer if spec not in done] for layer in layers]
    if store.adopt(spec for layer in missing for spec in layer):
        done.update(store.find(spec for layer in missing for spec in layer))
        missing = [[spec for spec in layer if spec not in done] for layer in missing]
    done.reused = len(done)
    total = sum(map(len, missing))
    if not total:  # a store that has everything is only read
        done.seconds = time.perf_counter() - start
        return done
    check(spec for layer in missing for spec in layer)
    store.prepare()
    log = _log(store)
    store.tidy()
    store.check_weights({need for layer in missing for spec in layer for need in spec.needs if need in done})
    if backend == "ray":
        pool = _ray(store.root.absolute(), workers, address, gpus_per_run)
    else:
        pool = _local(store.root, min(workers, total))
    bar = tqdm(total=total, disable=not progress, unit="run", file=sys.stderr)
    with _goes_on(), pool as (submit, slots, split), bar:
        kept = store.kept_cohorts()
        tasks = [task for layer in missing for task in cohorts(layer, split, kept, in_order)]
        for task, results in _in_order(tasks, submit, slots):
            for spec, (record, trained) in zip(task, results, strict=True):
                done[spec] = record
                done.trained += trained
                done.reused += not trained
                if trained:  # another process names those that it trained
                    log.info("%s %s %.2f s", spec.kind, spec.key, record.seconds)
            bar.update(len(task))
    done.seconds = time.perf_counter() - start
    return done


@contextmanager
def _goes_on():
    try:
        yield
    except SystemExit as stop:  # a signal
        stop.add_note("finished runs are kept: the same command goes on from here")
        raise


def _in_order(tasks, submit, slots):
    """(task, its results) as they finish. A task starts once all that it needs is done; at most `slots` are under way,
    the earlier ones in the list first."""
    of = {spec: i for i, task in enumerate(tasks) for spec in task}
    order = TopologicalSorter({i: {of[n] for spec in task for n in spec.needs if n in of}
                               for i, task in enumerate(tasks)})
    order.prepare()
    ready, running = [], {}
    while order.is_active():
        ready = sorted([*ready, *order.get_ready()])
        while ready and len(running) < slots:
            i = ready.pop(0)
            running[submit(tasks[i])] = i
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            i = running.pop(future)
            yield tasks[i], future.result()
            order.done(i)


@contextmanager
def _local(root, workers):
    """(submit, how many tasks at a time, over how many workers to split a cohort): joblib's process pool."""
    if workers == 1:
        def here(task):
            future = Future()
            future.set_result(_run_task(task, root, own.USED))
            return future

        yield here, 1, 1
        return
    # joblib replaces a worker that has grown large, which is as it should be and nothing to warn a reader of
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        ensure_running()  # joblib's tracker of semaphores: a hang-up that ends it first makes it print tracebacks
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    pool = processes(workers)
    try:
        yield lambda task: pool.submit(_run_task, task, root, own.USED), workers, workers
    except BrokenProcessPool:
        raise StoreError("a worker process died (out of memory?); what was finished is kept: "
                         "run again, with fewer workers") from None
    except BaseException:  # what is under way is not waited for
        pool.shutdown(kill_workers=True)
        raise


def processes(workers: int, **told: str):
    """joblib's pool of worker processes, which a process has once: kept for a while, and used again by whoever asks and
    would tell them the same. They know no run store: a task says which, or `told`, further environment variables."""
    return get_reusable_executor(workers, timeout=300, env=_environment() | told, initializer=end_with,
                                 initargs=(os.getpid(),))


def _environment():
    """What a worker must be told: one kept from an earlier call, or on another node, has another environment."""
    settings()  # makes every path absolute
    env = {name: value for name, value in os.environ.items() if name.startswith("KDLIB_") and name != "KDLIB_STORE"}
    return env | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


RETRIES = 20  # a task that has taken so many workers down with it is at fault itself


@contextmanager
def _ray(root, workers, address, gpus):
    """The same as `_local` on a Ray cluster; Ray does the tasks of a dead worker or node again elsewhere."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # its warning; CUDA_VISIBLE_DEVICES is set below
    try:
        import ray
    except ImportError:
        raise WorkersError("the backend ray needs Ray: pip install ray") from None
    connected = ray.is_initialized()
    if not connected:
        quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
        on_sigterm = signal.getsignal(signal.SIGTERM)
        try:
            if address is None:
                ray.init(address="local", num_cpus=workers, include_dashboard=False, **quiet)
            else:
                if address != "auto":
                    host, _, port = address.rpartition(":")
                    if not host or not port.isdecimal():
                        raise WorkersError(f"the address of a Ray cluster is HOST:PORT or auto (got {address!r})")
                    socket.create_connection((host, int(port)), timeout=10).close()  # Ray would try for a minute
                ray.init(address=address, **quiet)
        except (OSError, OverflowError, RuntimeError) as error:
            raise WorkersError(f"no Ray cluster answers at {address or 'this machine'} ({error}); is RAY_AUTH_MODE "
                               "that of the cluster?") from None
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray takes it over
    refs = []
    try:
        has = ray.cluster_resources()
        split = int(has.get("GPU", 0) / gpus if gpus else has.get("CPU", 0))
        if not split:
            raise WorkersError(f"the Ray cluster has no {'GPU' if gpus else 'CPU'} for a run")
        env = _environment() | ({} if gpus else {"CUDA_VISIBLE_DEVICES": ""})
        remote = ray.remote(_on_node).options(num_cpus=1, num_gpus=gpus, max_retries=RETRIES,
                                              runtime_env={"env_vars": env})

        def submit(task):
            refs.append(remote.remote(task, root, mark.name, own.USED))
            return refs[-1].future()

        with tempfile.NamedTemporaryFile(dir=root / "locks", prefix="driver-") as mark:
            yield submit, sys.maxsize, split
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise StoreError(f"Ray gave up ({' '.join(str(error).split())}); what was finished is kept: run again"
                         ) from None
    finally:
        for ref in refs:  # a no-op where all went well
            ray.cancel(ref, force=True)
        if not connected:
            ray.shutdown()


def _on_node(specs, root, mark, used=()):
    if not Path(mark).exists():
        raise StoreError(f"{socket.gethostname()} does not share the run store {root}: "
                         "set KDLIB_STORE to a folder that all nodes mount under the same path")
    return _run_task(specs, root, used)


def _run_task(specs, root, used=()):
    steady_process()
    own.receive(dict(used))
    store = Store(root)
    try:
        return store.run(specs)
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
    return results


def _log(store):
    """One line per finished run, in a file of the store. Where it cannot be written lines are lost, and no run."""
    log = logging.getLogger(f"kdlib {store.root}")
    if not log.handlers:
        log.setLevel(logging.INFO)
        log.propagate = False
        try:
            handler = logging.FileHandler(store.root / "runs.log")
        except OSError as error:
            logging.getLogger("kdlib").warning("kdlib: finished runs are not listed in %s (%s)",
                                               store.root / "runs.log", error.strerror)
            handler = logging.NullHandler()
        handler.handleError = lambda _: None
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        log.addHandler(handler)
    return log
