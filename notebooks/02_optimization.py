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
# # Optimization
#
# The student could match its teacher: the teacher's own weights are a solution. Once it is shown more than the teacher's own
# data, it does not match even on the data it is trained on. So the optimizer did not find that solution, and
# {cite:t}`stanton2021` hold this to be a key reason for low fidelity. Six experiments look at it. On signals, patience
# closes most of the gap on the training inputs; what it buys on new inputs depends on how many inputs there are to be
# patient with. On CIFAR-100, with inputs that are augmented anew in every epoch, it closes less of the one and more of the other.

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
from kdlib.experiments import judged, so_far
from kdlib.experiments import optimization as opt
from kdlib.experiments.distillation_data import SETS
from kdlib.stats import estimate

d, r = open_chapter("02_optimization", profile, seeds, workers)
claims = judged("02_optimization", r)
cifar = so_far("02_optimization", "workstation")

# %% tags=["remove-input"]
say_claims(claims)
p, most, longest = r.profile, r.profile.gap.factors[-1], r.profile.optimization.lengths[-1]
adam, mildest = next(o for o in p.optimization.optimizers if o.startswith("Adam")), p.optimization.single[0]
for key, values in {
    "train-1": r(("size", 1, 1), "train_agreement"), "train-33": r(("size", 1, most), "train_agreement"),
    "train-1-foil": r.unseen(("size", 1, 1), "train_agreement"),
    "train-33-foil": r.unseen(("size", 1, most), "train_agreement"),
    "train-1-own": r.specific(("size", 1, 1), "train_agreement"),
    "train-33-own": r.specific(("size", 1, most), "train_agreement"),
    "combined": r(("policy", 1, "combined"), "train_agreement"),
    "combined-foil": r.unseen(("policy", 1, "combined"), "train_agreement"),
    "combined-test": r(("policy", 1, "combined"), "agreement"), "scale-test": r(("policy", 1, p.optimization.single[1]), "agreement"),
    "adam-1": r((adam, 1), "train_agreement"), "adam-10": r((adam, longest), "train_agreement"),
    "sgd-10": r(("SGD", longest), "train_agreement"),
    "adam-1-test": r((adam, 1), "agreement"), "adam-10-test": r((adam, longest), "agreement"),
    "sgd-1-test": r(("SGD", 1), "agreement"), "sgd-10-test": r(("SGD", longest), "agreement"),
    "longer": r("longer", "agreement"), "longer-gain": r("longer", "agreement") - r(("size", 1, most), "agreement"),
    "sgd-gain": r(("SGD", longest), "agreement") - r(("SGD", 1), "agreement"),
    "combined-best": r(("policy", 5, "combined"), "agreement") - r(("policy", 5, mildest), "agreement"),
    "init-own": r.specific(("start", "teacher-initial")) - r.specific(("start", "random")),
    "sgd-over-adam": r(("SGD", longest), "agreement") - r((adam, longest), "agreement"),
    "near": r(("lambda", 0.375), "train_agreement"), "far": r(("lambda", 0.0), "train_agreement"),
    "near-test": r(("lambda", 0.375), "agreement"), "far-test": r(("lambda", 0.0), "agreement"),
    "at": r(("lambda", 1.0), "train_agreement"), "at-test": r(("lambda", 1.0), "agreement"),
    "init-gain": r(("start", "teacher-initial"), "agreement") - r(("start", "random"), "agreement"),
}.items():
    say(key, values)
for key, name in (("cka-own", ("start", "random")), ("cka-own-init", ("start", "teacher-initial"))):
    say(key, np.mean([r.specific(name, f"cka{k}") for k in (1, 2, 3)], 0), 1, 3)
for x in (0.0, 0.25, 0.375):
    say(f"barrier-{x:g}", r(("surface", x), "barrier"), 1, 3)
quarter = r(("surface", 0.25), "barrier")
glue("barrier-low", f"{quarter.min():.2f}", display=False)
glue("barrier-high", f"{quarter.max():.2f}", display=False)
say("distance-0", r(("surface", 0.0), "distance"), 1)
_ = say("distance-1", r(("surface", 1.0), "distance"), 1)

# %% [markdown]
# ```{admonition} In one box
# :class: tip
# On five times the teacher's data, ten times longer training lifts the agreement on the distillation data from
# {glue:text}`adam-1` to **{glue:text}`adam-10` %** (AdamW; SGD **{glue:text}`sgd-10` %**), and leaves AdamW's test
# agreement at **{glue:text}`adam-10-test` %**. A start 37.5 % of the way to the teacher reaches
# **{glue:text}`near-test` %** on the test set in a tenth of those steps. On CIFAR-100 ten times the steps leave train agreement at
# **{glue:text}`cifar-SGD-10-train` %** (SGD), and lift *test* agreement from {glue:text}`cifar-SGD-1-test` to
# **{glue:text}`cifar-SGD-10-test` %**.
# ```
#
# ## What the paper found
#
# Agreement on the distillation data itself, augmentation included, falls from nearly 100 % to about 95 % as GAN
# images are added and to 60 % under the heaviest augmentation (its Figure 5). Neither Adam nor 5,000 epochs close that gap
# (6a). Students that start close to the teacher's weights succeed, and success comes suddenly, between λ = .25 and λ =
# .375 (6b), when start and teacher begin to share a basin of the loss (6c). Starting from the teacher's own *initial*
# weights changes next to nothing (Table 1).
#
# ## The runs
#
# Everything as in the {doc}`first chapter <01_fidelity_gap>`: trials that share nothing, students of three times the teacher's
# steps. Experiments on the optimizer use five times the teacher's inputs, a size at which the gap on the training
# inputs is plain. SGD uses Nesterov momentum .9, a cosine from .05 and weight decay 1e-4 as in the paper; AdamW is
# this book's default. No learning rate was tuned.
#
# ## Train agreement falls as the task grows
#
# {numref}`fig-train-agreement` has the three panels of the paper's Figure 5. On the teacher's own signals the student
# agrees with it nearly everywhere ({glue:text}`train-1` %); on 33 times as many it does so on {glue:text}`train-33` %. Read
# without its baseline, that is distillation getting worse. With the baseline it is the opposite. On the teacher's own
# signals the student agrees just as well with a teacher it never saw ({glue:text}`train-1-foil` %), for both teachers were
# fitted to the same labels there and the student has learned little else; only {glue:text}`train-1-own` points are this
# teacher's. At x33 the baseline is down to {glue:text}`train-33-foil` %, and {glue:text}`train-33-own` points are
# this teacher's; most of that rise is there at x2 already. As data grows the student passes from memorising labels to
# imitating a function.
#
# Augmentation acts in the same manner. All three transforms combined leave {glue:text}`combined` % train agreement, the
# lowest, over a baseline of {glue:text}`combined-foil` %, and {glue:text}`combined-test` % agreement on the test set,
# more than the mildest transform's {glue:text}`scale-test` %.

# %% mystnb={"figure": {"caption": "Agreement on the distillation data itself, as seen in training, for teachers of 1, 3 and 5 members: by amount of data, by which half of the data (temperature 4), and by augmentation policy. Dashed, and grey for m = 1 below: agreement with an unseen teacher on the same inputs. Means over trials, 95 % t-intervals.", "name": "fig-train-agreement"}, "image": {"alt": "Three panels: train agreement falls with the amount of data; it is lower on D1 than on D0; and it is lowest for the combined augmentation. Agreement with unseen teachers is nearly as high on the teacher's own data and far lower elsewhere.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
def train_agreement(r):
    fig, (sizes, halves, policies) = panels(r, 3, height=3.6)
    factors = r.profile.gap.factors
    sizes.set_xscale("log", base=2)
    sizes.set_xticks(factors, [f"x{f:g}" for f in factors])
    sizes.minorticks_off()
    for m in opt.ENSEMBLES:
        runs = [("size", m, f) for f in factors]
        figures.line(sizes, factors, 100 * r.table(runs, "train_agreement"), f"m = {m}", f"m={m}")
        figures.line(sizes, factors, 100 * r.table(runs, "independent_train_agreement"), f"unseen, {m}", f"m={m}", "--")
    sizes.set(xlabel="distillation inputs", ylabel="train agreement (%)")
    for ax, names, labels in ((halves, lambda m: [("recycle", s, m) for s in SETS], SETS),
                              (policies, lambda m: [("policy", m, p) for p in opt.policies(r.profile)],
                               opt.policies(r.profile))):
        groups = {f"m={m}": 100 * r.table(names(m), "train_agreement") for m in opt.ENSEMBLES}
        figures.points(ax, labels, groups | {"unseen": 100 * r.table(names(1), "independent_train_agreement")})
        ax.set_xlabel("train agreement (%)")
    plt.show()


train_agreement(r)

# %% tags=["remove-input"]
provenance(r)

# %% [markdown]
# The same on CIFAR-100 (recorded; sizes as in {doc}`chapter 1 <01_fidelity_gap>`), where inputs are cropped and flipped anew in
# every epoch: train agreement at m = 1 falls from {glue:text}`cifar-train-1` to {glue:text}`cifar-train-20` % as fresh images are
# added, and with an unseen teacher from {glue:text}`cifar-unseen-1` to {glue:text}`cifar-unseen-20` %. All augmentations combined
# leave {glue:text}`cifar-combined` % (the paper: about 60 %), over a baseline of {glue:text}`cifar-combined-foil` %, and give
# {glue:text}`cifar-combined-test` % test agreement against {glue:text}`cifar-plain-test` % with crops and flips alone. (Colour jitter by
# itself gives as much or a little more: *combined* less colour jitter is {glue:text}`cifar-over-best-1` points at m = 1 and {glue:text}`cifar-over-best-5` at m = 5.)
# On images too the baseline
# falls faster than the agreement: what stands above it is {glue:text}`cifar-above-1` points on the teacher's own images,
# {glue:text}`cifar-above-20` at x20 and {glue:text}`cifar-above-combined` under the combined augmentation. O1 there:
# {glue:text}`recorded-O1`; O2: {glue:text}`recorded-O2`.

# %% mystnb={"figure": {"caption": "CIFAR-100 (recorded): agreement on the distillation data itself, as seen in training, by amount of data, by which half of the data (temperature 4), and by augmentation policy. Dashed and grey: agreement with an unseen teacher on the same inputs (grey: a single one). Means over three trials, 95 % t-intervals.", "name": "fig-train-cifar"}, "image": {"alt": "Three panels on CIFAR-100: train agreement falls steeply with the amount of data; on the halves it is higher on D0 than on D1 or both; by augmentation policy it falls from the baseline over rotation and vertical flips to colour jitter and the combined augmentation.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
train_agreement(cifar)

# %% tags=["remove-input"]
provenance(cifar)

# %% tags=["remove-input"]
say("cifar-ln-ece", cifar(("lambda", 0.0), "teacher_ece"))
say("cifar-bn-ece", cifar(("size", 1, 1), "teacher_ece"))
say("cifar-plain-1", cifar(("size", 1, 1), "agreement"))
for f in (1, 20):
    say(f"cifar-train-{f}", cifar(("size", 1, f), "train_agreement"))
    say(f"cifar-unseen-{f}", cifar.unseen(("size", 1, f), "train_agreement"))
for key, metric in (("", "train_agreement"), ("-foil", "independent_train_agreement"), ("-test", "agreement")):
    say(f"cifar-combined{key}", cifar(("policy", 1, "combined"), metric))
for m in (1, 5):
    say(f"cifar-over-best-{m}", cifar(("policy", m, "combined"), "agreement") - cifar(("policy", m, "colour"), "agreement"), digits=2)
say("cifar-plain-test", cifar(("policy", 1, "baseline"), "agreement"))
for key, row in (("1", ("size", 1, 1)), ("20", ("size", 1, 20)), ("combined", ("policy", 1, "combined"))):
    say(f"cifar-above-{key}", cifar.specific(row, "train_agreement"))
for key, x in (("far", 0.0), ("quarter", 0.25), ("at", 1.0)):
    say(f"cifar-{key}", cifar(("lambda", x), "train_agreement"))
    say(f"cifar-{key}-test", cifar(("lambda", x), "agreement"))
    say(f"cifar-{key}-foil", cifar.unseen(("lambda", x)))
for key, one, other in (("first", 0.0, 0.125), ("early", 0.125, 0.25), ("sudden", 0.25, 0.375)):
    say(f"cifar-{key}", opt.vanished(cifar, one, other), 100, 0)
for x in (0.0, 0.125):
    say(f"cifar-barrier-{x:g}", cifar(("surface", x), "barrier"), 1, 2)
near = max(cifar(("surface", x), "barrier").max() for x in opt.LAMBDAS if x >= 0.25)
glue("cifar-barrier-most", f"{np.ceil(1000 * near) / 1000:.3f}", display=False)
say("signals-sudden", opt.sudden(r), 100, 0)
for x in (0.0, 1.0):
    say(f"cifar-distance-{x:g}", cifar(("surface", x), "distance"), 1)
random, same = ("start", "random"), ("start", "teacher-initial")
say("cifar-init", cifar(same, "agreement") - cifar(random, "agreement"))
say("cifar-init-own", cifar.specific(same) - cifar.specific(random))
say("cifar-init-kl", cifar(same, "kl") - cifar(random, "kl"), 1, 3)
say("cifar-cka-own", np.mean([cifar.specific(random, f"cka{k}") for k in (1, 2, 3)], 0), 1, 3)
_ = say("cifar-init-cka", np.mean([cifar(same, f"cka{k}") - cifar(random, f"cka{k}") for k in (1, 2, 3)], 0), 1, 3)

# %% [markdown]
# ## Does patience help?
#
# On the training inputs it does. Each tripling of the steps about halves the distance to 100 %, for both optimizers alike,
# and neither has come to its end ({numref}`fig-optimizers`). In the paper SGD goes from 79 % at 300 epochs to 83 % at 5,000,
# and Adam stays below it. The two are not like for like: there the inputs are augmented afresh in every epoch, here they are
# five thousand fixed signals, and ten times the steps are 240 epochs.
#
# On *new* inputs AdamW gains nothing from patience ({glue:text}`adam-1-test` % before, {glue:text}`adam-10-test` % after):
# what it learns late is specific to the inputs it is shown. SGD gains {glue:text}`sgd-gain` points, and at ten times the
# steps it lies {glue:text}`sgd-over-adam` points above AdamW, although on the training inputs the two cannot be told apart.
# With more to learn from, patience pays for AdamW too: on 33 times the teacher's inputs ten times the steps bring
# {glue:text}`longer-gain` points on new inputs, to {glue:text}`longer` % ({doc}`chapter 1 <01_fidelity_gap>`).

# %% mystnb={"figure": {"caption": "Agreement on the distillation data (above) and on the test set (below) against training length, five times the teacher's inputs; dashed: agreement with an unseen teacher. Points are means over trials, bands and bars 95 % t-intervals.", "name": "fig-optimizers"}, "image": {"alt": "Two line charts over 1, 3 and 10 times the steps. Train agreement rises with length for both optimizers, almost to full agreement. Test agreement rises for SGD only. Agreement with an unseen teacher rises nowhere.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
def patience(r):
    fig, axes = panels(r, 2)
    lengths = r.profile.optimization.lengths
    for ax, metric, label in zip(axes, ("train_agreement", "agreement"), ("train", "test"), strict=True):
        ax.set_xscale("log")
        ax.set_xticks(lengths, [f"{k:.3g}x" for k in lengths])
        ax.minorticks_off()
        ax.set(xlabel="training length", ylabel=f"{label} agreement (%)")
        for name in r.profile.optimization.optimizers:
            runs, key = [(name, k) for k in lengths], name.removesuffix("W")
            figures.line(ax, lengths, 100 * r.table(runs, metric), name, key)
            figures.line(ax, lengths, 100 * r.table(runs, f"independent_{metric}"), f"unseen, {name}", key, "--")
    plt.show()


patience(r)

# %% tags=["remove-input"]
provenance(r)

# %% [markdown]
# On CIFAR-100 (recorded) inputs are cropped and flipped anew in every epoch, and train agreement behaves as in the paper. Ten times the steps
# take SGD from {glue:text}`cifar-SGD-1-train` to {glue:text}`cifar-SGD-10-train` % and Adam from {glue:text}`cifar-Adam-1-train` to
# {glue:text}`cifar-Adam-10-train` %, {glue:text}`cifar-over-adam-train` points below SGD; both are far from full agreement (O3 there:
# {glue:text}`recorded-O3`).
#
# What the paper does not show is the test set. On *new* images the same patience lifts agreement from {glue:text}`cifar-SGD-1-test` to
# {glue:text}`cifar-SGD-10-test` % with SGD and from {glue:text}`cifar-Adam-1-test` to {glue:text}`cifar-Adam-10-test` % with Adam, and all of
# it belongs to the own teacher: with an unseen one agreement changes by {glue:text}`cifar-SGD-gain-foil` and
# {glue:text}`cifar-Adam-gain-foil` points. No bend is to be seen in the curves; where they end, these runs do not
# say. The student becomes no better by it (accuracy changes by {glue:text}`cifar-SGD-gain-accuracy` and
# {glue:text}`cifar-Adam-gain-accuracy` points), only more like its teacher. On signals AdamW gained nothing of the kind. A reading that fits:
# there the extra steps go to the same five thousand inputs; here an image has fifty crops and flips, each with a label of its own, and with
# more to learn from patience paid on signals, too. Signals under augmentation for as long would tell.

# %% mystnb={"figure": {"caption": "CIFAR-100 (recorded): agreement on the distillation data (above) and on the test set (below) against training length, for a ResNet with LayerNorm on the teacher's own images, cropped and flipped anew in every epoch; dashed: agreement with an unseen teacher. Points are means over three trials, bands and bars 95 % t-intervals.", "name": "fig-optimizers-cifar"}, "image": {"alt": "Two line charts over 1, 3 and 10 times the steps on CIFAR-100. Train and test agreement with the own teacher rise steadily for SGD and, below it, for Adam, and stay well short of full agreement; agreement with an unseen teacher stays flat far below.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
patience(cifar)

# %% tags=["remove-input"]
provenance(cifar)

# %% tags=["remove-input"]
for o in cifar.profile.optimization.optimizers:
    for k in cifar.profile.optimization.lengths:
        for key, metric in (("train", "train_agreement"), ("test", "agreement")):
            say(f"cifar-{o}-{k}-{key}", cifar((o, k), metric))
    for key, metric in (("test", "agreement"), ("foil", "independent_agreement"), ("accuracy", "accuracy")):
        say(f"cifar-{o}-gain-{key}", cifar((o, cifar.profile.optimization.lengths[-1]), metric) - cifar((o, 1), metric))
_ = say("cifar-over-adam-train", cifar(("SGD", 10), "train_agreement") - cifar(("Adam", 10), "train_agreement"))

# %% [markdown]
# ## A start near the teacher
#
# Now the student starts at λ times the teacher's weights plus 1 − λ times a random draw. The learning rate is the same for
# every λ, so that only the distance varies (the official code multiplies it by 1 − λ as well). From
# {glue:text}`far` % train agreement at λ = 0 the same optimizer in the same number of steps comes to {glue:text}`near` %
# at λ = .375, and from {glue:text}`far-test` to {glue:text}`near-test` % on the test set: no student of a single
# teacher that starts from a random draw comes so close on these signals. The solution exists, and the optimizer stays near it if it is put near it.
#
# The right end of {numref}`fig-lambda` holds a lesson of its own. At λ = 1 the student *starts as its teacher*, at the optimum of the
# distillation loss, though not of what is trained, since weight decay is part of that, and ends with {glue:text}`at` % train and {glue:text}`at-test` % test agreement. It has left the
# solution and settled {glue:text}`distance-1` away from it in
# weight space (from a random start: {glue:text}`distance-0`). So this recipe does not reach full agreement from any of these
# starts, and a threshold of 99 % (claim O4) asks for about all that there is. It was fixed beforehand and stays.

# %% mystnb={"figure": {"caption": "Against \u03bb, the teacher's share in the student's start. Above: train KL, the distillation loss less its optimum, from the own teacher. Below: train and test agreement with the own teacher and, dashed, with an unseen one. Points are means over trials, bands and bars 95 % t-intervals.", "name": "fig-lambda"}, "image": {"alt": "Two line charts against lambda. Train KL falls smoothly toward zero; train and test agreement rise smoothly, most of it between 0.125 and 0.5, and agreement with an unseen teacher stays flat far below.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
def start_near(r):
    fig, (above, below) = panels(r, 2)
    runs = [("lambda", x) for x in opt.LAMBDAS]
    figures.line(above, opt.LAMBDAS, r.table(runs, "train_kl"), "", "m=1")
    for metric, label, key in (("train_agreement", "train", "train"), ("agreement", "test", "test")):
        figures.line(below, opt.LAMBDAS, 100 * r.table(runs, metric), label, key)
        figures.line(below, opt.LAMBDAS, 100 * r.table(runs, f"independent_{metric}"), f"{label}, unseen", key, "--")
    above.set(xlabel="λ", ylabel="train KL (nats)")
    below.set(xlabel="λ", ylabel="agreement (%)")
    plt.show()


start_near(r)

# %% tags=["remove-input"]
provenance(r)

# %% [markdown]
# On CIFAR-100 (recorded) the net is a ResNet with LayerNorm in the place of BatchNorm, as in the paper, but of 8 layers, not 20, trained by SGD on
# the teacher's own 2,000 images. There the change comes earlier and is nearly over by λ = .25: of the train KL at λ = 0,
# {glue:text}`cifar-first` % vanishes by λ = .125, {glue:text}`cifar-early` % between there and .25, and {glue:text}`cifar-sudden` %
# between .25 and .375, where claim O4 looks ({glue:text}`recorded-O4`). On signals the largest step is as large, but
# {glue:text}`signals-sudden` % is left for the stretch from .25 to .375. About as much vanishes in the first step as in the second, so that on
# this grid one cannot call it sudden. Test agreement goes from {glue:text}`cifar-far-test` % at 0
# to {glue:text}`cifar-quarter-test` % at .25 (in chapter 1, from a random start on as many images, a student with BatchNorm comes to
# {glue:text}`cifar-plain-1` %: the teacher here is less sure of itself, its calibration error is {glue:text}`cifar-ln-ece` points against
# {glue:text}`cifar-bn-ece`, and softer labels may be easier to follow), with an unseen teacher from {glue:text}`cifar-far-foil` to
# {glue:text}`cifar-quarter-foil` %. And as on signals there is no full agreement at the right end: a student that *starts as* its
# teacher ends with {glue:text}`cifar-at` % train and {glue:text}`cifar-at-test` % test agreement, {glue:text}`cifar-distance-1` away from
# it (from a random start: {glue:text}`cifar-distance-0`).

# %% mystnb={"figure": {"caption": "CIFAR-100 (recorded), against \u03bb, the teacher's share in the student's start. Above: train KL. Below: train and test agreement with the own teacher and, dashed, with an unseen one. Points are means over three trials, bands and bars 95 % t-intervals.", "name": "fig-lambda-cifar"}, "image": {"alt": "Two line charts against lambda on CIFAR-100: train KL falls to nearly nothing between 0 and 0.25 and stays there; train and test agreement rise steeply over the same stretch and then creep on, while agreement with an unseen teacher stays flat.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
start_near(cifar)

# %% tags=["remove-input"]
provenance(cifar)

# %% [markdown]
# ## Basins
#
# {numref}`fig-planes` shows the distillation loss on the plane through three points in weight space: the teacher, the student's
# start, and its end. One plane is one picture of a space of 5,000 dimensions, of one trial; the number to
# trust is the *barrier* on the straight segment from the student's end to the teacher, in every trial: how far the loss on the
# student's own inputs rises above the line between the segment's ends {cite:p}`frankle2020`. It is {glue:text}`barrier-0` nats at λ = 0,
# {glue:text}`barrier-0.25` at λ = .25 and {glue:text}`barrier-0.375` at λ = .375
# ({numref}`fig-barrier`). There is a transition where the paper has it, but it is gradual, and at λ = .25 the barrier goes
# from {glue:text}`barrier-low` to {glue:text}`barrier-high` nats over the trials, which is why the interval is so wide. The first trial, shown
# here as in every such figure of this book, happens to have the highest barriers of all at .25 and at .375.

# %% mystnb={"figure": {"caption": "The distillation loss above its optimum on the plane through teacher, start and end, for \u03bb = 0, .25 and .375 (the first trial). Axes are distances in weight space; one colour scale for all three.", "name": "fig-planes"}, "image": {"alt": "Three contour maps. At lambda 0 teacher and end lie in two separate dark basins; at .375 hardly a ridge is left between them.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
def planes(r):
    fig, axes = panels(r, 3, height=3.6)
    planes = {x: r.curves(("surface", x), "plane")[0] for x in opt.PLANES}
    high = max(np.max(plane["loss"]) for plane in planes.values())
    for ax, (x, plane) in zip(axes, planes.items(), strict=True):
        figures.surface(ax, plane["x"], plane["y"], plane["loss"],
                        dict(zip(("teacher", "start", "end"), plane["points"], strict=True)), 0.01, high)
        ax.set_title(f"λ = {x:g}")
    plt.show()


planes(r)

# %% tags=["remove-input"]
provenance(r)

# %% [markdown]
# The same on CIFAR-100 (recorded): two basins at λ = 0, one at .25 and .375.

# %% mystnb={"figure": {"caption": "CIFAR-100 (recorded): the distillation loss above its optimum on the plane through teacher, start and end, for \u03bb = 0, .25 and .375 (the first trial). Axes are distances in weight space; one colour scale for all three.", "name": "fig-planes-cifar"}, "image": {"alt": "Three contour maps on CIFAR-100. At lambda 0 teacher and end lie in two basins with a ridge between them; at .25 and .375 they lie in one long valley.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
planes(cifar)

# %% tags=["remove-input"]
provenance(cifar)

# %% mystnb={"figure": {"caption": "The barrier between the student's end and its teacher, against \u03bb. Points are means over trials, the band is the 95 % t-interval.", "name": "fig-barrier"}, "image": {"alt": "Line chart: the loss barrier falls smoothly from its highest value at lambda 0 to nothing at 0.5.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
def barriers(r):
    fig, (ax,) = panels(r)
    figures.line(ax, opt.LAMBDAS, r.table([("surface", x) for x in opt.LAMBDAS], "barrier"), "", "m=1")
    ax.set(xlabel="λ", ylabel="barrier (nats)")
    plt.show()


barriers(r)

# %% tags=["remove-input"]
provenance(r)

# %% [markdown]
# On CIFAR-100 (recorded) the barrier is {glue:text}`cifar-barrier-0` nats at λ = 0, {glue:text}`cifar-barrier-0.125` at .125, and from
# .25 on it is below {glue:text}`cifar-barrier-most` in every trial: the student that starts a quarter of the way ends in the teacher's basin. Barrier
# and KL fall together, which is what the paper's explanation asks for. O5 there: {glue:text}`recorded-O5`.

# %% mystnb={"figure": {"caption": "CIFAR-100 (recorded): the barrier between the student's end and its teacher, against \u03bb. Points are means over three trials, bands and bars 95 % t-intervals.", "name": "fig-barrier-cifar"}, "image": {"alt": "Line chart on CIFAR-100: the barrier falls steeply from lambda 0 to .125 and is gone from .25 on.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
barriers(cifar)

# %% tags=["remove-input"]
provenance(cifar)

# %% [markdown]
# ## The teacher's initial weights
#
# A student that starts where its teacher *started* shares nothing learned with it, only the random draw. Does it end
# nearer? CKA is linear CKA {cite:p}`kornblith2019` between the three convolutions' outputs over the test set, examples
# as rows. (The official code transposes them and compares image columns; whether the published table was made by those lines
# is not known.) In features it does end nearer, a little; in function the difference is {glue:text}`init-gain` points of
# agreement, or {glue:text}`init-own` points of agreement above the baseline.
#
# CKA needs its baseline as much as agreement does. From a random start the student's features are as similar to those of
# a teacher that it never saw as to its own teacher's: the difference, a mean over the three stages, is
# {glue:text}`cka-own`. High CKA between student and teacher says that two nets were trained on one task. From
# the teacher's own start the difference is {glue:text}`cka-own-init`, positive in the mean and not settled.

# %% tags=["remove-input"]
METRICS = (("agreement", 100, 1), ("kl", 1, 3), ("cka1", 1, 3), ("cka2", 1, 3), ("cka3", 1, 3))


def starts(r, caption):
    r.read.clear()
    return table(("student's start", "compared with", "agreement (%)", "KL (nats)", "CKA 1", "CKA 2", "CKA 3"), [
        (start, other, *(estimate(r(name, f"{prefix}{metric}")).text(scale, digits) for metric, scale, digits in METRICS))
        for start, name in (("random", ("start", "random")), ("teacher's own start", ("start", "teacher-initial")))
        for other, prefix in (("own teacher", ""), ("unseen teacher", "independent_"))], caption)


starts(r, "Table 1 here: mean and 95 % interval over trials")

# %% tags=["remove-input"]
provenance(r)

# %% [markdown]
# On CIFAR-100 (recorded, five trials) the function does change, a little and unlike in the paper: the teacher's initial weights are worth
# {glue:text}`cifar-init` points of agreement, {glue:text}`cifar-init-own` above the baseline, and change KL by {glue:text}`cifar-init-kl` nats. O6 is
# {glue:text}`recorded-O6`, since its margin of one point lies within the interval. CKA rises by {glue:text}`cifar-init-cka`; here it does tell the
# own from an unseen teacher even from a random start, by {glue:text}`cifar-cka-own`.

# %% tags=["remove-input"]
starts(cifar, "Table 1 on CIFAR-100 (recorded): mean and 95 % interval over five trials")

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
# **Agrees with the paper.** O1 (more data, lower train agreement: {glue:text}`verdict-O1`) and O2 (heavier augmentation:
# lower train, higher test agreement: {glue:text}`verdict-O2`). Both say less than they seem to. In O1 the baseline falls
# faster than the agreement, so what belongs to this teacher grows, up to five times the data. In O2 *combined* is compared
# with the mean of its parts; against the best of them, the shift, it is {glue:text}`combined-best` points at m = 5.
#
# **Differs.** O3 (no patience closes the train gap): {glue:text}`verdict-O3` on signals. Ten times the steps bring it under the
# threshold of five points with either optimizer. The gap is not zero, and another threshold would have given another word. On
# CIFAR-100, where inputs are augmented as in the paper: {glue:text}`recorded-O3`. O4 (a sudden change in λ): {glue:text}`verdict-O4` on signals,
# {glue:text}`recorded-O4` on CIFAR-100. On both most of the fall comes before .25, on signals between .125 and .25, on CIFAR-100 about
# equally in the first two steps. The rule, written after the paper's figure, looks later; and on both the train agreement at .375 is below the 99 % that the rule also asks for. (The official
# code multiplies the learning rate by 1 − λ as well; that alone does not make the change sudden, on either, see the
# {doc}`errata <08_errata>`.)
#
# **Open.** O5 (far starts end in another basin): {glue:text}`verdict-O5`. The far start does. At λ = .375 the barrier is
# under the threshold in all trials but one. (On CIFAR-100: {glue:text}`recorded-O5`.) O6 (initial weights change features, not the function):
# {glue:text}`verdict-O6`.
#
# Taken together: optimization is *a* reason, as the paper says. On signals the gap that it leaves on training inputs
# nearly closes with patience. On new inputs patience brings AdamW nothing that we see unless there is more data, and SGD
# {glue:text}`sgd-gain` points. On CIFAR-100, under augmentation, patience alone brings SGD {glue:text}`cifar-SGD-gain-test` points on new images and
# leaves a gap on either kind of input. On both a start near the solution closes more of the gap than anything else here.
#
# ## Change this and predict
#
# - `papermill notebooks/02_optimization.ipynb out.ipynb -p seeds 8`: which undecided verdict will three more trials settle?
# - In `kdlib/experiments/profiles/mnist1d.py` set `factor=33`. Will ten times the steps still close the train gap?
# - In `kdlib/experiments/optimization.py` give the student the learning rate .001 in the λ sweep (`toward`). What happens to the agreement at λ = 1?
#
# ## Limits
#
# One learning rate per optimizer, none tuned. The plane is shown for one trial; the barrier is counted in all. The
# distances are those of raw weights, which permuting a layer's channels would change; a barrier between two nets may
# vanish after such a permutation, and none was tried.

# %% tags=["remove-input"]
all_runs("02_optimization", r)
