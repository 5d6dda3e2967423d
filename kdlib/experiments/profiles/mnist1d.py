"""MNIST-1D at any size: what smoke, laptop and signals share."""

from typing import Any

from kdlib.experiments import distillation_data, fidelity_gap, optimization, paradox, scale
from kdlib.experiments.profile import Profile, Task
from kdlib.spec import Training

POLICIES = ("baseline", "shift", "scale", "jitter", "combined", "mixup", "fresh", "ood", "noise")
EASY_FACTORS = (1, 5, 33, 165)


def mnist1d(name: str, seeds: int, train: int, test: int, steps: int, grid: int, easy: int, for_claims: bool = False,
            **options: Any) -> Profile:
    """Teachers see `train` signals, of the easy task `easy`, and take `steps`; planes have `grid` points a side.
    `for_claims`: with all that claims ask for, which is more than figures show; `options`: of the profile."""
    teaching, training = Training(steps=steps), Training(steps=3 * steps)
    optimizers = {"AdamW": training, "SGD": Training(optimizer="sgd", lr=0.05, weight_decay=1e-4, steps=training.steps)}
    factors = (1, 2, 5, 33)
    recipes = tuple((p, 1.0) for p in POLICIES)
    return Profile(
        name=name,
        seeds=seeds,
        data_set="mnist1d",
        train=train,
        test=test,
        net="cnn1d",
        teaching=teaching,
        training=training,
        fidelity_gap=fidelity_gap.Settings(
            factors=factors,
            easy=fidelity_gap.EasyTask(
                title="easy MNIST-1D",
                row="easy",
                task=Task("mnist1d-easy", easy, test, "cnn1d", teaching, training),
                unit=easy,
                sets={f: {"fresh": (f - 1) * easy} for f in EASY_FACTORS},
            ),
        ),
        optimization=optimization.Settings(
            net="cnn1d",
            factor=5,
            optimizers=optimizers,
            grid=grid,
            single=("shift", "scale", "jitter"),
            passes=factors if for_claims else (),
            as_in_the_paper=optimization.AsInThePaper("torch", teaching, optimizers, (1, 10)) if for_claims else None,
            moves=20 if for_claims else 0,
        ),
        distillation_data=distillation_data.Settings(
            policies=POLICIES,
            recipes=tuple((p, t) for p in POLICIES for t in (1.0, 4.0)),
            small_recipes=recipes,
            net="cnn1d",
        ),
        paradox=paradox.Settings(members=(1, 2, 3, 4, 5, 6, 8, 12), temperatures=(1.0, 4.0) if for_claims else (1.0,)),
        scale=scale.Settings(
            capacity=(
                ("cnn1d", "cnn1d"),
                ("cnn1d", "cnn1d-w48"),
                ("cnn1d-w48", "cnn1d-w48"),
                ("cnn1d-w48", "cnn1d-w96"),
            ),
            another=scale.Another("mlp", recipes[:6], teaching, training),
        ),
        **options,
    )
