"""What the grid of profile `halves` costs, against the loop that most code has and against what its nets cost.

    python benchmarks/grid.py [--rounds 7] [--seconds 4] [--before COMMIT]      # ten minutes, on two idle cores

ResNet-20 on images of 32 x 32 in batches of 128, as a teacher and as a student of one and of three teachers. Contenders
take turns, each in a process of its own with one thread: the conventional loop and the bound of `bench.py`; `train.fit`
as `kdlib run` has it, for one student and for two that share their teachers' labels (temperatures 1 and 4), of which
the images of both count; and, to see what a change gained, the same of one student with the code of an earlier commit.

Writes results/grid.json: medians over rounds of images a second, of ratios within a round, and hours of the whole grid.
"""

import argparse
import contextlib
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

NET, DATA, SHAPE, BATCH, IMAGES = "resnet20-bn", "cifar100", (3, 32, 32), 128, 2048
STEPS = 5  # of a call of `fit`
STUDENTS = {"kdlib": 1, "kdlib, two share labels": 2, "before": 1}


def fitted(teachers, count):
    """`fit` on `count` nets that see the same batches. An earlier commit runs this too: only what both have."""
    from kdlib import augment, losses, train
    from kdlib.models import Ensemble, build
    from kdlib.spec import Training

    getattr(train, "steady_process", lambda: None)()
    floats, y = torch.rand(IMAGES, *SHAPE), torch.randint(0, 100, (IMAGES,))
    teacher = Ensemble([build(NET, DATA, "teacher", i) for i in range(teachers)])

    def run(seconds):
        images, start = 0, time.perf_counter()
        nets = [build(NET, DATA, "student", i) for i in range(count)]
        draws, order = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)

        def prepare(rows):
            x = augment.augment(floats[rows], "baseline", draws)
            return x, train.logits_of(teacher, x) if teachers else y[rows]

        source = train.Source("grid", IMAGES, prepare, order, draws, block=STEPS)
        loss = losses.distillation if teachers else losses.nll
        while not images or time.perf_counter() - start < seconds:
            train.fit(nets, Training(optimizer="sgd", lr=0.05, weight_decay=1e-4, batch=BATCH, steps=STEPS),
                      [source] * count, loss)
            images += STEPS * BATCH * count
        return images, time.perf_counter() - start
    return run


def contender(name, teachers):
    """Its function of seconds that gives (images, seconds)."""
    if name in STUDENTS:
        return fitted(teachers, STUDENTS[name])
    import bench

    work = bench.Work(NET, BATCH, SHAPE, DATA, teachers)
    return bench.conventional(work) if name == "conventional" else bench.bound(work, name.removeprefix("bound, "))


def serve(name, teachers):
    """Take a turn for each line of seconds that comes in."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    run = contender(name, int(teachers))
    for line in sys.stdin:
        print(json.dumps(run(float(line))), flush=True)


@contextlib.contextmanager
def code_of(revision):
    """A folder with the code of a commit."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", revision, "kdlib"], check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        yield folder


def measure(teachers, names, rounds, seconds, before):
    """One row: every contender has a turn in each round; the first turn only warms up."""
    with contextlib.ExitStack() as stack:
        turns = {}
        for name in names:
            code = stack.enter_context(code_of(before)) if name == "before" else str(Path(__file__).parent.parent)
            turns[name] = stack.enter_context(subprocess.Popen(
                [sys.executable, __file__, "--serve", name, str(teachers)], text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PYTHONPATH": code}))

        def turn(name, seconds):
            turns[name].stdin.write(f"{seconds}\n")
            turns[name].stdin.flush()
            images, taken = json.loads(turns[name].stdout.readline())
            return images / taken

        for name in names:
            turn(name, seconds / 2)
        rates = {name: [] for name in names}
        for _ in range(rounds):
            for name in names:
                rates[name].append(turn(name, seconds))
        for process in turns.values():
            process.stdin.close()
    best = max((name for name in names if name.startswith("bound")), key=lambda n: statistics.median(rates[n]))

    def ratios(to):
        return {name: statistics.median(a / b for a, b in zip(values, rates[to], strict=True))
                for name, values in rates.items()}

    return {"teachers": teachers, "best_bound": best, "to_conventional": ratios("conventional"),
            "share_of_bound": ratios(best),
            "images_per_second": {name: statistics.median(values) for name, values in rates.items()}}


def grid():
    """Counter of the images that the plan's nets are trained on, by (teachers, nets that share their labels)."""
    from kdlib import runs
    from kdlib.compute import levels
    from kdlib.experiments import CHAPTERS, Design

    planned = [s for row in CHAPTERS["10_halves"].runs(Design("halves")).values() for s in row]
    specs = list(dict.fromkeys(s for layer in levels(planned) for s in layer))
    sharing = Counter(runs.cohort(s) for s in specs)
    return Counter({key: sum(s.training.steps * s.training.batch for s in specs if key == _share(s, sharing, runs))
                    for key in {_share(s, sharing, runs) for s in specs}})


def _share(spec, sharing, runs):
    cohort = runs.cohort(spec)
    return len(getattr(spec, "teachers", ())), sharing[cohort] if cohort else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4, help="per contender and round")
    parser.add_argument("--before", help="a commit whose code takes part")
    parser.add_argument("--out", type=Path, default=Path("results/grid.json"))
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        return serve(*args.serve)
    from kdlib.store import commit

    rows = {}
    for teachers in (0, 1, 3):
        names = ["conventional", "bound, eager", "bound, channels-last", *STUDENTS]
        names = [name for name in names if (teachers or STUDENTS.get(name) != 2) and (args.before or name != "before")]
        rows[teachers] = row = measure(teachers, names, args.rounds, args.seconds, args.before)
        print(f"m = {teachers}: " + ", ".join(
            f"{name} {rate:.0f} images/s ({row['to_conventional'][name]:.2f} x, "
            f"{row['share_of_bound'][name]:.2f} of the bound)" for name, rate in row["images_per_second"].items()),
            flush=True)

    def hours(name):
        total = 0
        for (m, sharing), images in grid().items():
            who = "kdlib, two share labels" if (name, sharing) == ("kdlib", 2) else name
            total += images / rows[m]["images_per_second"]["conventional"] / rows[m]["to_conventional"][who]
        return total / 3600

    whole = {name: hours(name) for name in ("conventional", "kdlib", *(["before"] if args.before else []))}
    print("core-hours of the grid: " + ", ".join(f"{name} {value:.1f}" for name, value in whole.items()))
    args.out.write_text(json.dumps({
        "rows": list(rows.values()), "core_hours": whole, "rounds": args.rounds, "seconds": args.seconds, "threads": 1,
        "before": args.before, "torch": torch.__version__, "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(), "commit": commit()}, indent=1) + "\n")
    print(f"written to {args.out}")


if __name__ == "__main__":
    sys.exit(main())
