"""Why does a student that starts as its teacher leave it? How sharp the distillation loss is where students start.

    python benchmarks/curvature.py      # some ten minutes of one core; teachers that the run store lacks are trained

takes the largest eigenvalue of its Hessian at the starts of Fig 6b, on the distillation inputs of the trials of profile
signals, and writes them to results/curvature.json, beside the curvature up to which their SGD is stable. Measured
when the students' agreement had been seen, to explain it, it decides no claim.
"""

import json

import torch
from torch.func import functional_call
from torch.nn.utils import parameters_to_vector

from kdlib import data, landscape, losses
from kdlib.compute import compute
from kdlib.devices import processor
from kdlib.experiments import optimization
from kdlib.experiments.design import Design
from kdlib.models import Ensemble
from kdlib.paths import atomic, results_dir
from kdlib.runs.kind import loaded
from kdlib.runs.student import inputs_of, start_of
from kdlib.store import Store, commit
from kdlib.streams import stream
from kdlib.train import logits_of

TRIALS = 8
STARTS = (0.0, 0.5, 0.75, 1.0)


def sharpness(spec, store) -> float:
    """Of a student's loss at its start."""
    splits = data.load(**dict(spec.data))
    x = inputs_of(spec, splits, store.weights)
    target = logits_of(Ensemble([loaded(t, store.weights) for t in spec.teachers]), x)
    net = start_of(spec, store.weights).eval()
    shapes = {name: p.shape for name, p in net.named_parameters()}

    def loss(weights):
        parts = weights.split([shape.numel() for shape in shapes.values()])
        named = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        return losses.distillation(functional_call(net, named, (x,)), target, spec.temperature).mean()

    return landscape.sharpness(loss, parameters_to_vector(net.parameters()), stream(spec.data.trial, "curvature"))


def main():
    """Measure and write."""
    torch.set_num_threads(1)
    d = Design("signals", TRIALS)
    runs, store = optimization.moves(d), Store()
    training = d.profile.optimization.optimizers["SGD"]
    rows = {draw: {x: runs["moved", x, "decay", "fixed", "SGD", draw] for x in STARTS}
            for draw in ("torch", "he-fan-out")}
    compute([t for row in rows.values() for specs in row.values() for s in specs for t in s.teachers])
    found = {draw: {f"{x:g}": [round(sharpness(spec, store), 2) for spec in specs] for x, specs in row.items()}
             for draw, row in rows.items()}
    result = {"profile": "signals", "trials": list(d.trials), "lr": training.lr, "nesterov": training.nesterov,
              "stable": round(landscape.sharpest_stable(training.lr, nesterov=training.nesterov), 2),
              "sharpness": found, "commit": commit(), "processor": processor(), "torch": torch.__version__}
    with atomic(results_dir() / "curvature.json") as file:
        file.write((json.dumps(result, indent=1) + "\n").encode())
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
