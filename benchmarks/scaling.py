"""What `compute` costs around the training itself: speed-up of workers, overhead per run, looking up what exists.

    python benchmarks/scaling.py [--rounds 3] [--runs 16] [--steps 400]     # minutes, alone on the machine

- speed-up: equal MNIST-1D teachers in a fresh store by 1 and by 2 workers of one thread, in turn; ratios within a
  round. The nets are ResNets, which never share a cohort, so that both do the same work run by run. The pool is
  started before, by other runs.
- overhead: wall seconds of `compute` by one worker beyond those of `runs.execute` on the same specs, per run.
- lookup: seconds of `compute` where every record is there already, of 1,000 and of 10,000 specs; the growth between
  them as a share of linear growth.

Writes results/scaling.json: medians over rounds, and everything needed to read them.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from kdlib.compute import compute
from kdlib.runs import execute
from kdlib.spec import Data, Teacher, Training
from kdlib.store import Store, commit, run_now


def teachers(count, steps, first=0, model="resnet1d-bn"):
    data = Data(name="mnist1d", trial=0, train=1000, test=1000)
    return [Teacher(data=data, model=model, training=Training(steps=steps), member=first + i) for i in range(count)]


def timed(specs, workers):
    """Seconds of `compute` in a fresh store."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KDLIB_STORE"] = folder
        start = time.perf_counter()
        compute(specs, workers)
        return time.perf_counter() - start


def speed_up(rounds, runs, steps):
    """(seconds by 1 worker, by 2) of each round."""
    specs, other = teachers(runs, steps), teachers(4, 2, first=runs)
    timed(other, 2)
    return [(timed(specs, 1), timed(specs, 2)) for _ in range(rounds)]


def overhead(rounds, runs, steps):
    """Seconds per run beyond training and evaluating it, of each round."""
    specs, out = teachers(runs, steps), []
    for _ in range(rounds):
        start = time.perf_counter()
        for spec in specs:
            execute([spec], None)
        training = time.perf_counter() - start
        out.append((timed(specs, 1) - training) / runs)
    return out


def lookup(rounds, count):
    """Seconds of `compute` on `count` specs that all have a record, of each round."""
    specs = teachers(count, 1, model="mlp")
    [(record, _)] = run_now(specs[:1], None)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KDLIB_STORE"] = folder
        store, out = Store(), []
        store.prepare()
        for spec in specs:
            store.record_path(spec.key).write_text(
                replace(record, key=spec.key, spec=spec.model_dump(mode="json")).line())
        for _ in range(rounds):
            start = time.perf_counter()
            assert compute(specs, 1).reused == count
            out.append(time.perf_counter() - start)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--steps", type=int, default=400, help="of a run")
    parser.add_argument("--counts", type=int, nargs=2, default=(1000, 10_000), help="of the lookups")
    parser.add_argument("--out", type=Path, default=Path("results/scaling.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    pairs = speed_up(args.rounds, args.runs, args.steps)
    extra = overhead(args.rounds, args.runs, 20)
    few, many = (lookup(args.rounds, count) for count in args.counts)
    result = {
        "speed_up_of_2_workers": statistics.median(one / two for one, two in pairs),
        "seconds_by_1_and_2_workers": pairs,
        "overhead_seconds_per_run": statistics.median(extra),
        "lookup_seconds": {str(n): statistics.median(s) for n, s in zip(args.counts, (few, many), strict=True)},
        "lookup_growth": statistics.median(b / a for a, b in zip(few, many, strict=True))
        / (args.counts[1] / args.counts[0]),
    }
    print(f"2 workers: {result['speed_up_of_2_workers']:.2f} times as fast as 1; overhead "
          f"{1e3 * result['overhead_seconds_per_run']:.1f} ms a run; lookup of {args.counts[0]} specs "
          f"{result['lookup_seconds'][str(args.counts[0])]:.2f} s, of {args.counts[1]} "
          f"{result['lookup_seconds'][str(args.counts[1])]:.2f} s ({result['lookup_growth']:.2f} of linear)")
    args.out.write_text(json.dumps(result | {
        "rounds": args.rounds, "runs": args.runs, "steps": args.steps, "threads": 1, "torch": torch.__version__,
        "python": platform.python_version(), "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(), "commit": commit()}, indent=1) + "\n")
    print(f"written to {args.out}")


if __name__ == "__main__":
    sys.exit(main())
