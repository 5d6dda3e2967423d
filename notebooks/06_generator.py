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
# # The generator
#
# {cite:t}`stanton2021` wanted more distillation data than CIFAR-100 has, and made it: images from a GAN trained on the teacher's own
# training set (its Figure 7 shows some). In their Figure 1 they stand for fresh data. Do they deserve to? Here the teacher sees
# a part of CIFAR-100 only, so that real fresh images are left to compare with. Everything on this page is recorded (profile `workstation`).

# %% tags=["parameters", "remove-input"]
profile = "laptop"  # images are generated at workstation only; every page takes the same parameters
seeds = None
workers = None
# %config InteractiveShell.ast_node_interactivity = "last_expr"

# %% tags=["hide-input"]
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

from kdlib import figures
from kdlib.chapter import claim_table, glue, open_page, panels, provenance, say, table
from kdlib.experiments import so_far
from kdlib.experiments.claims import CLAIMS, P2_GENERATED
from kdlib.stats import estimate

open_page()
r = so_far("01_fidelity_gap", "workstation")
policies = so_far("03_distillation_data", "workstation")
p = r.profile

# %% tags=["remove-input"]
for key, metric in (("fid", "judge_fid"), ("fid-train", "judge_fid_train"), ("is", "judge_is"), ("is-real", "judge_is_real")):
    say(key, r("generator", metric), 1, 1)
for key, metric in (("top", "judge_top"), ("top-real", "judge_top_real")):
    say(key, r("generator", metric))
for key, metric in (("near", "nearest"), ("near-real", "nearest_real")):
    say(key, r("generator", metric), 1, 3)
say("near-difference", r("generator", "nearest") - r("generator", "nearest_real"), 1, 3)
MEMBERS = (1, 3)  # of the paper's Figure 1


def lead(row):
    return r(row, "accuracy") - r(row, "teacher_accuracy")


first = ("size", 1, 1)
say("first", r(first, "agreement"))
say("lead-first", lead(first))
for f in p.gap.factors[1:]:
    fresh, made = ("size", 1, f), ("gan", 1, f)
    for name, row in (("fresh", fresh), ("made", made)):
        say(f"{name}-{f}", r(row, "agreement"))
        say(f"{name}-own-{f}", r.specific(row))
        say(f"{name}-foil-{f}", r.unseen(row))
        say(f"{name}-lead-{f}", lead(row))
        say(f"{name}-lead-change-{f}", lead(row) - lead(first))
    say(f"difference-{f}", r(fresh, "agreement") - r(made, "agreement"))
    say(f"difference-own-{f}", r.specific(fresh) - r.specific(made))
    say(f"difference-accuracy-{f}", r(fresh, "accuracy") - r(made, "accuracy"))
last = p.gap.factors[-1]
say("lead-3", lead(("size", 3, 1)))
for name, kind in (("fresh", "size"), ("made", "gan")):
    say(f"{name}-3", r((kind, 3, last), "agreement"))
    for f in (2, last):
        say(f"{name}-3-lead-{f}", lead((kind, 3, f)))
say("difference-3", r(("size", 3, last), "agreement") - r(("gan", 3, last), "agreement"))
say("difference-3-own", r.specific(("size", 3, last)) - r.specific(("gan", 3, last)))
say("accuracy-3", r(("gan", 3, 2), "accuracy") - r(("size", 3, 1), "accuracy"))
for name, kind in (("fresh", "size"), ("made", "gan")):
    for early, late in pairwise(p.gap.factors[1:]):
        say(f"{name}-step-{late}", r((kind, 1, late), "agreement") - r((kind, 1, early), "agreement"))
say("pool-own", policies.specific(("policy", 5, "fresh", 4.0)) - policies.specific(("policy", 5, "gan", 4.0)))
for metric in ("agreement", "accuracy"):
    fresh, made, base = (policies(("policy", 5, policy, 4.0), metric) for policy in ("fresh", "gan", "baseline"))
    for key, difference in (("pool-fresh", fresh - base), ("pool-gan", made - base), ("pool", fresh - made)):
        say(f"{key}-{metric}", difference)
say("judge", r("teacher", "accuracy"))
r.read.clear()
policies.read.clear()

# %% [markdown]
# ```{admonition} In one box
# :class: tip
# For one teacher, generated images make a student more faithful, and fresh ones more so: at twenty times the teacher's data
# **{glue:text}`made-20` %** agreement against **{glue:text}`fresh-20` %** (with an unseen teacher {glue:text}`made-foil-20` and
# {glue:text}`fresh-foil-20` %). With generated images the student's lead over its teacher goes from {glue:text}`lead-first` to
# **{glue:text}`made-lead-20`** points. With fresh ones it ends at {glue:text}`fresh-lead-20`, and whether it falls is undecided.
# ```
#
# ## The net
#
# The SN-GAN of the paper's appendix: residual generator and discriminator, spectral norm, hinge loss, five
# discriminator steps to one of the generator. Smaller than the paper's (48 filters instead of 256 in the generator, 24 instead of 128 in the discriminator; 3,500
# steps of 32 images instead of 100,000 of 128), and trained on the 2,000 images of 16 x 16 pixels that the trial's teachers see. Samples are drawn in
# evaluation mode. (The official code draws them in training mode, where an image depends on those drawn with it.)

# %% mystnb={"figure": {"caption": "The first 24 samples of the first trial's generator; none was chosen.", "name": "fig-samples"}, "image": {"alt": "Twenty-four small colour pictures of 16 by 16 pixels with the colours and coarse shapes of photographs; no object can be named with certainty.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
figures.sheet(np.array(r.curves("generator", "samples")[0]) / 255, columns=8)
plt.show()

# %% tags=["remove-input"]
provenance(r)

# %% [markdown]
# ## How good are they?
#
# The usual measures, FID and Inception Score, look through the features of an Inception net trained on ImageNet. Where its weights are
# at hand a generator's record has them (`KDLIB_INCEPTION`, see {doc}`../reexecute`). Here they were not, and the judge is the trial's first teacher: *judge-FID* and *judge-IS*
# are the same formulas on its features and classes. They compare sets with each other, and must not be compared with the FID of
# 74.26 and IS of 6.60 that the paper states.

# %% tags=["remove-input"]
r.read.clear()
table(("measure", "generated", "real", "what it says"), [
    ("judge-FID from the test images", *(estimate(r("generator", k)).text(1, 1) for k in ("judge_fid", "judge_fid_train")),
     "0: the same features. Real: of the training images, which the judge knows"),
    ("judge-IS", *(estimate(r("generator", k)).text(1, 1) for k in ("judge_is", "judge_is_real")),
     "up to 100: each image of one class, all classes alike. Real: of the test images"),
    ("judge's mean largest probability (%)", *(estimate(r("generator", k)).text(100) for k in ("judge_top", "judge_top_real")),
     "how sure a teacher is of an image"),
    ("distance to the nearest training image", *(estimate(r("generator", k)).text(1, 3) for k in ("nearest", "nearest_real")),
     "root mean square of pixels in [0, 1]; 0: copies")],
    "Generated and real images: mean and 95 % interval over trials")

# %% tags=["remove-input"]
provenance(r)

# %% [markdown]
# ## Generated against fresh
#
# {numref}`fig-generated` is the paper's Figure 1 for either kind of image: students on the teacher's images and as many more as the axis says, real
# ones or generated ones, for teachers of one member (its 1a) and of three (1b). The paper's own axis ends at x2.

# %% mystnb={"figure": {"caption": "CIFAR-100 (recorded): test agreement (dashed: with an unseen teacher) and accuracy of students as real fresh images or generated ones are added to the teacher's own. Points are means over three trials, bands and bars 95 % t-intervals.", "name": "fig-generated"}, "image": {"alt": "Line charts over the amount of data. With fresh images agreement rises and levels off; with generated ones it rises less and falls again at the largest set, and so does agreement with an unseen teacher, which with fresh images is flat for one member and rises for three. With fresh images the student's accuracy stays above its teacher's for one member and level with it for three; with generated ones it falls below it for both.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
fig, axes = panels(r, 2 * len(MEMBERS), height=3.6)
for i, m in enumerate(MEMBERS):
    above, below = axes[2 * i:2 * i + 2]
    for ax, label in ((above, "test agreement (%)"), (below, "test accuracy (%)")):
        ax.set_xscale("log", base=2)
        ax.set_xticks(p.gap.factors, [f"x{f}" for f in p.gap.factors])
        ax.set(title=f"m = {m}", xlabel=f"distillation inputs (multiples of the teacher's {p.train:,})", ylabel=label)
    for kind, name in (("size", "fresh"), ("gan", "generated")):
        rows = [("size", m, 1), *((kind, m, f) for f in p.gap.factors[1:])]
        figures.line(above, p.gap.factors, 100 * r.table(rows, "agreement"), name, name)
        figures.line(above, p.gap.factors, 100 * r.table(rows, "independent_agreement"), f"unseen, {name}", name, "--")
        figures.line(below, p.gap.factors, 100 * r.table(rows, "accuracy"), name, name)
    figures.line(below, p.gap.factors, 100 * r.table([("size", m, f) for f in p.gap.factors], "teacher_accuracy"), "teacher", "teacher")
plt.show()

# %% tags=["remove-input"]
provenance(r)

# %% tags=["remove-input"]
r.read.clear()
table(("m", "inputs", "agreement, fresh", "agreement, generated", "fresh − generated", "with an unseen teacher, generated"), [
    (m, f"x{f}", estimate(r(("size", m, f), "agreement")).text(100), estimate(r(("gan", m, f), "agreement")).text(100),
     estimate(r(("size", m, f), "agreement") - r(("gan", m, f), "agreement")).text(100),
     estimate(r.unseen(("gan", m, f))).text(100)) for m in MEMBERS for f in p.gap.factors[1:]],
    "Test agreement in percent: mean and 95 % interval over trials, differences within trials")

# %% tags=["remove-input"]
provenance(r)

# %% [markdown]
# Generated images help at first. At m = 1 agreement goes from {glue:text}`first` % on the teacher's own images to {glue:text}`made-2` %
# with as many generated ones added, and to {glue:text}`fresh-2` % with fresh ones. From x2 to x5 fresh images add another
# {glue:text}`fresh-step-5` points; what generated ones add is not settled ({glue:text}`made-step-5`), and from x5 to x20 agreement changes by
# {glue:text}`made-step-20` with them. Agreement with an *unseen* teacher falls over that stretch as well, so that what belongs to the own
# teacher stays where it was, in the mean ({glue:text}`made-own-5` points at x5, {glue:text}`made-own-20` at x20).
#
# Fresh images lead by {glue:text}`difference-2` points at x2, {glue:text}`difference-5` at x5 and {glue:text}`difference-20` at x20, where nineteen of
# twenty inputs are not the teacher's own. Of the last, {glue:text}`difference-own-20` belong to the own teacher; the rest is a difference in what the
# students share with any teacher of this task.
#
# With a teacher of three it is the same: at x20 {glue:text}`made-3` % with generated images and {glue:text}`fresh-3` % with fresh ones, a difference
# of {glue:text}`difference-3` points, of which {glue:text}`difference-3-own` belong to the own ensemble.
#
# ## The lead, with either kind of image
#
# The paper's Figure 1a has the student's accuracy fall toward its teacher's as GAN images raise its agreement, and takes that for a case of
# fidelity and generalisation at odds. Claim P2 tests that on fresh images ({doc}`chapter 4 <04_paradox>`). Here is the same statistic, with the same rule, on
# either kind of image. Its verdict is "{glue:text}`P2-fresh`" on fresh and "**{glue:text}`P2-made`**" on generated ones.

# %% tags=["remove-input"]
r.read.clear()
on_fresh, on_made = CLAIMS["P2"].on(r), P2_GENERATED.on(r)
glue("P2-fresh", on_fresh.verdict, display=False)
glue("P2-made", on_made.verdict, display=False)
claim_table([on_fresh, on_made], "P2 on fresh and on generated images")

# %% tags=["remove-input"]
provenance(r)

# %% [markdown]
# With generated images the lead starts at {glue:text}`lead-first` points and is {glue:text}`made-lead-2`, {glue:text}`made-lead-5` and
# {glue:text}`made-lead-20` at x2, x5 and x20: the student does not stop at its teacher's accuracy but falls below it. With fresh images it is
# {glue:text}`fresh-lead-2`, {glue:text}`fresh-lead-5` and {glue:text}`fresh-lead-20`, at a *higher* agreement. So of the change by x20,
# {glue:text}`made-lead-change-20` points with generated images and {glue:text}`fresh-lead-change-20` with fresh ones, the difference is not the
# price of fidelity: the student that keeps its lead is the more faithful one. Whether fidelity costs the rest is open (P2 on fresh images:
# {glue:text}`P2-fresh`). Nor do agreement and accuracy change places step by step: agreement gains most from x1 to x2, accuracy loses
# most from x5 to x20, where agreement falls too. More likely the student pays for inputs that are less and less those on which it is tested.
#
# The fall of the self-distilled student below its teacher lies beyond the paper's axis. At x2, where its Figure 1 ends, the two kinds of image differ by {glue:text}`difference-2` points of
# agreement and {glue:text}`difference-accuracy-2` of accuracy (at x5 {glue:text}`difference-accuracy-5`, at x20
# {glue:text}`difference-accuracy-20`); the paper's student is down at its teacher's accuracy there, ours {glue:text}`made-lead-2` points above. So these
# runs do not explain that figure. They say that a sweep over generated images alone cannot tell the price of fidelity from that of
# the images. (The paper's Figure 4 adds real unseen images, once, to half of a training set, and both fidelity and accuracy rise;
# it does not set the two kinds side by side.)
#
# The paper's Figure 1b, a teacher of three, has fidelity and accuracy rise together as GAN images are added. Here the student of three begins at its
# teacher's accuracy ({glue:text}`lead-3` points) and falls below it with generated images, to {glue:text}`made-3-lead-2` at x2 and
# {glue:text}`made-3-lead-20` at x20 (with fresh ones {glue:text}`fresh-3-lead-20`). From x1 to x2, the paper's stretch, its accuracy changes by
# {glue:text}`accuracy-3` points. A better generator may lift it, as in the paper; with this one no rise is to be seen.
#
# ## As an augmentation
#
# In {doc}`chapter 3 <03_distillation_data>` one input in five is replaced, at m = 5 and τ = 4. There neither kind changes agreement by anything that three trials
# resolve: generated images {glue:text}`pool-gan-agreement` points against crops and flips alone at the same temperature, fresh ones
# {glue:text}`pool-fresh-agreement`. Fresh less generated is {glue:text}`pool-agreement` points of agreement, {glue:text}`pool-own` above an unseen
# ensemble, and {glue:text}`pool-accuracy` of accuracy.
#
# ## How to read it
#
# The samples have the colours and textures of photographs and are, in the mean, not copies: their distance to the nearest training image differs from
# that of test images by {glue:text}`near-difference`, of {glue:text}`near-real`. They are not real ones either. The judge is less sure of
# them, {glue:text}`top` % in the mean against {glue:text}`top-real` %, and its judge-IS is lower, {glue:text}`is` against {glue:text}`is-real`;
# whether they are also less varied, that score does not say. Their judge-FID from the test images is {glue:text}`fid`; that of the
# training images, which the judge was itself trained on, is {glue:text}`fid-train`.
#
# For distillation, added in bulk, such images help a little and cannot stand for fresh ones; as one input in five the two cannot be told
# apart here. Of two images equally far from the training set, one may tell much more than the other about what the teacher says on the test
# set. Where a study of fidelity adds generated data, the amount of data and its distribution vary together, and the effect of neither can be
# read from it alone.
#
# ## Change this and predict
#
# - In `kdlib/experiments/profiles/workstation.py` let `workstation`'s generator train for 350 steps. How much agreement does a worse generator cost, and
#   how much of the lead?
# - Distil on generated images *only* (a policy that this book does not have). Is the teacher's own data needed at all?
#
# ## Limits
#
# One size of generator, trained on 2,000 images; the paper's sees 50,000. The judge itself knows only {glue:text}`judge` % of the test
# set, so that its features are modest ones. Three trials. A generator of the paper's size, trained on 25 times as many images, makes better
# ones, and the fall that it causes may be smaller.
