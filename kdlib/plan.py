"""What a list of runs will cost, before anything runs: how many, FLOPs, memory, and time here or on a named GPU."""

from collections import Counter
from dataclasses import astuple

from kdlib import runs
from kdlib.compute import worker_count
from kdlib.errors import KdlibError
from kdlib.results import Recorded
from kdlib.runs.cost import Cost
from kdlib.settings import settings
from kdlib.spec import levels
from kdlib.store import Store, with_committed_weights
from kdlib.train import steady_process

# Dense peak throughput in FLOP/s as the makers state it, of the arithmetic that training here would use, and memory in
# GB, of the largest version that is sold.
GPUS = {
    "t4": ("FP32", 8.1e12, 16), "v100": ("FP32", 15.7e12, 32), "a100": ("TF32", 156e12, 80),
    "l4": ("TF32", 60e12, 24), "rtx4090": ("FP32", 82.6e12, 24), "h100": ("TF32", 494e12, 80),
}
LEAST = 1e-4  # share of a GPU that anyone would plan with


class PlanError(KdlibError):
    """A GPU that is not in the table, or a utilisation that is no share."""


def flops(spec, each: Cost, judge: Cost | None = None, given: bool = False) -> int:
    """FLOPs of a run: its steps, and what is only judged, which costs what its own net does unless `judge` says
    otherwise, and nothing where it is `given`, by a run that it is executed with."""
    work = runs.work(spec)
    return work.steps * each.step_flops + work.only_forward * (judge or each).label_flops * (not given)


def given(specs) -> set:
    """Those of the runs whose labels another of them asks for: all but the first of a cohort that is executed whole."""
    first = {}
    return {s for s in specs if runs.cohort(s) and not runs.divides(s) and first.setdefault(runs.cohort(s), s) != s}


def taken_over(specs) -> set:
    """Those of the runs that a store which lacks them takes from committed weights, and does not train."""
    return {spec for _, spec in with_committed_weights(specs)}


def duration(seconds: float) -> str:
    """In the largest unit of which there are two: "90 s", "58.0 h", "3.4 days"."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def plan(chapters: dict[str, list], workers: int | None = None, gpu: str | None = None, utilisation: float = 0.3,
         source: Recorded | None = None) -> str:
    """A report on the runs of {chapter: specs} and all that they need; `source` has those committed already."""
    if gpu is not None and gpu not in GPUS:
        raise PlanError(f"unknown GPU {gpu!r}; there are {', '.join(GPUS)}")
    if not LEAST <= utilisation <= 1:
        raise PlanError(f"utilisation must lie in [{LEAST:g}, 1] (got {utilisation:g})")
    workers = worker_count(workers)
    steady_process()
    needed = {name: {s for layer in levels(specs) for s in layer} for name, specs in chapters.items()}
    uses = Counter(s for specs in needed.values() for s in specs)
    found, taken = Store().look(uses)[0], taken_over(uses)
    missing = uses.keys() - found.keys() - taken
    lines, todo, total_seconds = [], {}, 0.0
    labelled = given(s for s in uses if s in missing)
    groups, large = {}, []
    for spec in uses:
        groups.setdefault((spec.kind, runs.kind_of(spec).priced(spec)), []).append(spec)
    lines.append(f"{'kind':9} {'net':12} {'batch':>5} {'runs':>6} {'missing':>7} {'GFLOP a run':>11} "
                 f"{'MB a run':>8} {'ms a step':>9}")
    for (kind, price), specs in sorted(groups.items(), key=lambda group: (group[0][0], astuple(group[0][1])[:3])):
        each, second = price.cost(), price.seconds()
        judge = runs.kind_of(specs[0]).judge
        work = [flops(s, each, judge(s).cost() if judge else None, s in labelled) for s in specs]
        here = {s: w for s, w in zip(specs, work, strict=True) if s in missing}
        todo |= here
        total_seconds += sum(here.values()) / each.step_flops * second
        needs = (each.step_bytes + each.state_bytes) / 1e9
        if gpu and needs > GPUS[gpu][2]:
            large.append(f"{price.name} needs about {needs:.0f} GB for a {kind}'s batch of {price.batch}, and one "
                         f"{gpu} has {GPUS[gpu][2]}: spread it with KDLIB_DEVICES")
        lines.append(f"{kind:9} {price.name:12} {price.batch:5d} {len(specs):6d} {sum(s in missing for s in specs):7d} "
                     f"{sum(work) / len(work) / 1e9:11.2f} {(each.step_bytes + each.state_bytes) / 1e6:8.1f} "
                     f"{1e3 * second:9.3f}")
    shared, total_flops = sum(n > 1 for n in uses.values()), sum(todo.values())
    lines += [
        f"{len(uses)} runs ({shared} of them shared by several chapters): {len(found)} in the store, "
        + f"{len(taken - found.keys())} committed with their weights, " * bool(taken - found.keys())
        + f"{len(missing)} missing",
        f"missing: {total_flops / 1e12:.2f} TFLOP; about {duration(total_seconds / workers)} here on {workers} "
        "one-thread workers with a core each, by the processor time of the steps just measured (evaluation and data "
        "not counted)"]
    known = sum(source.get(s) is not None for s in missing) if source else 0
    if known:
        lines.append(f"{known} of the missing are committed in {source.folder}: a page or `kdlib run` trains them, "
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


def lacking(specs, which: str, profile: str | None, workers: int | None = None) -> tuple[list, str]:
    """(those of the runs `specs`, and of all that they need, which the store lacks; a line that says so of the runs
    `which`, and about how long they take: by the records of `profile`, None of one's own data). None where the records
    are read and nothing is trained."""
    if settings().from_records:
        return [], ""
    specs, count = [s for layer in levels(specs) for s in layer], worker_count(workers)
    found = Store().look(specs)[0].keys() | taken_over(specs)
    missing = [s for s in specs if s not in found]
    line = (f"kdlib: {len(missing)} of the {len(specs)} runs {which} are not in the store and are trained now, by "
            f"{count} workers")
    if profile is None:
        return missing, line
    took = [record.seconds for record in map(Recorded(profile).get, missing) if record]
    about = (f"about {duration(sum(took) / len(took) * len(missing) / count)}, if they take as long as when they were "
             "recorded" if took else f"`kdlib plan` says how long that takes: none of them is recorded at {profile}")
    return missing, f"{line}; {about}"
