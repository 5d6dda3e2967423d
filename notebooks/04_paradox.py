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
# # The paradox
#
# A student that beats its teacher cannot be a copy of it. Does it lose its {term}`lead` as it becomes more faithful?

# %% tags=["parameters", "remove-input"]
profile = "laptop"  # or "smoke"
seeds = None  # None: the profile's own number of trials
workers = None  # one-thread worker processes; None: one per core
# %config InteractiveShell.ast_node_interactivity = "last_expr"

# %% tags=["hide-input"]
from collections import defaultdict

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
    trials_shown,
    verdicts,
    your_run,
)
from kdlib.evidence import evidence
from kdlib.experiments import paradox, so_far
from kdlib.experiments.profiles import REAL, VERDICTS

d, r = open_chapter("04_paradox", profile, seeds, workers)
cifar = so_far("04_paradox", "workstation")

# %% mystnb={"figure": {"caption": "Signals: student accuracy less its teacher's, against test agreement, as the distillation data grow from x1 on. Grey crosses: the same students with an unseen teacher. Above the line the student beats its teacher.", "name": "fig-paradox"}, "image": {"alt": "Three scatter plots on MNIST-1D for teachers of 1, 3 and 5 members: the student's lead over its teacher against test agreement, a point for each amount of data.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output", "signals"]
def leads(r, axes):
    for ax, m in zip(axes, paradox.ENSEMBLES, strict=True):
        runs = [("size", m, f) for f in r.profile.fidelity_gap.factors]
        gain = 100 * (r.table(runs, "accuracy") - r.table(runs, "teacher_accuracy"))
        ends = [f"x{f:g}" if f in (r.profile.fidelity_gap.factors[0], r.profile.fidelity_gap.factors[-1]) else "" for f in r.profile.fidelity_gap.factors]
        figures.scatter(ax, 100 * r.table(runs, "unseen_agreement"), gain, [""] * len(runs), "unseen", joined=True)
        figures.scatter(ax, 100 * r.table(runs, "agreement"), gain, ends, f"m={m}", joined=True)
        ax.axhline(0, color="black", linewidth=0.8)
        ax.set(title=f"m = {m}", xlabel="test agreement (%)", ylabel="lead over the teacher (points)")
    low = min(ax.get_xlim()[0] for ax in axes)  # the same in all three, so that they can be compared
    sides = [ax.get_ylim() for ax in axes]
    for ax in axes:
        ax.set(xlim=(low, 100), ylim=(min(a for a, _ in sides), max(b for _, b in sides)))
        figures.shade_gap(ax)


_ = drawn(leads, r, 3, 2.7)

# %% tags=["remove-input", "signals"]
evidence("fig-paradox", r)

# %% mystnb={"figure": {"caption": "CIFAR-100, recorded: the same.", "name": "fig-paradox-cifar"}, "image": {"alt": "Three scatter plots on CIFAR-100 for teachers of 1, 3 and 5 members: the student's lead over its teacher against test agreement, a point for each amount of data.", "width": "100%"}} tags=["remove-input", "nbval-ignore-output", "images"]
_ = drawn(leads, cifar, 3, 2.7)

# %% tags=["remove-input", "images"]
evidence("fig-paradox-cifar", cifar)

# %% tags=["remove-input"]
def lead(r, row):
    return r(row, "accuracy") - r(row, "teacher_accuracy")


both, leading = defaultdict(dict), defaultdict(dict)  # by what is said: where it is seen


def tell(key, where, of):
    last, most = of.profile.fidelity_gap.factors[-1], of.profile.paradox.members[-1]
    glue(f"{key}most", str(most), display=False)
    say(f"{key}lead-1-last", of.most(lambda r: lead(r, ("size", 1, last))))
    one, many = ("members", 1), ("members", most)
    both["members"][where] = of.most(lambda r: r(many, "agreement") - r(one, "agreement"))
    both["members-unseen"][where] = of.most(lambda r: r.unseen(many) - r.unseen(one))
    both["members-accuracy"][where] = of.most(lambda r: r(many, "accuracy") - r(one, "accuracy"))
    both["members-teacher"][where] = of.most(lambda r: r(many, "teacher_accuracy") - r(one, "teacher_accuracy"))
    say(f"{key}members-own-1", of.most(lambda r: r.specific(one)))
    say(f"{key}members-own", of.most(lambda r: r.specific(many)))
    for name, pair in {"-unseen": ("unseen_agreement", "ece"), "-accuracy": ("agreement", "accuracy")}.items():
        say(f"{key}rank{name}", of.most(lambda r, pair=pair: paradox.rank_correlation(r, *pair)), 1, 2, 1)
    say(f"{key}rank-1", of.most(lambda r: paradox.rank_correlation(r, "agreement", "ece", 1.0)), 1, 2, 1)
    glue(f"{key}recipes", str(len(of.profile.distillation_data.recipes)), display=False)
    for m, metric in ((1, "accuracy"), (5, "ece")):
        both[f"alpha-{metric}"][where] = of.most(
            lambda r, m=m, metric=metric: r(("alpha", m, 0.7), metric) - r(("alpha", m, 0.0), metric))


tell("", place(r), r)
tell("cifar-", "on photographs", cifar)
for where, of in (("on signals", so_far("02_optimization", VERDICTS)), ("on photographs", so_far("02_optimization", REAL))):
    leading["near"][where] = lambda r=of: lead(r, ("near", 1.0)) - lead(r, ("near", 0.25))
    both["near-agrees"][where] = lambda r=of: r(("near", 1.0), "agreement") - r(("near", 0.25), "agreement")
for key in both:
    moves(key, both[key])
follows("rank-other", r.most(lambda r: paradox.rank_correlation(r, "unseen_agreement", "ece")
                             - paradox.rank_correlation(r, "agreement", "ece")),
        "less than with the own", "more than with the own", "as much as with the own, as far as these trials tell", 1, 2)
for key in leading:
    follows(key, leading[key], "grows by {} points", "shrinks by {} points", STAYS)
HALF = "less than half of it", "more than half of it", "on no clear side of half of it"
APART = "less than ten points ({})", "more than ten points ({})", "{} points, on no clear side of ten,"
states("04_paradox", r, {
    "lead": ("P1", 0, "ahead by {} points", "behind by {} points", "neither ahead nor behind, as far as these trials tell,"),
    "loses": ("P2", 0, "shrinks by {} points", "grows by {} points", STAYS),
    "agrees": ("P2", 1, RISES, FALLS, STAYS), "accuracy-3": ("P3", 0, RISES, FALLS, STAYS),
    "agrees-3": ("P3", 1, RISES, FALLS, STAYS),
    "flat": ("P4", 0, *HALF), "late": ("P4", 1, RISES, FALLS, STAYS),
    "flat-warm": ("P4", 2, *HALF), "late-warm": ("P4", 3, RISES, FALLS, STAYS),
    "rank": ("P6a", 0, "{share}, below zero,", "{share}, above zero,", "{share}, on no clear side of zero,"),
    "rank-kl": ("P6b", 0, "{share}, above zero,", "{share}, below zero,", "{share}, on no clear side of zero,"),
    "calibrated": ("P6c", 0, "less than a point ({signed}) above the least", "{signed} points above the least",
                   "{signed} points above the least, on no clear side of one,"),
    "labels": ("P7", 0, "by {signed} points, no help,", "by {signed} points, a help,", "by {signed} points, on no clear side of one,"),
    "three": ("D5", 0, "{signed} points higher, less than one,", "{signed} points higher, more than one,",
              "{signed} points higher, on no clear side of one,"),
    "apart": ("F4", 1, *APART), "apart-largest": ("F4", 3, *APART), "apart-longer": ("F4", 5, *APART)})
trials_shown(r)

# %% [markdown]
# Beside its teacher a student on the teacher's own data is, in accuracy, **{glue:text}`lead`**. With every doubling of the data this
# lead {glue:text}`loses`. {term}`Agreement <agreement>` {glue:text}`agrees`.
#
# At the largest set the lead is {glue:text}`lead-1-last` points on signals and {glue:text}`cifar-lead-1-last` on photographs. Starts near the teacher are another way to agreement ({doc}`chapter 2 <02_optimization>`). From {term}`λ` = .25 to 1 agreement {glue:text}`near-agrees`. The lead {glue:text}`near`. (A look after the fact; no claim rests on it.)
#
# With a teacher of three, agreement {glue:text}`agrees-3` with every doubling. Accuracy {glue:text}`accuracy-3`. With generated images in the place of fresh ones see
# {doc}`The generator <06_generator>`.
#
# ## More members

# %% mystnb={"figure": {"caption": "Signals, the teacher's own data. Above: test accuracy of teacher and student over the number of members. Below: test agreement with the own ensemble and, dashed, with an unseen one of as many members.", "name": "fig-members"}, "image": {"alt": "Two line charts on MNIST-1D over the number of members: accuracy of teacher and student, agreement with the own and with an unseen ensemble.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output", "signals"]
def members(r, axes):
    above, below = axes
    x, runs = r.profile.paradox.members, [("members", m) for m in r.profile.paradox.members]
    figures.line(above, x, 100 * r.table(runs, "teacher_accuracy"), "teacher")
    figures.line(above, x, 100 * r.table(runs, "accuracy"), "student")
    figures.line(below, x, 100 * r.table(runs, "agreement"), "own teacher", "own")
    figures.line(below, x, 100 * r.table(runs, "unseen_agreement"), "unseen", style="--")
    for ax, label in ((above, "test accuracy (%)"), (below, "test agreement (%)")):
        ax.set(xlabel="members m", ylabel=label, xticks=x)
    figures.shade_gap(below)


_ = drawn(members, r, 2, 2.7)

# %% tags=["remove-input", "signals"]
evidence("fig-members", r)

# %% mystnb={"figure": {"caption": "CIFAR-100, recorded: the same.", "name": "fig-members-cifar"}, "image": {"alt": "Two line charts on CIFAR-100 over the number of members: accuracy of teacher and student, agreement with the own and with an unseen ensemble.", "width": "100%"}} tags=["remove-input", "nbval-ignore-output", "images"]
_ = drawn(members, cifar, 2, 2.7)

# %% tags=["remove-input", "images"]
evidence("fig-members-cifar", cifar)

# %% [markdown]
# From one member to {glue:text}`most` the teacher's accuracy {glue:text}`members-teacher`. Its student's {glue:text}`members-accuracy`.
# Agreement {glue:text}`members`, but that with an *unseen* ensemble {glue:text}`members-unseen`. What is
# {term}`specific <specific agreement>` to the own teacher is {glue:text}`members-own-1` points for one member and
# {glue:text}`members-own` for {glue:text}`most` on signals.
#
# In the paper accuracy is flat past four members while agreement rises. Accuracy changes from one member to four; here what it changes past four is
# {glue:text}`flat`. Agreement past four {glue:text}`late`. At τ = 4 the later change of accuracy is {glue:text}`flat-warm`. Agreement {glue:text}`late-warm`.
#
# In the paper's appendix, at τ = 1, a student of three confident teachers is no more accurate than a student of one. Here its accuracy is {glue:text}`three`.
#
# ## Calibration

# %% mystnb={"figure": {"caption": "Signals: expected calibration error of the student against its agreement with its own teacher of five (above) and with an unseen one (below, grey); a point is one recipe.", "name": "fig-calibration"}, "image": {"alt": "Two scatter plots on MNIST-1D of calibration error against test agreement, with the own and with an unseen teacher: a point for each recipe, a mark for each temperature.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output", "signals"]
def calibration(r, axes):
    for ax, metric, before in zip(axes, ("agreement", "unseen_agreement"), ("", "unseen, "), strict=True):
        for t in (1.0, 4.0):
            runs = [("policy", 5, *cell) for cell in r.profile.distillation_data.recipes if cell[1] == t]
            figures.scatter(ax, 100 * r.table(runs, metric), 100 * r.table(runs, "ece"), [""] * len(runs), f"{before}τ = {t:g}")
        figures.legend(ax, [f"{before}τ = 1", f"{before}τ = 4"])
        ax.set(xlabel="agreement with an unseen ensemble (%)" if before else "test agreement (%)", ylabel="calibration error (points)")
    low = min(ax.get_xlim()[0] for ax in axes)
    for ax in axes:
        ax.set_xlim(low, 100)
    figures.shade_gap(axes[0])


_ = drawn(calibration, r, 2, 2.9)

# %% tags=["remove-input", "signals"]
evidence("fig-calibration", r)

# %% mystnb={"figure": {"caption": "CIFAR-100, recorded: the same.", "name": "fig-calibration-cifar"}, "image": {"alt": "Two scatter plots on CIFAR-100 of calibration error against test agreement, with the own and with an unseen teacher: a point for each recipe, a mark for each temperature.", "width": "100%"}} tags=["remove-input", "nbval-ignore-output", "images"]
_ = drawn(calibration, cifar, 2, 2.9)

# %% tags=["remove-input", "images"]
evidence("fig-calibration-cifar", cifar)

# %% [markdown]
# Over the recipes of {doc}`chapter 3 <03_distillation_data>` ({glue:text}`recipes` of signals, {glue:text}`cifar-recipes` of photographs) the rank correlation of agreement and calibration
# error ({term}`ECE`) is {glue:text}`rank`. That of {term}`predictive KL` and calibration error is {glue:text}`rank-kl`. In the paper the most faithful student is
# *always* the best calibrated; here the calibration error of the most faithful recipe is {glue:text}`calibrated`.
#
# Agreement with an *unseen* ensemble and calibration error correlate by {glue:text}`rank-unseen` on signals, {glue:text}`rank-other`. Only what is specific to the own
# teacher can be owed to imitation. On photographs agreement and calibration error correlate
# by {glue:text}`cifar-rank-1` among recipes at τ = 1. (Looks after the fact; the claim's rule pools the temperatures.) Agreement and accuracy correlate by
# {glue:text}`rank-accuracy` on signals and {glue:text}`cifar-rank-accuracy` on photographs.
#
# ## True labels

# %% mystnb={"figure": {"caption": "Signals: test agreement (above; dashed: unseen teacher) and accuracy (below) against \u03b1, the weight of the true labels.", "name": "fig-alpha"}, "image": {"alt": "Two line charts on MNIST-1D against alpha for teachers of 1, 3 and 5 members: test agreement with the own and, dashed, an unseen teacher, and test accuracy.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output", "signals"]
def labels(r, axes):
    above, below = axes
    for m in paradox.ENSEMBLES:
        runs = [("alpha", m, a) for a in paradox.ALPHAS]
        figures.line(above, paradox.ALPHAS, 100 * r.table(runs, "agreement"), f"m={m}", f"m = {m}")
        figures.line(above, paradox.ALPHAS, 100 * r.table(runs, "unseen_agreement"), f"m={m}", f"unseen, {m}", "--")
        figures.line(below, paradox.ALPHAS, 100 * r.table(runs, "accuracy"), f"m={m}", f"m = {m}")
    above.set(xlabel="α", ylabel="test agreement (%)")
    below.set(xlabel="α", ylabel="test accuracy (%)")
    figures.shade_gap(above)


_ = drawn(labels, r, 2, (3.7, 2.4))

# %% tags=["remove-input", "signals"]
evidence("fig-alpha", r)

# %% mystnb={"figure": {"caption": "CIFAR-100, recorded: the same.", "name": "fig-alpha-cifar"}, "image": {"alt": "Two line charts on CIFAR-100 against alpha for teachers of 1, 3 and 5 members: test agreement with the own and, dashed, an unseen teacher, and test accuracy.", "width": "100%"}} tags=["remove-input", "nbval-ignore-output", "images"]
_ = drawn(labels, cifar, 2, (3.7, 2.4))

# %% tags=["remove-input", "images"]
evidence("fig-alpha-cifar", cifar)

# %% [markdown]
# From {term}`α` = 0 to 1, along a straight line, agreement changes {glue:text}`labels`. From 0 to .7 accuracy in self-distillation {glue:text}`alpha-accuracy`. The calibration error of a student of five
# {glue:text}`alpha-ece`: true labels are all or nothing.
#
# ## What is left of the paradox
#
# In the paper a student that could copy its teacher does not, and to be closer is not always better. Here, with every doubling of the data, the lead
# {glue:text}`loses`; at the largest set it is {glue:text}`lead-1-last` points on signals. How much of an agreement is owed to the own teacher at all? On the
# teacher's own data it is {glue:text}`apart`. That is so of students who have not come far. With the largest set it is {glue:text}`apart-largest`. With ten times
# the steps as well it is {glue:text}`apart-longer`.
#
# ## Verdicts on the paradox

# %% tags=["remove-input"]
verdicts("04_paradox", r)

# %% tags=["remove-input"]
your_run("04_paradox", r)

# %% [markdown]
# ## How accuracy and fidelity were compared
#
# ```{dropdown} What the paper found
# In self-distillation on CIFAR-100 the student starts above the teacher's accuracy and comes down to it as GAN images raise its agreement
# (Fig 1a of {cite:t}`stanton2021`); with a 3-member teacher both rise (Fig 1b). From one member to twelve, agreement keeps rising
# while the student's accuracy is flat past four (Fig 10). Among students of ensembles the most faithful one is the best calibrated
# (Section 7). Mixing in true labels never helps fidelity consistently (Fig 14).
#
# It concludes that knowledge distillation often does not transfer the teacher's function even when it could; that optimization is a key reason;
# that the distillation data decide how close the student comes; and that closer is not always better. Section 3.2 asks how much of an
# agreement any two good nets share; in this book that question is asked at every agreement, train agreement and CKA included.
# ```
#
# ```{dropdown} Method
# The students of the first three chapters, and two sweeps of their own: teachers of 1 to 12 members, and weights α of the true labels from 0
# to .7 (τ = 1, the teacher's own data). The largest teacher has all members of a trial's pool that teach; the *unseen* teacher beside it is built of
# the other twelve. Calibration is the expected calibration error {cite:p}`guo2017`.
# ```
#
# ```{dropdown} Limits
# The teacher's accuracy is bounded by its thousand signals; fresh data could lift a student above it if it had labels, and it has only the
# teacher's. One architecture, one recipe. The correlations of P6a and P6b are over recipes, not over students of one recipe.
# On CIFAR-100 the number of members was not varied at τ = 4, so that P4 cannot hold there.
# ```
#
# ```{dropdown} Change this and predict
# - Which of P1 to P4 would five trials have left open? `kdlib claims P1 P2 P3 P4 --profile laptop` has them.
# - In `kdlib/experiments/profiles/laptop.py` give the teacher 4,000 signals. Does the student's lead grow or vanish?
# ```

# %% tags=["remove-input"]
all_runs("04_paradox", r)
