"""The command line: `kdlib run|plan|record|claims|runs|audit|book|notebooks|data`."""

import random
import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

INTERRUPTED = 130  # typer's exit code after Ctrl-C, the shell's convention

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="Does knowledge distillation really work? The paper, re-executed.")
data_app = typer.Typer(no_args_is_help=True, help="Real data sets.")
app.add_typer(data_app, name="data")

ProfileOption = Annotated[str, typer.Option(help="smoke, laptop, workstation or paper")]
SeedsOption = Annotated[int | None, typer.Option(help="trials; the profile's own number if not given")]
WorkersOption = Annotated[int, typer.Option(help="one-thread worker processes")]

# Measured on laptop records with AVX2 or SSE4.1 in place of AVX-512: teachers 0.05, students 0.23, surfaces 0.47; other
# trials differ by 0.05 to 0.3.
TOLERANCE = ("largest allowed difference; 0, the default, asks for the same bits, which one type of processor and one "
             "version of torch give; elsewhere 0.5 for laptop (training amplifies rounding until a run lies as far off "
             "as one of another trial; tests/reference.py compares short runs to 0.0003)")


@app.command()
def run(chapter: Annotated[str, typer.Argument(help="a chapter, all, or a JSON file with a list of specs")],
        profile: ProfileOption = "laptop", seeds: SeedsOption = None, workers: WorkersOption = 2):
    """Train what CHAPTER (or all) needs and the store does not have yet; or the specs of a file of your own."""
    from kdlib.compute import compute
    from kdlib.experiments import CHAPTERS, chapters
    from kdlib.experiments.design import Design

    own = chapter.endswith(".json")
    if own:
        specs = read_specs(Path(chapter))
    else:
        design, names = Design(profile, seeds), chapters(chapter)
        specs = [s for name in names for row in CHAPTERS[name].runs(design).values() for s in row]
    records = compute(specs, workers, profile, progress=True)
    if own:
        _list(records[spec] for spec in specs)
    print(f"{records.trained} runs trained, {records.reused} reused, {records.seconds:.0f} s")


@app.command()
def plan(chapter: str, profile: ProfileOption = "laptop", seeds: SeedsOption = None, workers: WorkersOption = 2,
         gpu: Annotated[str | None, typer.Option(help="estimate the time on this GPU too, e.g. a100")] = None,
         utilisation: Annotated[float, typer.Option(help="assumed share of the GPU's stated throughput")] = 0.3):
    """What CHAPTER (or all) will cost before anything runs: runs, FLOPs, memory, time."""
    from kdlib.experiments import CHAPTERS, chapters
    from kdlib.experiments.design import Design
    from kdlib.plan import plan as report

    design = Design(profile, seeds)
    print(report({name: [s for row in CHAPTERS[name].runs(design).values() for s in row]
                  for name in chapters(chapter)}, workers, gpu, utilisation))


def read_specs(path: Path) -> list:
    """The specs in a JSON file; StoreError if there is no list of them in it."""
    from pydantic import TypeAdapter

    from kdlib.spec import Spec, sentence
    from kdlib.store import StoreError

    try:
        specs = TypeAdapter(list[Spec]).validate_json(path.read_bytes())
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror})") from None
    except ValidationError as error:
        raise StoreError(f"{path} is not a list of specs: {sentence(error)}") from None
    if not specs:
        raise StoreError(f"{path} has no specs in it")
    return specs


def _list(records):
    for r in records:
        numbers = " ".join(f"{k}={r.metrics[k]:.4g}" for k in (
            "accuracy", "agreement", "independent_agreement", "barrier", "judge_fid", "judge_is") if k in r.metrics)
        print(f"{r.key} {r.spec['kind']:9} {r.seconds:7.2f} s  {numbers}")


@app.command()
def record(chapter: Annotated[str, typer.Argument(help="a chapter, or all")] = "all", profile: ProfileOption = "laptop",
           workers: WorkersOption = 2,
           stored: Annotated[bool, typer.Option("--stored", help="write what the store has and train nothing")] = False):
    """Write runs to results/PROFILE/CHAPTER.jsonl, each run once; what is recorded already stays as it is."""
    from kdlib.compute import compute, levels
    from kdlib.experiments import CHAPTERS, chapters
    from kdlib.experiments.design import Design
    from kdlib.paths import atomic, results_dir
    from kdlib.store import Recorded, Store

    design, seen, names = Design(profile), set(), chapters(chapter)
    source, store = Recorded(profile), Store()
    for name, module in CHAPTERS.items():
        rows = module.runs(design).values()
        specs = [s for layer in levels(s for row in rows for s in row) for s in layer if s not in seen]
        seen |= set(specs)
        if name not in names:
            continue
        found = {s: source.get(s) for s in specs}
        absent = [s for s in specs if found[s] is None]
        found |= {s: store.get(s) for s in absent} if stored else compute(absent, workers, profile, progress=True)
        lines = [found[s].line().encode() + b"\n" for s in specs if found[s]]
        path = results_dir() / profile / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as file:
            file.writelines(lines)
        print(f"{path.name}: {len(lines)} of {len(specs)} runs")


@app.command()
def claims(profile: ProfileOption = "laptop", recorded: bool = True, workers: WorkersOption = 2):
    """Every claim with its estimate, interval, n and verdict, from the committed records (or the store)."""
    from kdlib.experiments import standing
    from kdlib.paper import FOUND

    for name, claim in standing(profile, workers=workers, records=recorded).items():
        if isinstance(claim, str):
            print(f"{name:3} not tested     paper: {FOUND[name]}\n      {claim}")
            continue
        print(f"{claim.id:3} {claim.verdict:14} {claim.statement} ({claim.source})")
        for row in claim.to_rows():
            print(f"      {row['statistic']}: {row['estimate']} {row['interval']}, n = {row['n']}, "
                  f"{row['rule']}: {row['verdict']}")


@app.command()
def runs(key: Annotated[str, typer.Argument(help="the beginning of a key: show that run")] = "",
         kind: Annotated[str, typer.Option(help="teacher, generator, student, surface or labels")] = ""):
    """List the runs in the store; with KEY, show one whole."""
    from kdlib.store import Store, StoreError

    kinds = "teacher", "generator", "student", "surface", "labels"
    if kind not in ("", *kinds):
        raise StoreError(f"unknown kind {kind!r}; there are {', '.join(kinds)}")
    found = [r for r in Store().all() if r.key.startswith(key) and kind in ("", r.spec["kind"])]
    if key and not found:
        raise StoreError(f"no run in the store has a key that begins with {key!r}")
    if key and len(found) == 1:
        print(found[0].line())
        return
    _list(found)
    print(f"{len(found)} runs")


@app.command()
def audit(sample: Annotated[int, typer.Option(min=1)] = 3, profile: ProfileOption = "laptop",
          seed: Annotated[int, typer.Option(help="which sample")] = 0,
          tolerance: Annotated[float, typer.Option(min=0, help=TOLERANCE)] = 0.0):
    """Train SAMPLE recorded runs again, with what they need, and compare metrics and curves; exit 1 on a difference."""
    from kdlib.experiments.design import Design
    from kdlib.store import Recorded, StoreError

    recorded = Recorded(Design(profile).profile.name)
    if not recorded.records:
        raise StoreError(f"there are no records in {recorded.folder}")
    keys = sorted(recorded.records)
    worst = 0.0
    for key in random.Random(seed).sample(keys, min(sample, len(keys))):
        record = recorded.records[key]
        again = retrained(record)
        metrics, curves = record.difference(again)
        worst = max(worst, metrics, curves)
        print(f"{key} {record.spec['kind']:9} recorded at {record.commit} on {elsewhere(record, again)}; "
              f"largest difference of metrics {metrics:.3g}, of curves {curves:.3g}")
    if worst > tolerance:
        print(f"differs: {worst:.3g} is more than the tolerance of {tolerance:g}")
        raise typer.Exit(1)


def elsewhere(record, here) -> str:
    """Where a record was made, as far as that differs from here."""
    made, now = ({"device": r.device} | r.versions for r in (record, here))
    other = [f"{name} {made.get(name)} (here {now.get(name)})" for name in made | now
             if made.get(name) != now.get(name)]
    return ", ".join(other) or "the same device and versions"


def retrained(record):
    """The same run trained again from nothing, with all that it needs."""
    import json

    import torch
    from pydantic import TypeAdapter

    from kdlib.spec import Spec
    from kdlib.store import fresh

    torch.set_num_threads(1)
    made = {}

    def weights_of(spec):
        if spec.key not in made:
            made[spec.key] = fresh([spec], weights_of)[0][1]
        return made[spec.key]

    return fresh([TypeAdapter(Spec).validate_json(json.dumps(record.spec))], weights_of)[0][0]


@app.command()
def book(profile: ProfileOption = "laptop", workers: WorkersOption = 2,
         root: Annotated[Path | None, typer.Option(help="the folder with _toc.yml (default: this checkout)")] = None):
    """Execute every chapter with papermill at PROFILE and render the book."""
    from kdlib.book import build

    build(profile, workers, root)


@app.command()
def notebooks():
    """Write the outputs of notebooks/*.ipynb anew from the committed records (`make notebooks`)."""
    from kdlib.book import refresh

    refresh()


@data_app.command("import")
def import_(name: str, path: Path):
    """Store a local copy of data set NAME: a folder or zip with the official files, or of class folders."""
    from kdlib import datasets

    datasets.import_(name, path)
    print(f"{name} is stored")


@data_app.command()
def fetch(name: str):
    """Download data set NAME (mnist) and store it."""
    from kdlib import datasets

    datasets.fetch_mnist()
    print("mnist is stored")


def main():
    """Run the command line; what a user can mend is one sentence and exit code 2 (Ctrl-C: 130), never a traceback."""
    from kdlib.book import BookError
    from kdlib.compute import WorkersError
    from kdlib.datasets import DataError
    from kdlib.experiments.design import DesignError
    from kdlib.plan import PlanError
    from kdlib.run import DeviceError
    from kdlib.spec import sentence
    from kdlib.store import StoreError
    from kdlib.train import Diverged

    code = 2
    try:
        app()
    except (StoreError, DataError, DesignError, PlanError, DeviceError, WorkersError, BookError, Diverged) as error:
        message = " ".join(str(error).split())
    except ValidationError as error:
        message = sentence(error)
    except OSError as error:
        message = (f"{error.filename or 'the run store'} cannot be used: {error.strerror}; finished runs are kept, and "
                   "the same command goes on from there")
    except SystemExit as done:
        if done.code != INTERRUPTED:
            raise
        message, code = "interrupted; finished runs are kept: the same command goes on from here", INTERRUPTED
    print(f"\nkdlib: {message}" if code == INTERRUPTED else f"kdlib: {message}", file=sys.stderr)
    sys.exit(code)
