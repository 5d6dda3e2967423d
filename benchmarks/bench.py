"""How fast is distillation here, against the loop that most code has and against what the nets themselves cost?

    make bench            # or: python benchmarks/bench.py [--rounds 5] [--seconds 1.5] [--only resnet8]

Per workload three contenders take turns in one process, on one thread, with the same net, batch, teachers and data:

- conventional: PIL images through torchvision transforms in a DataLoader (signals: a TensorDataset), every teacher
  asked about every batch, accuracy and agreement read and a progress text written at every step;
- kdlib: `train.fit`, as the chapters use it: data resident as tensors, augmentation of many batches at once, teachers
  asked once where the input is fixed, small nets in cohorts, nothing read back inside a step;
- bound: random tensors that are there already, teacher forward, student forward, backward and update, nothing else:
  the best of eager, channels-last and (where a C++ compiler is) torch.compile.

Writes results/benchmark.json: medians over rounds of seconds per image, and everything needed to read them.
"""

import argparse
import io
import json
import os
import platform
import resource
import shutil
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision import transforms
from tqdm import tqdm

from kdlib import augment, losses
from kdlib.catalog import DATA_SETS, like
from kdlib.catalog import net as known
from kdlib.models import Ensemble, build
from kdlib.runs.cost import COHORT
from kdlib.spec import Training
from kdlib.store import commit
from kdlib.train import Source, fit, logits_of

IMAGES = 2048  # of the made-up data set: enough for every batch to differ, small enough to be resident anywhere
WORKLOADS = {  # net: (batch, shape of an input, data set with such inputs)
    "cnn1d": (100, (1, 40), "mnist1d"),
    "lenet5": (128, (1, 28, 28), "mnist"),
    "resnet8-bn": (128, (3, 32, 32), "cifar10"),
    "resnet20-bn": (128, (3, 32, 32), "cifar10"),
}


@dataclass
class Work:
    net: str
    batch: int
    shape: tuple
    data: str
    teachers: int

    def __post_init__(self):
        torch.manual_seed(0)
        self.pixels = torch.randint(0, 256, (IMAGES, *self.shape), dtype=torch.uint8)
        self.labels = torch.randint(0, 10, (IMAGES,))

    def floats(self):
        return self.pixels.float().div_(255)


class Pictures(Dataset):
    """What torchvision's data sets are: PIL images and a transform per image."""

    def __init__(self, work):
        array = work.pixels.permute(0, 2, 3, 1).numpy()
        self.images = [Image.fromarray(a.squeeze(2) if a.shape[2] == 1 else a) for a in array]
        self.labels = work.labels.tolist()
        crop = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
        self.transform = transforms.Compose(crop * (work.shape[0] == 3) + [transforms.ToTensor()])

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.transform(self.images[i]), self.labels[i]


def plain(work, *name):
    """The net as most code has it: weights and maps in PyTorch's default order."""
    net = build(work.net, work.data, *name)
    net.prefers_channels_last = False
    return net


def conventional(work):
    """A function that trains for about `seconds`, on true labels where there are no teachers, and returns (images,
    seconds)."""
    data = TensorDataset(work.floats(), work.labels) if len(work.shape) == 2 else Pictures(work)
    loader = DataLoader(data, batch_size=work.batch, shuffle=True, drop_last=True)
    teachers, student = [plain(work, "teacher", i).eval() for i in range(work.teachers)], plain(work, "student")
    optimizer = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4)
    classes = DATA_SETS[work.data].classes

    def run(seconds):
        student.train()
        images, right, agreeing, start = 0, 0, 0, time.perf_counter()
        while not images or time.perf_counter() - start < seconds:
            with tqdm(loader, file=io.StringIO()) as bar:
                for x, y in bar:
                    with torch.no_grad():
                        probabilities = (torch.stack([F.softmax(teacher(x), -1) for teacher in teachers]).mean(0)
                                         if teachers else F.one_hot(y, classes).float())
                    optimizer.zero_grad()
                    logits = student(x)
                    loss = -(probabilities * F.log_softmax(logits, -1)).sum(-1).mean()
                    loss.backward()
                    optimizer.step()
                    images += len(x)
                    right += (logits.argmax(1) == y).sum().item()
                    agreeing += (logits.argmax(1) == probabilities.argmax(1)).sum().item()
                    bar.set_postfix(loss=f"{loss.item():.3f}", accuracy=right / images, agreement=agreeing / images)
                    if time.perf_counter() - start >= seconds:
                        break
        return images, time.perf_counter() - start
    return run


def ours(work):
    """`fit` for a number of steps that takes about `seconds`; a cohort of small nets counts all its images."""
    g = COHORT if known(work.net).family.stackable else 1
    teacher, floats = Ensemble([build(work.net, work.data, "teacher", i) for i in range(work.teachers)]), work.floats()
    rate = [work.batch * g / 0.01]  # images a second, a guess that every call corrects

    def run(seconds):
        steps = max(1, round(seconds * rate[0] / work.batch / g))
        nets = [build(work.net, work.data, "student", i) for i in range(g)]
        start = time.perf_counter()
        # a run of the book labels fixed inputs once and then takes thousands of steps: its share is counted
        cached = logits_of(teacher, floats) if like(work.shape).fixed("baseline") else None
        labelling = (time.perf_counter() - start) * min(1.0, steps / 2400)

        def source(i):
            draws = torch.Generator().manual_seed(i)

            def prepare(rows):
                if cached is not None:
                    return floats[rows], cached[rows]
                x = augment.augment(floats[rows], "baseline", draws)
                return x, logits_of(teacher, x)
            return Source("bench", IMAGES, prepare, torch.Generator().manual_seed(i), draws)

        start = time.perf_counter()
        fit(nets, Training(optimizer="sgd", lr=0.05, weight_decay=1e-4, batch=work.batch, steps=steps),
            [source(i) for i in range(g)], losses.distillation)
        taken = time.perf_counter() - start + labelling
        rate[0] = steps * work.batch * g / taken
        return steps * work.batch * g, taken
    return run


def bound(work, mode):
    """Nothing but the nets: teacher forward, where there is one, student forward, backward, update."""
    teacher = Ensemble([plain(work, "teacher", i) for i in range(work.teachers)])
    student = plain(work, "student").train()
    xs = torch.randn(4, work.batch, *work.shape)
    if mode == "channels-last":
        teacher, student = (net.to(memory_format=torch.channels_last) for net in (teacher, student))
        xs = [x.contiguous(memory_format=torch.channels_last) for x in xs]
    label, answer = (torch.compile(teacher), torch.compile(student)) if mode == "compiled" else (teacher, student)
    y = work.labels[: work.batch]
    optimizer = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4,
                                fused=True)

    def run(seconds):
        images, start = 0, time.perf_counter()
        while not images or time.perf_counter() - start < seconds:
            for x in xs:
                optimizer.zero_grad(set_to_none=False)
                logits = answer(x)
                loss = losses.distillation(logits, label(x)) if work.teachers else losses.nll(logits, y)
                loss.mean().backward()
                optimizer.step()
                images += len(x)
        return images, time.perf_counter() - start
    return run


def modes(work):
    """The forms of the bound that this machine can run."""
    out = ["eager"] + ["channels-last"] * (len(work.shape) == 3)
    if shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++"):
        out.append("compiled")
    return out


def measure(work, rounds, seconds):
    """Medians over rounds in which every contender has one turn; the first turn of each only warms up."""
    runs = {"conventional": conventional(work), "kdlib": ours(work)}
    runs |= {f"bound, {mode}": bound(work, mode) for mode in modes(work)}
    first, rates = {}, {name: [] for name in runs}
    for name, run in runs.items():
        start = time.perf_counter()
        run(0.0)
        first[name] = time.perf_counter() - start
        run(seconds / 3)
    for _ in range(rounds):
        for name, run in runs.items():
            images, taken = run(seconds)
            rates[name].append(images / taken)
    best = max((n for n in runs if n.startswith("bound")), key=lambda n: statistics.median(rates[n]))
    return {
        "net": work.net, "batch": work.batch, "teachers": work.teachers, "data": work.data,
        "images_per_second": {name: statistics.median(values) for name, values in rates.items()},
        "first_step_seconds": first, "best_bound": best.removeprefix("bound, "),
        # ratios within a round, so that a machine that slows down slows both
        "ratio_to_conventional": statistics.median(
            a / b for a, b in zip(rates["kdlib"], rates["conventional"], strict=True)),
        "share_of_bound": statistics.median(a / b for a, b in zip(rates["kdlib"], rates[best], strict=True)),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="per contender and round")
    parser.add_argument("--only", default="", help="the beginning of a net's name")
    parser.add_argument("--out", type=Path, default=Path("results/benchmark.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    np.random.seed(0)
    rows = []

    def row(net, batch, teachers):
        _, shape, data = WORKLOADS[net]
        torch._dynamo.reset()
        rows.append(measure(Work(net, batch, shape, data, teachers), args.rounds, args.seconds))
        r = rows[-1]
        print(f"{net:12} batch {batch:4d}, m = {teachers}: {r['images_per_second']['kdlib']:9.0f} images/s, "
              f"{r['ratio_to_conventional']:5.2f} x conventional, {r['share_of_bound']:5.2f} of the bound "
              f"({r['best_bound']}), first step {r['first_step_seconds']['kdlib']:.2f} s", flush=True)

    for net, (batch, _, _) in WORKLOADS.items():
        if net.startswith(args.only):
            for teachers in (1, 3):
                row(net, batch, teachers)
    for net, batch, teachers in (("cnn1d", 100, 5), ("cnn1d", 100, 12), ("cnn1d", 25, 1), ("cnn1d", 400, 1),
                                 ("resnet8-bn", 32, 1), ("resnet8-bn", 512, 1), ("resnet8-bn", 128, 5)):
        if net.startswith(args.only):
            row(net, batch, teachers)
    args.out.write_text(json.dumps({
        "rows": rows, "rounds": args.rounds, "seconds": args.seconds, "threads": 1, "torch": torch.__version__,
        "python": platform.python_version(), "processor": platform.processor() or platform.machine(),
        "commit": commit()}, indent=1) + "\n")
    print(f"written to {args.out}")


if __name__ == "__main__":
    sys.exit(main())
