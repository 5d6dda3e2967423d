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
# If a student is to imitate a function, where should it be shown that function? {cite:t}`stanton2021` compare
# augmentation policies, temperatures, and the teacher's own training set against data it never saw. The answer matters here
# as much as there, and it is another one: the bare training set is the worst place, and a plain shift at temperature 1 the best.

# %% tags=["parameters", "remove-input"]
profile = "laptop"  # or "smoke"
seeds = None  # None: the profile's own number of trials
workers = None  # one-thread worker processes; None: one per core
# %config InteractiveShell.ast_node_interactivity = "last_expr"

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np

from kdlib import figures
from kdlib.chapter import (
    all_runs,
    comparison,
    glue,
    judged_tables,
    open_chapter,
    panels,
    provenance,
    say,
    say_claims,
    table,
)
from kdlib.experiments import distillation_data, judged, so_far
from kdlib.experiments.distillation_data import SETS
from kdlib.stats import estimate

d, r = open_chapter("03_distillation_data", profile, seeds, workers)
claims = judged("03_distillation_data", r)
cifar = so_far("03_distillation_data", "workstation")

# %% tags=["remove-input"]
say_claims(claims)


def agreement(policy, temperature, m=5):
    return r(("policy", m, policy, temperature), "agreement")


def recycling_gain(m, temperature, metric="agreement"):
    """D1 minus D0."""
    return r(("recycle", "D1", m, temperature), metric) - r(("recycle", "D0", m, temperature), metric)


def name(cell):
    return f"{cell[0]} at τ = {cell[1]:g}"


def gain(temperature):
    """Of the policies but the baseline, in the mean."""
    return np.mean([agreement(p, t) - agreement("baseline", t) for p, t in r.profile.distillation_data.recipes
                    if t == temperature and p != "baseline"], 0)


mildest, _, harshest = r.profile.optimization.single
means = {metric: distillation_data.policy_table(r, metric).mean(0) for metric in ("agreement", "accuracy")}
for metric, values in means.items():
    glue(f"most-{metric}", name(r.profile.distillation_data.recipes[values.argmax()]), display=False)
    glue(f"least-{metric}", name(r.profile.distillation_data.recipes[values.argmin()]), display=False)
for key, values in {
    "best": agreement(*r.profile.distillation_data.recipes[means["agreement"].argmax()]),
    "baseline-1": agreement("baseline", 1.0), "baseline-4": agreement("baseline", 4.0), "ood": agreement("ood", 1.0),
    "range": agreement(*r.profile.distillation_data.recipes[means["agreement"].argmax()]) - agreement("baseline", 1.0), "mixup-4": agreement("mixup", 4.0), 
    "gain-1": gain(1.0), "gain-4": gain(4.0),
    "shift-change": lambda: agreement(mildest, 4.0) - agreement(mildest, 1.0),
    "mixup-change": agreement("mixup", 4.0) - agreement("mixup", 1.0),
    "combined-change": lambda: agreement("combined", 4.0) - agreement("combined", 1.0),
    "baseline-change": agreement("baseline", 4.0) - agreement("baseline", 1.0),
    "noise-accuracy": r(("policy", 5, "noise", 1.0), "accuracy"), "noise": agreement("noise", 1.0),
    "baseline-accuracy": r(("policy", 5, "baseline", 1.0), "accuracy"),
    **{f"recycle-{s}": r(("recycle", s, 3, 4.0), "agreement") for s in SETS},
    **{f"recycle-{s}-accuracy": r(("recycle", s, 3, 4.0), "accuracy") for s in SETS},
    "recycle-3": recycling_gain(3, 4.0), "recycle-1": recycling_gain(1, 4.0), "recycle-tau-1": recycling_gain(3, 1.0),
    **{f"recycle-own{key}": r.specific(("recycle", "D1", 3, t)) - r.specific(("recycle", "D0", 3, t))
       for key, t in (("", 4.0), ("-tau-1", 1.0))},
    "recycle-ece": recycling_gain(3, 4.0, "ece"), "recycle-ece-tau-1": recycling_gain(3, 1.0, "ece"),
    "recycle-union": r(("recycle", "D0+D1", 3, 4.0), "accuracy") - r(("recycle", "D0", 3, 4.0), "accuracy"),
    "mixup-1": agreement("mixup", 1.0),
    "named-accuracy": r(("policy", 5, harshest, 1.0), "accuracy") - r(("policy", 5, mildest, 1.0), "accuracy"),
    "named-agreement": agreement(harshest, 1.0) - agreement(mildest, 1.0),
    "tau-train-1": r(("tau", 5, 1.0), "train_agreement"), "tau-train-16": r(("tau", 5, 16.0), "train_agreement"),
}.items():
    say(key, values)
_ = glue("mixup-rank", str(1 + int((means["agreement"] > agreement("mixup", 4.0).mean()).sum())), display=False)

# %% [markdown]
# ```{admonition} In one box
# :class: tip
# For a teacher of five members the plain training set gives **{glue:text}`baseline-1` %** agreement at τ = 1 and
# **{glue:text}`baseline-4` %** at τ = 4. The most faithful of eighteen recipes, {glue:text}`most-agreement`, gives
# **{glue:text}`best` %**. The most accurate one is another: {glue:text}`most-accuracy`. (A maximum flatters itself; the claims
# below choose the best policy on other trials than they judge it on.)
# ```
#
# ## What the paper found
#
# For a ResNet-56 on CIFAR-100 with m = 5, mixup at τ = 4 is the most faithful of eleven policies (86 %), the plain
# baseline at τ = 4 close behind (84.5 %); noise and out-of-domain images are worse than the baseline on everything (its
# Figures 3 and 11). Split the training set in halves, teach on D0 and distil on D0, on D1, or on both: D1 makes the more
# faithful student, D0 the more accurate one, the union the best of either (Figure 4). Temperature 4 beats 1
# (Figures 4 and 9).
#
# ## The runs
#
# Nine policies, each at τ = 1 and 4 for m = 5 and at τ = 1 for m = 1 and 3, on the teacher's thousand signals:
#
# - *baseline*: the signals as they are;
# - *shift* by up to 4 of 40 samples, *scale* by 0.6 to 1.4, *jitter* (added noise, σ = 0.25), and *combined*, all three, in the
#   place of rotation, flips and colour jitter;
# - *mixup*: one λ ~ U[0, 1] per example;
# - *fresh*: one new signal to four, in the place of GAN images; *ood*: one sum of three sines to four, in the place of SVHN;
# - *noise*: each signal replaced by uniform noise with probability 0.2.
#
# The teacher labels whatever comes out, afresh for every batch. Strengths were set once, from the paper's ratios where it has
# any, and never tuned.
#
# ## Policies

# %% mystnb={"figure": {"caption": "Students of a 5-member teacher, by policy and temperature. Above: test agreement with the own teacher and, grey, of the same students with an unseen ensemble of five. Below: test accuracy. Means and 95 % t-intervals over trials.", "name": "fig-policies"}, "image": {"alt": "Dot plots by policy. Shift, combined and jitter at temperature 1 have the highest agreement, the plain baseline the lowest; accuracy at temperature 4 is lower for every policy but the baseline, where it is the same.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
def at(r, temperature, metric):
    """Percent, [trials, policies] at m = 5; NaN where a policy is not run at this temperature."""
    none = np.full(len(r.rows["policy", 5, "baseline", 1.0]), np.nan)
    return 100 * np.stack([r(("policy", 5, p, temperature), metric) if (p, temperature) in r.profile.distillation_data.recipes else none
                           for p in r.profile.distillation_data.policies], 1)


def policies(r):
    fig, (above, below) = panels(r, 2, height=4.8)
    figures.points(above, r.profile.distillation_data.policies, {
        "τ = 1": at(r, 1.0, "agreement"), "unseen, τ = 1": at(r, 1.0, "independent_agreement"),
        "τ = 4": at(r, 4.0, "agreement"), "unseen, τ = 4": at(r, 4.0, "independent_agreement")})
    figures.points(below, r.profile.distillation_data.policies, {"τ = 1": at(r, 1.0, "accuracy"), "τ = 4": at(r, 4.0, "accuracy")})
    above.set_xlabel("test agreement (%)")
    below.set_xlabel("test accuracy (%)")
    plt.show()


policies(r)

# %% tags=["remove-input"]
provenance(r)

# %% [markdown]
# The same on CIFAR-100 (recorded): ten of the paper's eleven recipes, its eleventh, out-of-domain images, with MNIST digits in the place of SVHN's, and a twelfth,
# real fresh images; every
# recipe includes random crops and flips. Temperature 4 alone takes the baseline recipe from
# {glue:text}`cifar-baseline-1` to {glue:text}`cifar-baseline-4` %, mixup at that temperature has {glue:text}`cifar-mixup-4` %, generated images
# {glue:text}`cifar-gan-4` % and fresh ones {glue:text}`cifar-fresh-4` %; colour jitter, *combined* and mixup at τ = 1
# ({glue:text}`cifar-colour-1`, {glue:text}`cifar-combined-1`, {glue:text}`cifar-mixup-1` %) stay below mixup at τ = 4.
# Mixup at τ = 4 leads the paper's eleven in the mean, as there, but these trials do not order the four recipes at τ = 4. The bottom
# is not the paper's: the baseline at τ = 1 is last, as on signals, and noise ({glue:text}`cifar-noise-1` %) and out-of-domain images
# ({glue:text}`cifar-ood-1` %) cannot be told from it.
#
# Much of the gain from temperature is shared with unseen ensembles: of the points that τ = 4 adds to the baseline recipe
# {glue:text}`cifar-tau-own` are this ensemble's. In the mean the most faithful recipe is {glue:text}`cifar-most-agreement`, the most
# accurate {glue:text}`cifar-most-accuracy`; but the mean accuracies of all twelve lie within
# {glue:text}`cifar-span` points, so that a lead in accuracy means little. D1 there:
# {glue:text}`recorded-D1`; D2: {glue:text}`recorded-D2`; D3: {glue:text}`recorded-D3`; P5: {glue:text}`recorded-P5`.

# %% mystnb={"figure": {"caption": "CIFAR-100 (recorded): students of a 5-member teacher, by policy and temperature. Above: test agreement with the own teacher and, grey, of the same students with an unseen ensemble of five. Below: test accuracy. Means and 95 % t-intervals over three trials.", "name": "fig-policies-cifar"}, "image": {"alt": "Dot plots by policy on CIFAR-100. Agreement is lowest for the baseline, out-of-domain images and noise at temperature 1, and highest for the four recipes at temperature 4; agreement with unseen ensembles rises and falls with it, somewhat below. The accuracies of all recipes overlap.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
policies(cifar)

# %% tags=["remove-input"]
provenance(cifar)

# %% tags=["remove-input"]
for metric in ("agreement", "accuracy"):
    values = distillation_data.policy_table(cifar, metric).mean(0)
    glue(f"cifar-most-{metric}", name(cifar.profile.distillation_data.recipes[values.argmax()]), display=False)
glue("cifar-span", f"{100 * (values.max() - values.min()):.1f}", display=False)
for p, t in cifar.profile.distillation_data.recipes:
    say(f"cifar-{p}-{t:g}", cifar(("policy", 5, p, t), "agreement"))
own = {t: cifar.specific(("policy", 5, "baseline", t))
       for t in (1.0, 4.0)}
_ = say("cifar-tau-own", own[4.0] - own[1.0])

# %% [markdown]
# On signals the baseline is the least faithful recipe of all at τ = 1. Averaged over the eight others, a policy adds
# {glue:text}`gain-1` points of agreement at τ = 1 and {glue:text}`gain-4` at τ = 4. Even *noise*, which spends a fifth
# of every batch on signals that mean nothing, gives {glue:text}`noise` % and lifts accuracy from
# {glue:text}`baseline-accuracy` to {glue:text}`noise-accuracy` % (for agreement alone the gain from noise is not settled: claim
# D3). A reading that fits: with a thousand fixed signals and nearly saturated labels the student memorises, as the train
# agreement of the {doc}`previous chapter <02_optimization>` shows, and most of what keeps it from that helps. In the
# paper the baseline already has crops and flips, so that noise may have less to give; in our CIFAR-100 runs, which have them too,
# it neither gives nor takes anything that three trials resolve (above).
#
# Mixup at τ = 4, the paper's best, comes to {glue:text}`mixup-4` %, rank {glue:text}`mixup-rank` of eighteen here. It is the
# temperature that costs it its place: at τ = 1 it has {glue:text}`mixup-1` %. From τ = 1 to 4 the agreement
# of *shift* changes by {glue:text}`shift-change` points, of *combined* by {glue:text}`combined-change`, of *mixup* by
# {glue:text}`mixup-change`; that of the bare training set rises.
#
# The grey points move along with the coloured ones: a policy that makes a student more faithful to its own
# ensemble makes it more alike any ensemble. {numref}`fig-policies-m` shows that this is much less so for m = 1.

# %% mystnb={"figure": {"caption": "By policy at \u03c4 = 1 for teachers of 1, 3 and 5 members: test agreement and predictive KL with the own teacher and, grey, with an unseen single teacher (m = 1); negative log-likelihood and calibration error of the student. Means and 95 % t-intervals over trials.", "name": "fig-policies-m"}, "image": {"alt": "Four dot plots by policy for ensembles of 1, 3 and 5: agreement, predictive KL, negative log-likelihood and calibration error. Policies with high agreement have low KL and, for ensembles, low calibration error.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
def by_members(r):
    cells = r.profile.distillation_data.small_recipes
    several = len({t for _, t in cells}) > 1
    names = [f"{p}, τ = {t:g}" if several else p for p, t in cells]
    fig, axes = panels(r, 4, height=4.2)
    for ax, (metric, label, scale) in zip(axes, (
            ("agreement", "test agreement (%)", 100), ("kl", "predictive KL (nats)", 1),
            ("nll", "student's negative log-likelihood (nats)", 1),
            ("ece", "student's calibration error (points)", 100)), strict=True):
        rows = {f"m={m}": r.table([("policy", m, *cell) for cell in cells], metric) for m in distillation_data.ENSEMBLES}
        if metric in ("agreement", "kl"):
            rows["unseen"] = r.table([("policy", 1, *cell) for cell in cells], f"independent_{metric}")
        figures.points(ax, names, {key: scale * values for key, values in rows.items()})
        ax.set_xlabel(label)
    plt.show()


by_members(r)

# %% tags=["remove-input"]
provenance(r)

# %% [markdown]
# On CIFAR-100 (recorded, {numref}`fig-policies-m-cifar`) this is plainer still. From the baseline at τ = 1 to mixup at τ = 4 agreement with a
# single teacher rises by {glue:text}`cifar-m1-agreement` points, with an unseen one by {glue:text}`cifar-m1-independent_agreement`: what a recipe
# gives is this teacher. For three members it is {glue:text}`cifar-m3-agreement` and {glue:text}`cifar-m3-independent_agreement`, for five
# {glue:text}`cifar-m5-agreement` and {glue:text}`cifar-m5-independent_agreement`: the larger the ensemble, the more of the gain
# is one that any ensemble would have given.
#
# Which recipe is the most faithful depends on the measure. In agreement it is one of those at τ = 4, in KL only for a single teacher:
# for three and five colour jitter at τ = 1 comes closer (mixup at τ = 4 less colour jitter at τ = 1: {glue:text}`cifar-kl-m1`,
# {glue:text}`cifar-kl-m3` and {glue:text}`cifar-kl-m5` nats at m = 1, 3, 5). And closer to the teacher is not better calibrated: mixup at τ = 4 changes the calibration error of
# the baseline at τ = 1 by {glue:text}`cifar-m1-ece`, {glue:text}`cifar-m3-ece` and {glue:text}`cifar-m5-ece` points, colour jitter at τ = 1 by
# {glue:text}`cifar-colour-m1-ece`, {glue:text}`cifar-colour-m3-ece` and {glue:text}`cifar-colour-m5-ece`.

# %% tags=["remove-input"]
for m in distillation_data.ENSEMBLES:
    plain = ("policy", m, "baseline", 1.0)
    for metric in ("agreement", "independent_agreement", "ece"):
        say(f"cifar-m{m}-{metric}", cifar(("policy", m, "mixup", 4.0), metric) - cifar(plain, metric))
    say(f"cifar-colour-m{m}-ece", cifar(("policy", m, "colour", 1.0), "ece") - cifar(plain, "ece"))
    say(f"cifar-kl-m{m}", cifar(("policy", m, "mixup", 4.0), "kl") - cifar(("policy", m, "colour", 1.0), "kl"), 1, 3)
cifar.read.clear()

# %% mystnb={"figure": {"caption": "CIFAR-100 (recorded): by recipe for teachers of 1, 3 and 5 members: test agreement and predictive KL with the own teacher and, grey, with an unseen single teacher (m = 1); negative log-likelihood and calibration error of the student. Means and 95 % t-intervals over three trials.", "name": "fig-policies-m-cifar"}, "image": {"alt": "Four dot plots by recipe on CIFAR-100 for ensembles of 1, 3 and 5. Agreement with the own teacher rises from the baseline, noise and out-of-domain images at temperature 1 to the recipes at temperature 4, at every ensemble size, while agreement of the single teacher's student with an unseen one stays level. KL falls with it at temperature 1 and is at temperature 4 about what it is for colour jitter and the combined augmentation. Negative log-likelihood and calibration error are lowest for colour jitter and the combined augmentation and high at temperature 4.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
by_members(cifar)

# %% tags=["remove-input"]
provenance(cifar)

# %% [markdown]
# ## Recycling
#
# D0 is what the teacher was trained on, D1 as many signals that it never saw. Has a teacher more to say about inputs that it
# has not memorised? At m = 3 and τ = 4 the students agree on {glue:text}`recycle-D0` % (D0), {glue:text}`recycle-D1` %
# (D1) and {glue:text}`recycle-D0+D1` % (both); their accuracies are {glue:text}`recycle-D0-accuracy`,
# {glue:text}`recycle-D1-accuracy` and {glue:text}`recycle-D0+D1-accuracy` %.
#
# In plain agreement the paper is not confirmed: D1 − D0 is {glue:text}`recycle-3` points at m = 3, {glue:text}`recycle-1` at
# m = 1 and, with τ = 1, {glue:text}`recycle-tau-1`. *Above the baseline* it is: there D1 − D0 is {glue:text}`recycle-own`
# points at τ = 4 and {glue:text}`recycle-own-tau-1` at τ = 1, for on D0 a student also learns what any other teacher of D0
# knows, its labels. On inputs that the teacher has not memorised, the student learns less about the task and more about this
# teacher. That is also why D0 makes the more accurate student, as in the paper. The union is the most faithful, but not, as
# in the paper, the most accurate ({glue:text}`recycle-union` points against D0). Calibration depends on the temperature:
# D1 − D0 is {glue:text}`recycle-ece` points at τ = 4 and {glue:text}`recycle-ece-tau-1` at τ = 1.

# %% mystnb={"figure": {"caption": "Recycled data over ensemble size at \u03c4 = 4: test agreement and predictive KL with the own teacher (solid) and an unseen one (dashed), accuracy (black: the teacher's) and calibration error of students on D0, D1 and both. Points are means over trials, bands and bars 95 % t-intervals.", "name": "fig-recycling"}, "image": {"alt": "Four line charts over ensemble size. Students on both halves agree most; D0 and D1 are close in agreement; D1 is clearly the least accurate.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
METRICS = (("agreement", "test agreement (%)", 100), ("accuracy", "test accuracy (%)", 100),
           ("kl", "predictive KL (nats)", 1), ("ece", "calibration error (points)", 100))


def recycling(r, values, condition, xlabel):
    fig, axes = panels(r, 4, height=2.7)
    for ax, (metric, label, scale) in zip(axes, METRICS, strict=True):
        for s in SETS:
            figures.line(ax, values, scale * r.table([condition(s, v) for v in values], metric), s, s)
            if metric in ("agreement", "kl"):
                figures.line(ax, values, scale * r.table([condition(s, v) for v in values], f"independent_{metric}"),
                             f"{s}, unseen", s, "--")
            elif metric == "accuracy" and s == "D0":
                figures.line(ax, values, scale * r.table([condition(s, v) for v in values], "teacher_accuracy"),
                             "teacher", "teacher")
        ax.set(xlabel=xlabel, ylabel=label, xticks=values)
    plt.show()


recycling(r, distillation_data.ENSEMBLES, lambda s, m: ("recycle", s, m, 4.0), "members m")

# %% tags=["remove-input"]
provenance(r)

# %% mystnb={"figure": {"caption": "The same over temperature at m = 3. Points are means over trials, bands and bars 95 % t-intervals.", "name": "fig-recycling-tau"}, "image": {"alt": "Four line charts over temperature 1, 4 and 8. Agreement rises from temperature 1 to 4 and hardly changes to 8; accuracy changes by a few points and not in one direction.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
recycling(r, distillation_data.TAUS[:3], lambda s, t: ("recycle", s, 3, t), "temperature τ")

# %% tags=["remove-input"]
provenance(r)

# %% [markdown]
# On CIFAR-100 (recorded, {numref}`fig-recycling-cifar` and {numref}`fig-recycling-tau-cifar`) it depends on the temperature. At τ = 1 the paper's
# order is plain: D1 makes the more faithful student, by {glue:text}`there-1-agreement` points of agreement, {glue:text}`there-1-own` above the baseline,
# and the better calibrated one, by {glue:text}`there-1-ece` points. There D0's labels are nearly hard, and its student learns the labels. At τ = 4 the two
# halves cannot be told apart in agreement at any m (D1 − D0: {glue:text}`there-m1-agreement` at m = 1, {glue:text}`there-m3-agreement` at m = 3,
# {glue:text}`there-m5-agreement` at m = 5; above the baseline {glue:text}`there-m1-own`, {glue:text}`there-m3-own`, {glue:text}`there-m5-own`), though in KL
# D1's student is still the closer one ({glue:text}`there-m3-kl` nats at m = 3), and the better calibrated ({glue:text}`there-m3-ece` points). A high
# temperature does for the teacher's own images a good part of what unseen images do without it.
#
# D0 is the more accurate half at τ = 4 (D1 − D0: {glue:text}`there-m3-accuracy` points at m = 3). The union is the most faithful set, by
# {glue:text}`union-agreement` points over D0 (above the baseline {glue:text}`union-own`, open); whether it is more accurate than D0, as in the paper, is
# open ({glue:text}`union-accuracy` points). D4, whose rule looks at m = 3 and τ = 4: {glue:text}`recorded-D4`.

# %% tags=["remove-input"]
def there(one, other, m, temperature, metric):
    """[trials] the difference that one set makes against another; "own": of what is specific to the teacher."""
    if metric == "own":
        return cifar.specific(("recycle", one, m, temperature)) - cifar.specific(("recycle", other, m, temperature))
    return cifar(("recycle", one, m, temperature), metric) - cifar(("recycle", other, m, temperature), metric)


for key, m, temperature in (("m1", 1, 4.0), ("m3", 3, 4.0), ("m5", 5, 4.0), ("1", 3, 1.0)):
    for metric in ("agreement", "own", "accuracy", "ece"):
        say(f"there-{key}-{metric}", there("D1", "D0", m, temperature, metric))
say("there-m3-kl", there("D1", "D0", 3, 4.0, "kl"), 1, 3)
for metric in ("agreement", "own", "accuracy"):
    say(f"union-{metric}", there("D0+D1", "D0", 3, 4.0, metric))
cifar.read.clear()

# %% mystnb={"figure": {"caption": "CIFAR-100 (recorded): recycled data over ensemble size at \u03c4 = 4: test agreement and predictive KL with the own teacher (solid) and an unseen one (dashed), accuracy (black: the teacher's) and calibration error of students on D0, D1 and both. Points are means over three trials, bands and bars 95 % t-intervals.", "name": "fig-recycling-cifar"}, "image": {"alt": "Four line charts over ensemble size on CIFAR-100. Agreement with the own ensemble rises with its size for all three sets and is highest for both halves together; agreement with an unseen one rises faster. D1 is the least accurate and has the lowest calibration error.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
recycling(cifar, distillation_data.ENSEMBLES, lambda s, m: ("recycle", s, m, 4.0), "members m")

# %% tags=["remove-input"]
provenance(cifar)

# %% mystnb={"figure": {"caption": "CIFAR-100 (recorded): the same over temperature at m = 3. Points are means over three trials, bands and bars 95 % t-intervals.", "name": "fig-recycling-tau-cifar"}, "image": {"alt": "Four line charts over temperature on CIFAR-100. At temperature 1 the student on D0 agrees least and has the largest KL, by far; at 4 and 8 the three sets lie close together. D1 is the least accurate throughout; calibration error rises with temperature where the set has unseen images.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
recycling(cifar, distillation_data.TAUS[:3], lambda s, t: ("recycle", s, 3, t), "temperature τ")

# %% tags=["remove-input"]
provenance(cifar)

# %% [markdown]
# ## Temperature and ensemble size
#
# The paper's Figure 9, on D0. A high temperature weighs the small probabilities more. Where the student would memorise (the
# bare training set, m = 5) τ = 4 raises agreement by {glue:text}`baseline-change` points; where it cannot (*combined*) it changes
# agreement by {glue:text}`combined-change`. Train agreement falls with it, at m = 5 from {glue:text}`tau-train-1` % at τ = 1 to
# {glue:text}`tau-train-16` % at τ = 16. The paper's gain in *accuracy* at τ = 4 appears at m = 3 only.

# %% tags=["remove-input"]
def temperatures(r, caption):
    r.read.clear()
    return table(("m", "τ", "accuracy", "agreement", "with an unseen teacher", "train agreement"), [
        (m, f"{t:g}", *(estimate(r(("tau", m, t), k)).text(100)
                        for k in ("accuracy", "agreement", "independent_agreement", "train_agreement")))
        for m in distillation_data.ENSEMBLES for t in distillation_data.TAUS], caption)


temperatures(r, "Fig 9 here: percent, mean and 95 % interval over trials")

# %% tags=["remove-input"]
provenance(r)

# %% [markdown]
# On CIFAR-100 (recorded) τ = 4 changes agreement by {glue:text}`there-tau-1` points at m = 1, {glue:text}`there-tau-3` at m = 3 and
# {glue:text}`there-tau-5` at m = 5; what of it is the own teacher's is {glue:text}`there-tau-1-own`, {glue:text}`there-tau-3-own` and
# {glue:text}`there-tau-5-own`. From τ = 4 to 16 it changes by {glue:text}`there-late-1`, {glue:text}`there-late-3` and
# {glue:text}`there-late-5`. Accuracy changes from τ = 1 to 4 by {glue:text}`there-tau-1-accuracy`, {glue:text}`there-tau-3-accuracy` and
# {glue:text}`there-tau-5-accuracy` points: the paper's gain in accuracy is not to be seen at this size.

# %% tags=["remove-input"]
for m in distillation_data.ENSEMBLES:
    def warmer(metric, one=4.0, other=1.0, m=m):
        return cifar(("tau", m, one), metric) - cifar(("tau", m, other), metric)

    say(f"there-tau-{m}", warmer("agreement"))
    say(f"there-tau-{m}-own", cifar.specific(("tau", m, 4.0)) - cifar.specific(("tau", m, 1.0)))
    say(f"there-tau-{m}-accuracy", warmer("accuracy"))
    say(f"there-late-{m}", warmer("agreement", 16.0, 4.0))
temperatures(cifar, "Fig 9 on CIFAR-100 (recorded): percent, mean and 95 % interval over three trials")

# %% tags=["remove-input"]
provenance(cifar)

# %% [markdown]
# ## The claims, and the paper beside this book
#
# Statistics and thresholds were written before the trials that they judge. *Holds* needs the whole interval on the claimed side
# of the threshold, *does not hold* the whole interval on the other; all else is *undecided*, and the last column says what
# is excluded nevertheless. Verdicts rest on recorded trials that nobody had seen; the live ones of this page are the
# demonstration.

# %% tags=["remove-input"]
judged_tables(claims)

# %% tags=["remove-input"]
comparison(claims, r)

# %% [markdown]
# ## How to read it
#
# **Agrees with the paper.** D1, temperature 4 against 1: {glue:text}`verdict-D1`, on the bare training set, where the rule
# looks. Under augmentation the order is often the reverse.
#
# **Differs.** D2, mixup at τ = 4 the most faithful: {glue:text}`verdict-D2`; here τ = 1 wins, with a shift. D3, noise and
# out-of-domain data hurt: {glue:text}`verdict-D3`; against a baseline that memorises they help. D4, recycling:
# {glue:text}`verdict-D4`; D0 is the more accurate half and the union the most faithful set, but D1 is more faithful than D0
# only above the baseline.
#
# **Open.** P5, the most accurate student is not the most faithful: {glue:text}`verdict-P5`. The recipes that lead in the two
# means differ by {glue:text}`named-agreement` points of agreement and {glue:text}`named-accuracy` of accuracy (*jitter* less
# *shift*). Chosen on the other trials, as the claim demands, the choice changes from fold to fold, and what is settled for the
# named pair is not settled for the chosen one.
#
# **On CIFAR-100** mixup at τ = 4 leads the paper's eleven recipes in the mean, as there, and that it is within three points of the
# baseline at τ = 4 is settled. The four recipes at τ = 4 cannot be told apart; the one ahead of mixup in the mean, by a little, is
# *fresh*, a recipe that the paper's Figure 3 lacks (D2: {glue:text}`recorded-D2`). Whether noise and OOD hurt is open (D3: {glue:text}`recorded-D3`): the
# claim table says how much of either their intervals leave. Of the halves D1 makes the more faithful student at τ = 1, as in the paper, and at
# τ = 4, where the rule looks, neither is ahead (D4: {glue:text}`recorded-D4`).
#
# What carries over is the paper's main point: distillation data and temperature decide how close the student comes;
# from the plain training set to the best recipe it is {glue:text}`range` points. Which recipe is best does not carry over from photographs to
# signals, ours included.
#
# ## Change this and predict
#
# - `papermill notebooks/03_distillation_data.ipynb out.ipynb -p seeds 3`: which order of policies survives?
# - In `kdlib/augment.py` let the shift reach 12 samples. Does agreement rise further, and train agreement?
# - Give D3 another baseline, *shift*: does noise then hurt, as it does in the paper?
#
# ## Limits
#
# Teachers of signals are trained without augmentation, those of CIFAR-100, like the paper's, with crops and flips. MNIST-1D signals have no symmetry
# that keeps the class as a mirror image does. One strength per policy; the ranking within a
# temperature may depend on it.

# %% tags=["remove-input"]
all_runs("03_distillation_data", r)
