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
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The fidelity gap
#
# A student that imitates its teacher on every example should become its teacher. Does it?
# {cite:t}`stanton2021` found that it does so on an easy task and nowhere else. Here is the same question on
# MNIST-1D {cite:p}`greydanus2024`, whose generator can do what no image data set can: draw as much *fresh*
# distillation data as one likes, from exactly the distribution that the teacher saw.

# %% tags=["parameters", "hide-input"]
profile = "laptop"  # or "smoke"
seeds = None  # None: the profile's own number of trials
workers = 2  # one-thread worker processes

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np

from kdlib import figures
from kdlib.chapter import claim_table, comparison, open_chapter, provenance, say, say_claims, table
from kdlib.experiments import gap
from kdlib.experiments.design import FACTORS

d, r = open_chapter("01_fidelity_gap", profile, seeds, workers)
claims = gap.claims(r)
say_claims(claims)
large, base = ("size", 1, FACTORS[-1]), ("size", 1, 1)
for key, values in {
    "gap": r.gap(large), "agree-large": r(large, "agreement"), "agree-base": r(base, "agreement"),
    "foil-base": r(base, "independent_agreement"), "foil-large": r(large, "independent_agreement"),
    "teacher-acc": r(base, "teacher_accuracy"), "easy": r(("easy", gap.EASY_FACTORS[-1]), "agreement"),
    "easy-teacher": r(("easy", 1), "teacher_accuracy"),
    "agree-3": r(("size", 3, FACTORS[-1]), "agreement"), "agree-5": r(("size", 5, FACTORS[-1]), "agreement"),
}.items():
    say(key, values)

# %% [markdown]
# ```{admonition} In one box
# :class: tip
# With 33 times the teacher's data, self-distillation still misses its teacher's label on
# {glue:text}`gap` % of new signals. On an easy variant of the same task the student agrees with its teacher
# on {glue:text}`easy` %. (Mean and 95 % interval over trials.)
# ```
#
# ## Terms
#
# A *student* is trained on a *teacher*'s predictive distribution, without labels, by the distillation loss
# of {cite:t}`hinton2015`. *Fidelity* is how well it then matches the teacher on the test set:
# *top-1 agreement*, the share of inputs given the same label, and *predictive KL*, the mean divergence of
# the student's distribution from the teacher's. An *ensemble* teacher of *m* members predicts their mean
# probability. *Self-distillation* is *m* = 1 and the same architecture: the teacher's weights are one
# solution that the student could reach, with agreement 1 and KL 0.
#
# Agreement alone cannot be read: two nets that are both right agree. So beside every agreement stands the
# *independent-student baseline*: the same student's agreement with a teacher trained exactly like its own
# that it never saw.
#
# ## What the paper found
#
# On CIFAR-100, a ResNet-56 self-distilled with up to 50,000 added GAN images agrees with its teacher on
# less than 80 % of the test set (its Figure 1a); a 3-member teacher is matched a little better (1b). On
# MNIST, a LeNet-5 whose teacher saw only 200 images is matched on more than 99 % (its Figure 2).
#
# ## The runs
#
# A trial draws its own training signals, test signals and fresh signals, trains a pool of 24 teachers on the
# former (12 that teach, 12 that no student sees) and distils students from them. Trials share nothing, so
# an interval over trials covers data, initialisation and batch order together. Every net is the 3-layer
# CNN of the MNIST-1D paper.

# %% tags=["hide-input"]
p = d.profile
table(("what", "value"), [
    ("trials", d.seeds), ("teacher's training signals", p.train), ("test signals per trial", p.test),
    ("distillation inputs", ", ".join(f"x{f} ({f * p.train:,})" for f in FACTORS)),
    ("ensemble sizes m", "1, 3, 5"), ("steps, batch", f"{d.training.steps}, {d.training.batch}"),
    ("optimizer", f"AdamW, cosine from {d.training.lr:g}, weight decay {d.training.weight_decay:g}"),
    ("temperature, alpha", "1, 0 (no labels)")], "The runs of this chapter")

# %% [markdown]
# ## More data, more fidelity, and still a gap
#
# Teachers reach {glue:text}`teacher-acc` % on the test set. Distilled on the teacher's own signals a
# student agrees with it on {glue:text}`agree-base` %, yet with a teacher it never saw on
# {glue:text}`foil-base` %. With 33 times the data the two are {glue:text}`agree-large` % and
# {glue:text}`foil-large` %: what fresh data adds is fidelity to *this* teacher.

# %% mystnb={"figure": {"caption": "Test agreement against the amount of distillation data, self-distillation (m = 1), with the independent-student baseline. More data brings the student closer to its own teacher; the distance to 100 is the fidelity gap. Points are means over trials, bands 95 % t-intervals.", "name": "fig-gap"}, "image": {"alt": "Line chart: agreement with the student's own teacher rises with data while agreement with an unseen teacher stays flat.", "width": "95%"}} tags=["hide-input", "nbval-ignore-output"]
x = np.array(FACTORS)


def against_data(ax, m, metric, label, key):
    figures.line(ax, x, 100 * r.table([("size", m, f) for f in FACTORS], metric), label, key)


def data_axis(ax, ylabel):
    ax.set_xscale("log", base=2)
    ax.set_xticks(x, [f"x{f}" for f in x])
    ax.set(xlabel="distillation inputs (multiples of the teacher's training set)", ylabel=ylabel)


fig, ax = plt.subplots()
data_axis(ax, "test agreement (%)")
against_data(ax, 1, "agreement", "own teacher", "m=1")
against_data(ax, 1, "independent_agreement", "unseen teacher", "independent")
plt.show()

# %% [markdown]
# An ensemble is easier to match: at x33 the agreement is {glue:text}`agree-3` % with three members and
# {glue:text}`agree-5` % with five. {numref}`fig-gap-ensembles` shows how, and that the baseline rises as well: part of
# that ease is not fidelity but the ensemble's being a smoother, more generic function.

# %% mystnb={"figure": {"caption": "Left: test agreement for teachers of 1, 3 and 5 members (solid) and the independent-student baseline of each (grey, by m). Right: predictive KL. Points are means over trials, bands 95 % t-intervals.", "name": "fig-gap-ensembles"}, "image": {"alt": "Two line charts: agreement rises and KL falls with data, more so for larger ensembles.", "width": "95%"}} tags=["hide-input", "nbval-ignore-output"]
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6))
for m in gap.ENSEMBLES:
    against_data(left, m, "agreement", f"m = {m}", f"m={m}")
    against_data(left, m, "independent_agreement", f"unseen, m = {m}", "independent")
    against_data(right, m, "kl", f"m = {m}", f"m={m}")
data_axis(left, "test agreement (%)")
data_axis(right, "predictive KL (0.01 nats)")
for ax in (left, right):
    ax.set_xlabel("distillation inputs")
plt.show()

# %% [markdown]
# ## An easy task
#
# The paper's MNIST task is easy for a reason that one can copy: hardly anything varies but the class. The easy
# variant here takes away what makes MNIST-1D hard, the digit's place in the signal (translation by at most
# one sample), its shear and most of the correlated noise around it; scale and iid noise stay. The teacher
# sees only 200 signals ({glue:text}`easy-teacher` % on the test set), the student up to 165 times as many.

# %% mystnb={"figure": {"caption": "The easy task: test agreement with the own and an unseen teacher. The dotted line is the 99 % of claim F1. Points are means over trials, bands 95 % t-intervals.", "name": "fig-easy"}, "image": {"alt": "Line chart: agreement on the easy task against data, near the 99 percent line.", "width": "95%"}} tags=["hide-input", "nbval-ignore-output"]
fig, ax = plt.subplots()
easy = np.array(gap.EASY_FACTORS)
for metric, label, key in (("agreement", "own teacher", "m=1"), ("independent_agreement", "unseen", "independent")):
    figures.line(ax, easy, 100 * r.table([("easy", f) for f in easy], metric), label, key)
ax.axhline(99, color="black", linestyle=":")
ax.set_xscale("log")
ax.set_xticks(easy, [f"x{f}" for f in easy])
ax.minorticks_off()
ax.set(xlabel="distillation inputs (multiples of 200)", ylabel="test agreement (%)")
plt.show()

# %% [markdown]
# ## The same on real MNIST
#
# The paper's own experiment but for EMNIST, whose place random affine copies of the images take: LeNet-5, a teacher that
# saw 200 images for 100 epochs, students distilled on all 60,000 training images and on two and four times as
# many, 5,000 batches of 128 in each case: about ten passes over the smallest set, under three over the largest.
# These runs are recorded (`profile=workstation`), not live.

# %% tags=["hide-input"]
from kdlib.compute import recorded
from kdlib.experiments.design import Design, Results

w = Design("workstation")
rows = gap.mnist(w)
records = recorded([s for row in rows.values() for s in row], "workstation")
mnist = Results({name: [records[s] for s in row] for name, row in rows.items()})
mnist_claims = gap.mnist_claims(mnist)
table(("images", "teacher accuracy", "student accuracy", "agreement", "with an unseen teacher", "KL (nats)"), [
    (f"60,000 x {n}", *(say(f"mnist-{n}-{k}", mnist(("mnist", n), k)).text(100) for k in (
        "teacher_accuracy", "accuracy", "agreement", "independent_agreement")),
     say(f"mnist-{n}-kl", mnist(("mnist", n), "kl"), 1, 3).text(1, 3)) for _, n in rows],
    "Real MNIST, LeNet-5: mean and 95 % interval, shares in percent")

# %% tags=["hide-input"]
claim_table(mnist_claims)

# %% tags=["hide-input"]
provenance(mnist)

# %% [markdown]
# ## How to read it
#
# F1 (an easy task): **{glue:text}`verdict-F1`**. F2 (a large gap remains): **{glue:text}`verdict-F2`**. F3 (more
# data, more fidelity): **{glue:text}`verdict-F3`**. F4 (much agreement is generic): **{glue:text}`verdict-F4`**.
# F5 (ensembles are easier, a gap remains): **{glue:text}`verdict-F5`**.
#
# %% [markdown]
# ## The claims, and the paper beside this book
#
# The rules were written before the first run. *Holds* needs the whole interval on the claimed side of the
# threshold, *does not hold* the whole interval on the other; all else is *undecided*.

# %% tags=["hide-input"]
claim_table(claims)

# %% tags=["hide-input"]
comparison(claims)

# %% [markdown]
# ## Change this and predict
#
# - Two trials instead of five: `papermill notebooks/01_fidelity_gap.ipynb out.ipynb -p seeds 2`. Which verdicts
#   become undecided?
# - The same code at toy size: `-p profile smoke`. Why does every interval widen?
#
# ## Limits
#
# Signals of 40 samples and a net of about 5,000 weights: the claims are the paper's, the scale is not. All students
# take the same number of steps, so on x33 a student sees each input about once; whether longer training narrows the gap
# is the next chapter's question. Students of one trial share their foils as they share their teachers.

# %% tags=["hide-input"]
provenance(r)
