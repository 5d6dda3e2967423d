"""What this version of the code computes: tiny runs of every kind, loss, policy, net and metric, on the CPU.

    python tests/reference.py [--check]

compares (--check) or writes tests/reference.json anew, but not if numbers moved under the same RESULTS_VERSION
(kdlib/spec.py). The test beside it compares, so that nobody changes results and forgets to raise the number that
changes every key.
"""

import json
import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from conftest import student, surface, teacher

from kdlib import augment, losses, metrics, spec
from kdlib.catalog import COLOUR, DATA_SETS, SIGNAL
from kdlib.data import stored
from kdlib.models import build
from kdlib.spec import Student, Training
from kdlib.store import run_now
from kdlib.streams import stream
from kdlib.train import Source, fit

FILE = Path(__file__).with_suffix(".json")
SGD = Training(steps=5, batch=10, optimizer="sgd", lr=0.05)
PHOTOS = tuple(teacher(i, model="resnet8-gn-w8", name="cifar100-16") for i in (0, 20))
RUNS = {
    "teacher cnn1d": teacher(), "teacher mlp easy": teacher(model="mlp", name="mnist1d-easy"),
    "teacher resnet1d-bn": teacher(model="resnet1d-bn"), "teacher resnet1d-ln": teacher(model="resnet1d-ln"),
    "teacher lenet5": teacher(model="lenet5", name="mnist"),
    **{f"student {policy}": student(policy=policy) for policy in ("baseline", *SIGNAL.policies)},
    "student temperature": student(temperature=4.0), "student mixed": student(alpha=0.3, temperature=4.0),
    "student labels": student(alpha=1.0), "student of three": student(3), "student sgd": student(training=SGD),
    "student D1": student(inputs="D1"), "student more inputs": student(fresh=30),
    "student near": student(toward_teacher=0.5), "student teacher-initial": student(start="teacher-initial"),
    **{f"student images {policy}": Student(teachers=PHOTOS[:1], foil=PHOTOS[1:], model=PHOTOS[0].model, policy=policy,
                                           training=SGD) for policy in ("baseline", "combined", "ood")},
    "surface": surface(),
}
NETS = {"cnn1d": "mnist1d", "mlp": "mnist1d", "resnet1d-bn": "mnist1d", "resnet1d-ln": "mnist1d", "lenet5": "mnist",
        "resnet8-bn": "cifar100", "resnet20-ln": "cifar100-16", "resnet8-gn-w8": "cifar100-16",
        "vgg11-w8": "cifar100-16", "lstm-small": "imdb"}
SHORT = Training(steps=4, batch=10, lr=1e-3)
TRAININGS = {
    "adamw": Training(steps=8, batch=10), "adam": Training(steps=8, batch=10, optimizer="adam"),
    "sgd": Training(steps=8, batch=10, optimizer="sgd", lr=0.05),
    "momentum": Training(steps=8, batch=10, optimizer="sgd", lr=0.05, nesterov=False),
    "warm-up": Training(steps=8, batch=10, warmup=3, final_lr=1e-3),
}
AUGMENTED = {f"policy {policy} of {kind}": (kind, policy) for kind in (SIGNAL, COLOUR)
             for policy in ("baseline", *kind.policies)}


@contextmanager
def own_data():
    """Data drawn by the code as it is, and made-up images: what is cached elsewhere may be older."""
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, KDLIB_DATA=folder, KDLIB_DEVICE="cpu"):
        for name in ("mnist", "cifar100"):
            random, known = np.random.RandomState(0), DATA_SETS[name]
            shapes = {"x": (known.inputs.shape, 256), "y": ((), known.classes)}
            stored.keep(name, {part: random.randint(0, shapes[part[-1]][1], (200, *shapes[part[-1]][0])).astype(
                np.uint8) for part in stored.ARRAYS}, "random numbers")
        yield


def normal(*shape):
    return torch.randn(shape, generator=stream("reference", shape))


def example(kind):
    """20 inputs of a kind of data."""
    if kind.tokens:
        return torch.randint(kind.tokens, (20, *kind.shape), generator=stream("reference", kind))
    x = normal(20, *kind.shape)
    return x if kind == SIGNAL else x.sigmoid()


def of_run(run, made):
    def weights_of(needed):
        if needed not in made:
            made[needed] = run_now([needed], weights_of)[0][1]
        return made[needed]

    record = run_now([run], weights_of)[0][0]
    plane = record.curves.get("plane", {})
    return record.metrics | {name: np.ravel(values).tolist() for name, values in (record.curves | plane).items()
                             if name != "plane"}


def of_net(name, training=SHORT):
    """The losses of a few steps: initial weights, forward, backward and optimizer."""
    known = DATA_SETS[NETS[name]]
    x, y = example(known.inputs), torch.arange(20) % known.classes
    source = Source("reference", 20, lambda rows: (x[rows], y[rows]), stream("reference order"))
    return {"loss": fit([build(name, NETS[name], "reference")], training, [source], losses.nll)[0]}


def of_policy(kind, policy):
    x = example(kind)
    out = augment.augment(x, policy, stream("reference", policy), pool=normal(7, *x.shape[1:]))
    return {"sums": [float((out * normal(*x.shape).roll(k, -1)).sum()) for k in range(3)]}


def of_metrics():
    y, sharpness = torch.arange(200) % 10, torch.linspace(0.2, 3, 200)[:, None]  # too careful first, then too sure
    student_logits = sharpness * (normal(200, 10) + 1.5 * torch.eye(10)[y])
    teacher_logits = 2 * normal(200, 11)[:, 1:]
    return {"accuracy*": metrics.accuracy(student_logits, y), "nll": metrics.nll(student_logits, y),
            "ece*": metrics.ece(student_logits, y), "agreement*": metrics.agreement(student_logits, teacher_logits),
            "kl": metrics.predictive_kl(teacher_logits, student_logits),
            "cka": metrics.cka(student_logits, teacher_logits)}


def compute(wanted="") -> dict:
    """{name: {number: value or list}} of all whose name begins with `wanted`."""
    torch.set_num_threads(1)
    made = {}
    parts = {name: lambda run=run: of_run(run, made) for name, run in RUNS.items()}
    parts |= {f"net {name}": lambda name=name: of_net(name) for name in NETS}
    parts |= {f"training {name}": lambda training=training: of_net("mlp", training)
              for name, training in TRAININGS.items()}
    parts |= {name: lambda what=what: of_policy(*what) for name, what in AUGMENTED.items()}
    parts["metrics"] = of_metrics
    with own_data():
        return {name: part() for name, part in parts.items() if name.startswith(wanted)}


def moved(was: dict, now: dict) -> list[str]:
    """The numbers of `was` that are others `now`.

    Processors with other instructions (AVX2 and SSE4.1 in place of AVX-512) move them by at most an eighth of what is
    allowed; of a share of 60 test inputs, two may change sides.
    """
    out = []
    for name, numbers in was.items():
        for number, value in numbers.items():
            again = now.get(name, {}).get(number, np.nan)
            loose = any(share in number for share in ("accuracy", "agreement", "ece")) and not number.endswith("*")
            if np.shape(again) != np.shape(value) or not np.allclose(
                    again, value, rtol=3e-4, atol=2.5 / 60 if loose else 3e-5):
                out.append(f"{name}: {number}")
    return out


def main():
    now, was = compute(), json.loads(FILE.read_text()) if FILE.exists() else {"version": None}
    changed = moved(was["results"], now) if was["version"] == spec.RESULTS_VERSION else []
    if "--check" in sys.argv:
        sys.exit(f"{len(changed)} numbers differ, the first: {changed[0]}" if changed else 0)
    if changed:
        sys.exit(f"results changed ({len(changed)} numbers, the first: {changed[0]}): raise RESULTS_VERSION in "
                 "kdlib/spec.py, so that nothing recorded before passes for the same run; then run this again")
    FILE.write_text(json.dumps({"version": spec.RESULTS_VERSION, "results": now}, indent=1) + "\n")
    print(f"{FILE.name}: {len(now)} references of RESULTS_VERSION {spec.RESULTS_VERSION}")


if __name__ == "__main__":
    main()
