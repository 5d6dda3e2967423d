# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,mystnb,-all
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-all
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The data
#
# If a student is to imitate a function, where should it be shown that function: on the teacher's own training inputs, on
# augmented ones, on ones that the teacher never saw, and at which {term}`temperature`?

# %% tags=["parameters", "remove-input"]
profile = "laptop"  # or "smoke"
seeds = None  # None: the profile's own number of trials
workers = None  # one-thread worker processes; None: one per core
# %config InteractiveShell.ast_node_interactivity = "last_expr"

# %% tags=["hide-input"]
from collections import defaultdict

import numpy as np

from kdlib import figures
from kdlib.chapter import (
    FALLS,
    RISES,
    STAYS,
    all_runs,
    drawn,
    follows,
    glue,
    moves,
    open_chapter,
    place,
    say,
    states,
    table,
    trials_shown,
    verdicts,
    your_run,
)
from kdlib.evidence import evidence
from kdlib.experiments import distillation_data, so_far
from kdlib.experiments.distillation_data import HALVES
from kdlib.stats import percent

d, r = open_chapter("03_distillation_data", profile, seeds, workers)
cifar = so_far("03_distillation_data", "workstation")

# %% mystnb={"figure": {"caption": "Signals: students of a 5-member teacher, by augmentation policy and temperature. Above: test agreement with the own teacher and, grey, with an unseen ensemble of five. Below: test accuracy.", "name": "fig-policies"}, "image": {"alt": "Two dot plots on MNIST-1D by augmentation policy, a mark for each temperature: test agreement with the own and with an unseen ensemble, and test accuracy.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output", "signals"]
def shown(r):
    """The policies, and images of another domain as the paper has them where the recipes have others."""
    s = r.profile.distillation_data
    return dict.fromkeys((*s.policies, s.unlike))


def at(r, temperature, metric):
    """Percent, [trials, policies] at m = 5; NaN where a policy is not run at this temperature."""
    none = np.full(len(r(("policy", 5, "baseline", 1.0), metric)), np.nan)
    return 100 * np.stack([r(("policy", 5, p, temperature), metric) if ("policy", 5, p, temperature) in r.planned else none
                           for p in shown(r)], 1)


def policies(r, axes):
    above, below = axes
    names = list(shown(r))
    figures.points(above, names, {
        "τ = 1": at(r, 1.0, "agreement"), "unseen, τ = 1": at(r, 1.0, "unseen_agreement"),
        "τ = 4": at(r, 4.0, "agreement"), "unseen, τ = 4": at(r, 4.0, "unseen_agreement")})
    figures.points(below, names, {"τ = 1": at(r, 1.0, "accuracy"), "τ = 4": at(r, 4.0, "accuracy")})
    above.set_xlabel("test agreement (%)")
    below.set_xlabel("test accuracy (%)")
    figures.shade_gap(above)


_ = drawn(policies, r, 2, 4.2)

# %% tags=["remove-input", "signals"]
evidence("fig-policies", r)

# %% mystnb={"figure": {"caption": "CIFAR-100, recorded: the same; every recipe includes crops and flips. Out of domain are MNIST's digits (ood) and SVHN's.", "name": "fig-policies-cifar"}, "image": {"alt": "Two dot plots on CIFAR-100 by augmentation policy, a mark for each temperature: test agreement with the own and with an unseen ensemble, and test accuracy.", "width": "100%"}} tags=["remove-input", "nbval-ignore-output", "images"]
_ = drawn(policies, cifar, 2, 4.2)

# %% tags=["remove-input", "images"]
evidence("fig-policies-cifar", cifar)

# %% tags=["remove-input"]
both, often, right = defaultdict(dict), defaultdict(dict), {}  # by what is said: where it is seen


def tell(key, where, of):
    s = of.profile.distillation_data

    def mean(metric):
        return of.most(lambda r: distillation_data.policy_table(r, metric)).mean(0)

    def name(recipe):
        return "{} at τ = {:g}".format(*recipe)

    best, plain = s.recipes[mean("agreement").argmax()], ("policy", 5, "baseline", 1.0)
    glue(f"{key}most-agreement", name(best), display=False)
    glue(f"{key}most-accuracy", name(s.recipes[mean("accuracy").argmax()]), display=False)
    glue(f"{key}recipes", str(len(s.recipes)), display=False)
    glue(f"{key}rank", str(1 + int((mean("agreement") > mean("agreement")[s.recipes.index(("mixup", 4.0))]).sum())), display=False)
    glue(f"{key}span", f"{100 * np.ptp(mean('accuracy')):.1f}", display=False)
    say(f"{key}best", of.most(lambda r: r(("policy", 5, *best), "agreement")))
    say(f"{key}baseline", of.most(lambda r: r(plain, "agreement")))
    both["tau-own"][where] = of.most(lambda r: r.specific(("policy", 5, "baseline", 4.0)) - r.specific(plain))
    if where == "on photographs":
        both["digits"][""] = of(("policy", 5, "ood", 1.0), "agreement") - of(plain, "agreement")
    for m in (1, 5):
        recipe = best if m == 5 else max(s.small_recipes, key=lambda c: of(("policy", m, *c), "agreement").mean())
        one, base = ("policy", m, *recipe), ("policy", m, "baseline", 1.0)
        say(f"{key}gain-{m}", of.most(lambda r, one=one, base=base: r(one, "agreement") - r(base, "agreement")))
        say(f"{key}gain-own-{m}", of.most(lambda r, one=one, base=base: r.specific(one) - r.specific(base)))
    a, b, _ = (("recycle", half, 3, 1.0) for half in HALVES)
    often["half-1"][where] = of.most(lambda r: r(b, "agreement") - r(a, "agreement"))
    warm, cool = ("tau", 5, 4.0), ("tau", 5, 1.0)
    both["warm-5"][where] = of.most(lambda r: r(warm, "agreement") - r(cool, "agreement"))
    both["warm-own-5"][where] = of.most(lambda r: r.specific(warm) - r.specific(cool))
    both["warm-accuracy-5"][where] = of.most(lambda r: r(warm, "accuracy") - r(cool, "accuracy"))


tell("", place(r), r)
tell("cifar-", "on photographs", cifar)
OFTEN = "{} points more often", "{} points less often", "as often, as far as these trials tell,"
for key in both:
    moves(key, both[key])
for key in often:
    follows(key, often[key], *OFTEN)
states("03_distillation_data", r, {
    "tau": ("D1", 0, RISES, FALLS, STAYS),
    "mixup": ("D2", 0, "ahead by {} points", "behind by {} points", "neither ahead nor behind, as far as these trials tell,"),
    "noise": ("D3", 0, FALLS, RISES, STAYS), "noise-accuracy": ("D3", 1, FALLS, RISES, STAYS),
    "ood": ("D3", 2, FALLS, RISES, STAYS), "ood-accuracy": ("D3", 3, FALLS, RISES, STAYS),
    "half": ("D4", 0, *OFTEN), "half-own": ("D4", 1, RISES, FALLS, STAYS),
    "half-kl": ("D4", 2, "falls by {} nats", "rises by {} nats", STAYS), "half-ece": ("D4", 3, FALLS, RISES, STAYS),
    "half-accuracy": ("D4", 4, "{} points less accurate", "{} points more accurate", "as accurate, as far as these trials tell,"),
    "whole": ("D4", 5, *OFTEN),
    "whole-accuracy": ("D4", 6, "{} points more accurate", "{} points less accurate", "as accurate, as far as these trials tell,"),
    "pair": ("P5", 0, "ahead by {} points", "behind by {} points", "neither ahead nor behind, as far as these trials tell,"),
    "pair-accuracy": ("P5", 1, "behind by {} points", "ahead by {} points", "neither ahead nor behind, as far as these trials tell,")})
trials_shown(r)

# %% [markdown]
# On signals a student of a teacher of five has on the bare training set at τ = 1 **{glue:text}`baseline` %** {term}`agreement`, and with {glue:text}`most-agreement`, first of {glue:text}`recipes` recipes in the mean, {glue:text}`best` %. On photographs, which are always cropped and flipped, it is {glue:text}`cifar-baseline` %, and {glue:text}`cifar-best` % with {glue:text}`cifar-most-agreement`. (A maximum flatters itself; the claims choose a recipe on other trials than they judge it on.)
#
# Mixup at τ = 4, the paper's best, has rank {glue:text}`rank` here on signals and {glue:text}`cifar-rank` on photographs. Beside the best of the paper's other policies it is
# {glue:text}`mixup`. In *accuracy* the first in the mean is {glue:text}`most-accuracy` on signals, {glue:text}`cifar-most-accuracy` on photographs. There the accuracies of all of them lie within {glue:text}`cifar-span` points.
#
# In the paper the baseline at τ = 4 is more faithful than mixup at τ = 1, and less accurate. Here it is, in agreement, {glue:text}`pair`. In accuracy it is {glue:text}`pair-accuracy`.
#
# With noise among the inputs agreement {glue:text}`noise`, and accuracy {glue:text}`noise-accuracy`. With inputs from another domain agreement {glue:text}`ood`, and accuracy
# {glue:text}`ood-accuracy`. (Of photographs the other domain is SVHN's digits, as in the paper. With MNIST's agreement
# {glue:text}`digits`.) Temperature alone:
# from τ = 1 to 4 agreement of the baseline {glue:text}`tau`. What is {term}`specific <specific agreement>` of it {glue:text}`tau-own`.
#
# ## Policies by ensemble size

# %% mystnb={"figure": {"caption": "Signals at \u03c4 = 1, by policy, for teachers of 1, 3 and 5 members: test agreement and predictive KL (grey: an unseen single teacher), and the student's calibration error.", "name": "fig-policies-m"}, "image": {"alt": "Three dot plots on MNIST-1D by policy for ensembles of 1, 3 and 5: test agreement, predictive KL and calibration error.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output", "signals"]
def by_members(r, axes):
    cells = r.profile.distillation_data.small_recipes
    several = len({t for _, t in cells}) > 1
    names = [f"{p}, τ = {t:g}" if several else p for p, t in cells]
    for ax, (metric, label, scale) in zip(axes, (
            ("agreement", "test agreement (%)", 100), ("kl", "predictive KL (nats)", 1),
            ("ece", "student's calibration error (points)", 100)), strict=True):
        rows = {f"m={m}": r.table([("policy", m, *cell) for cell in cells], metric) for m in distillation_data.ENSEMBLES}
        if metric in ("agreement", "kl"):
            rows["unseen"] = r.table([("policy", 1, *cell) for cell in cells], f"unseen_{metric}")
        figures.points(ax, names, {key: scale * values for key, values in rows.items()})
        ax.set_xlabel(label)
    figures.shade_gap(axes[0])


_ = drawn(by_members, r, 3, 3.8)

# %% tags=["remove-input", "signals"]
evidence("fig-policies-m", r)

# %% mystnb={"figure": {"caption": "CIFAR-100, recorded: the same, by recipe. Out of domain (ood) are MNIST's digits.", "name": "fig-policies-m-cifar"}, "image": {"alt": "Three dot plots on CIFAR-100 by recipe for ensembles of 1, 3 and 5: test agreement, predictive KL and calibration error.", "width": "100%"}} tags=["remove-input", "nbval-ignore-output", "images"]
_ = drawn(by_members, cifar, 3, 3.8)

# %% tags=["remove-input", "images"]
evidence("fig-policies-m-cifar", cifar)

# %% [markdown]
# Between the bare training set and the recipe that is first in the mean lie {glue:text}`gain-1` points of agreement for a student of a single teacher on signals, {glue:text}`gain-own-1` of them specific to its teacher. For a student of five they are {glue:text}`gain-5`, of which {glue:text}`gain-own-5` are specific: what is left is owed to no ensemble in particular. On photographs it is {glue:text}`cifar-gain-1` and {glue:text}`cifar-gain-own-1` for a single teacher. For five it is {glue:text}`cifar-gain-5` and {glue:text}`cifar-gain-own-5`.
#
# ## Recycling the teacher's own data
#
# *Half A* is what the teacher was trained on, *half B* as many inputs that it never saw (the paper's D0 and D1).

# %% mystnb={"figure": {"caption": "Signals over ensemble size at \u03c4 = 4: test agreement with the own (solid) and an unseen teacher (dashed), accuracy (black: the teacher's), calibration error.", "name": "fig-recycling"}, "image": {"alt": "Three line charts on MNIST-1D over ensemble size, a colour for each half of the data and one for both: test agreement, accuracy, calibration error.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output", "signals"]
METRICS = (("agreement", "test agreement (%)"), ("accuracy", "test accuracy (%)"), ("ece", "calibration error (points)"))


def recycling(values, condition, xlabel):
    def draw(r, axes):
        for ax, (metric, label) in zip(axes, METRICS, strict=True):
            for s, half in HALVES.items():
                rows = [condition(s, v) for v in values]
                figures.line(ax, values, 100 * r.table(rows, metric), half)
                if metric == "agreement":
                    figures.line(ax, values, 100 * r.table(rows, "unseen_agreement"), half, f"unseen, {half[-1]}" if s != "D0+D1" else "unseen, both", "--")
                elif metric == "accuracy" and s == "D0":
                    figures.line(ax, values, 100 * r.table(rows, "teacher_accuracy"), "teacher")
            ax.set(xlabel=xlabel, ylabel=label, xticks=values)
        figures.shade_gap(axes[0])

    return draw


over_members = recycling(distillation_data.ENSEMBLES, lambda s, m: ("recycle", s, m, 4.0), "members m")
_ = drawn(over_members, r, 3, (3.3, 2.2, 2.2))

# %% tags=["remove-input", "signals"]
evidence("fig-recycling", r)

# %% mystnb={"figure": {"caption": "CIFAR-100, recorded: the same.", "name": "fig-recycling-cifar"}, "image": {"alt": "Three line charts on CIFAR-100 over ensemble size, a colour for each half of the data and one for both: test agreement, accuracy, calibration error.", "width": "100%"}} tags=["remove-input", "nbval-ignore-output", "images"]
_ = drawn(over_members, cifar, 3, (3.3, 2.2, 2.2))

# %% tags=["remove-input", "images"]
evidence("fig-recycling-cifar", cifar)

# %% [markdown]
# At m = 3 and τ = 4, beside a student on half A, one on half B agrees with its teacher {glue:text}`half`. From half A to B what
# is specific to the teacher {glue:text}`half-own`: on half A a student also learns what any teacher of these data knows, its labels.
# KL from the teacher {glue:text}`half-kl`. Calibration error {glue:text}`half-ece`. The student on half B is {glue:text}`half-accuracy`.
#
# One on both halves agrees with its teacher, beside half B, {glue:text}`whole`. Beside half A it is {glue:text}`whole-accuracy`.
#
# The same over temperature:

# %% mystnb={"figure": {"caption": "Signals at m = 3: the same over temperature.", "name": "fig-recycling-tau"}, "image": {"alt": "Three line charts on MNIST-1D over temperature, a colour for each half of the data and one for both: test agreement, accuracy, calibration error.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output", "signals"]
over_temperature = recycling(distillation_data.TAUS[:3], lambda s, t: ("recycle", s, 3, t), "temperature τ")
_ = drawn(over_temperature, r, 3, (3.3, 2.2, 2.2))

# %% tags=["remove-input", "signals"]
evidence("fig-recycling-tau", r)

# %% mystnb={"figure": {"caption": "CIFAR-100, recorded, at m = 3: the same over temperature.", "name": "fig-recycling-tau-cifar"}, "image": {"alt": "Three line charts on CIFAR-100 over temperature, a colour for each half of the data and one for both: test agreement, accuracy, calibration error.", "width": "100%"}} tags=["remove-input", "nbval-ignore-output", "images"]
_ = drawn(over_temperature, cifar, 3, (3.3, 2.2, 2.2))

# %% tags=["remove-input", "images"]
evidence("fig-recycling-tau-cifar", cifar)

# %% [markdown]
# At τ = 1 the student on half B agrees {glue:text}`half-1`.
#
# ## Temperature and ensemble size
#
# From τ = 1 to 4, on half A, agreement of a student of five {glue:text}`warm-5`. What is specific to its teacher {glue:text}`warm-own-5`. Accuracy {glue:text}`warm-accuracy-5`.

# %% tags=["remove-input", "signals"]
def temperatures(r, caption):
    r.forget()
    return r.most(lambda r: table(("m", "τ", "accuracy", "agreement", "with an unseen teacher", "train agreement"), [
        (m, f"{t:g}", *(percent(r(("tau", m, t), k))
                        for k in ("accuracy", "agreement", "unseen_agreement", "train_agreement")))
        for m in distillation_data.ENSEMBLES for t in distillation_data.TAUS], caption))


temperatures(r, "Fig 9 here: percent, mean and 95 % interval over trials")

# %% tags=["remove-input", "signals"]
evidence("Fig 9 here", r)

# %% tags=["remove-input", "images"]
temperatures(cifar, "Fig 9 on CIFAR-100 (recorded): percent, mean and 95 % interval over three trials")

# %% tags=["remove-input", "images"]
evidence("Fig 9 on CIFAR-100", cifar)

# %% [markdown]
# ## Verdicts on the data

# %% tags=["remove-input"]
verdicts("03_distillation_data", r)

# %% tags=["remove-input"]
your_run("03_distillation_data", r)

# %% [markdown]
# ## How the data were varied
#
# ```{dropdown} What the paper found
# For a ResNet-56 on CIFAR-100 with m = 5, mixup at τ = 4 is the most faithful of eleven policies (86 %), the plain baseline at τ = 4 close
# behind (84.5 %); noise and out-of-domain images are worse than the baseline on everything (Figs 3 and 11 of {cite:t}`stanton2021`).
# Split the training set in halves, teach on D0 and distil on D0, on D1, or on both: D1 makes the more faithful student, D0 the more
# accurate one, the union the best of either (Fig 4). Temperature 4 beats 1 (Figs 4 and 9).
# ```
#
# ```{dropdown} Method
# On signals nine policies, each at τ = 1 and 4 for m = 5 and at τ = 1 for m = 1 and 3, on the teacher's thousand signals:
#
# - *baseline*: the signals as they are;
# - *shift* by up to 4 of 40 samples, *scale* by 0.6 to 1.4, *jitter* (added noise, σ = 0.25), and *combined*, all three, in the
#   place of rotation, flips and colour jitter;
# - *mixup*: one λ ~ U[0, 1] per example;
# - *fresh*: one new signal to four, in the place of GAN images; *ood*: one sum of three sines to four, in the place of SVHN;
# - *noise*: each signal replaced by uniform noise with probability 0.2.
#
# The teacher labels whatever comes out. Strengths were set once, from the paper's ratios where it has any,
# and never tuned. On CIFAR-100 these are the paper's eleven recipes (out-of-domain images from SVHN are the first 10,000 of its test set), and two
# more: real fresh images, and MNIST's digits, which stand among the recipes in the place of SVHN's, since those came later.
# ```
#
# ```{dropdown} Limits
# Teachers of signals are trained without augmentation, those of CIFAR-100, like the paper's, with crops and flips. MNIST-1D signals have
# no symmetry that keeps the class as a mirror image does. One strength per policy; the ranking within a temperature may depend on it.
# ```
#
# ```{dropdown} Change this and predict
# - `papermill notebooks/03_distillation_data.ipynb out.ipynb -p seeds 3`: which order of policies in the figure survives?
# - In `kdlib/augment.py` let the shift reach 12 samples. What happens to agreement, and to train agreement?
# - Give D3 another baseline, *shift*: does noise then hurt, as it does in the paper?
# ```

# %% tags=["remove-input"]
all_runs("03_distillation_data", r)
