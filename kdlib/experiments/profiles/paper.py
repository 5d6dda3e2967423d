"""The paper's own sizes (its A.1 to A.3). What it leaves open is settled in `book/sizes.md`."""

from typing import Any

from kdlib.experiments import distillation_data, fidelity_gap, optimization, paradox, scale
from kdlib.experiments.profile import Profile, Task
from kdlib.spec import Training

SGD: dict[str, Any] = {"optimizer": "sgd", "lr": 0.1, "nesterov": False, "weight_decay": 1e-4}
EMNIST = 697_932  # its images (byclass, training)
PHOTOGRAPHS = 1_281_167  # ImageNet's training images


def teaching(images: int, epochs: int = 200, batch: int = 256, **options) -> Training:
    """Of a teacher: the paper's SGD on so many images for so many epochs."""
    return Training(**SGD | {"batch": batch, "steps": round(epochs * images / batch)} | options)


def training(images: int, **options) -> Training:
    """Of a student: 300 epochs."""
    return Training(**SGD | {"lr": 0.05, "final_lr": 1e-6, "nesterov": True, "batch": 128,
                             "steps": round(300 * images / 128)} | options)


def photographs(**options) -> Training:
    """Of ImageNet's teachers and students: 90 epochs, five of them warm-up."""
    return teaching(PHOTOGRAPHS, 90, 1024, warmup=round(5 * PHOTOGRAPHS / 1024), **options)


RECIPES = (
    ("baseline", 1.0),
    ("baseline", 4.0),
    ("rotation", 1.0),
    ("vflip", 1.0),
    ("colour", 1.0),
    ("combined", 1.0),
    ("mixup", 1.0),
    ("mixup", 4.0),
    ("gan", 4.0),
    ("ood", 1.0),
    ("noise", 1.0),
)
SINGLE = ("rotation", "vflip", "colour")
REVIEWS = teaching(25_000, 100, 100, lr=1e-2, weight_decay=1e-3)

OPTIMIZERS = {"SGD": training(50_000), "Adam": training(50_000, optimizer="adam", lr=1e-3)}
LENGTHS = (1, 1000 / 300, 5000 / 300)  # 300, 1k and 5k epochs

PROFILE = Profile(
    name="paper",
    role="paper",
    where="the paper's sizes",
    seeds=3,
    data_set="cifar100",
    train=50_000,
    test=10_000,
    net="bottleneck56-bn",
    draw="he-fan-out",
    teaching=teaching(50_000),
    training=training(50_000),
    extra="generated",
    epochs=300,
    generator={"width": 256, "latent": 128, "steps": 100_000, "batch": 128},
    anew=True,
    fidelity_gap=fidelity_gap.Settings(
        factors=(1, 1.25, 1.5, 1.75, 2),
        easy=fidelity_gap.EasyTask(
            title="MNIST",
            row="mnist",
            task=Task("mnist", 200, 10_000, "lenet5", Training(lr=2e-3, weight_decay=1e-4, batch=50, steps=400),
                      training(60_000)),
            unit=60_000,
            sets={1 + share: {"fresh": 59_800, "related": round(share * EMNIST)} for share in (0, 0.25, 0.5, 1)},
        ),
    ),
    optimization=optimization.Settings(
        net="resnet20-ln",
        factor=1,
        optimizers=OPTIMIZERS,
        lengths=LENGTHS,
        decay_when_long=False,
        grid=21,
        single=SINGLE,
        start_seeds=10,
        start_net="resnet20-bn",
        passes=(1, 1.25, 1.5, 1.75, 2),
        as_in_the_paper=optimization.AsInThePaper("he-fan-out", teaching(50_000), OPTIMIZERS, LENGTHS),
    ),
    distillation_data=distillation_data.Settings(
        policies=tuple(dict.fromkeys(policy for policy, _ in RECIPES)),
        recipes=RECIPES,
        small_recipes=RECIPES,
        net="resnet20-bn",
        halved={"train": 25_000, "teaching": teaching(25_000), "training": training(25_000), "extra": "fresh"},
    ),
    paradox=paradox.Settings(members=tuple(range(1, 13)), temperatures=(1.0, 4.0)),
    scale=scale.Settings(
        capacity=(
            ("resnet20-bn", "resnet20-bn"),
            ("resnet20-bn", "bottleneck56-bn"),
            ("bottleneck56-bn", "bottleneck56-bn"),
            ("bottleneck56-bn", "bottleneck110-bn"),
        ),
        another=scale.Another("vgg16", tuple((p, 1.0) for p in ("baseline", *SINGLE, "combined", "mixup")),
                              teaching(50_000), training(50_000)),
        text=Task("imdb", 25_000, 25_000, "lstm", REVIEWS, REVIEWS),
        photographs=Task("imagenet", PHOTOGRAPHS, 50_000, "resnet50", photographs(), photographs(weight_decay=0.0)),
    ),
)
