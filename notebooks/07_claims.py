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
# # What replicated
#
# Every claim of the paper, and where it stands: as the paper printed it, on real data at a size that two CPU cores can train,
# and on MNIST-1D, live. Real data is CIFAR-100, but MNIST for F1 and IMDB for A4. *Holds*: the 95 % interval lies wholly on
# the claimed side of a threshold that was written down before the first run; *does not hold*: wholly on the other side;
# *undecided*: neither. Where a claim has no verdict, the table says why.

# %% tags=["parameters", "remove-input"]
profile = "laptop"  # or "smoke"
seeds = None  # None: the profile's own number of trials
workers = None  # one-thread worker processes; None: one per core

# %% tags=["hide-input"]
from kdlib.chapter import (
    MARK,
    all_claims,
    changed_rules,
    claim_table,
    cost,
    glue,
    notice,
    on_record,
    open_page,
    say,
    trials_of,
)
from kdlib.experiments import CHAPTERS, so_far, standing, trained
from kdlib.experiments.design import Design

open_page()
notice(Design(profile, seeds))
here = standing(profile, seeds, workers, records=False)
there = on_record("workstation")

# %% tags=["remove-input"]
for name, standings in (("here", here), ("there", there)):
    glue(f"{name}-tested", str(sum(claim.tested for claim in standings.values())), display=False)
    for verdict in MARK:
        glue(f"{name}-{verdict}", str(sum(claim.verdict == verdict for claim in standings.values())), display=False)
both = [(a, b) for a, b in zip(here.values(), there.values(), strict=True) if a.tested and b.tested]
glue("both", str(len(both)), display=False)
glue("same", str(sum(a.verdict == b.verdict for a, b in both)), display=False)
sizes, starts = so_far("01_fidelity_gap", "workstation"), so_far("02_optimization", "workstation")
say("brief", starts(("SGD", 1), "agreement"))
say("patient", starts(("SGD", 10), "agreement"))
say("patient-train", starts(("SGD", 10), "train_agreement"))
say("initial", starts(("start", "teacher-initial"), "agreement") - starts(("start", "random"), "agreement"))
say("mnist-teacher", sizes(("mnist", 1), "teacher_accuracy"))
for m, factor in ((3, 1), (5, sizes.profile.gap.factors[-1])):
    say(f"lead-{m}", sizes(("size", m, factor), "accuracy") - sizes(("size", m, factor), "teacher_accuracy"))

# %% [markdown]
# On MNIST-1D **{glue:text}`here-holds`** of {glue:text}`here-tested` claims hold, **{glue:text}`here-does not hold`** do
# not, and **{glue:text}`here-undecided`** are undecided. On real data **{glue:text}`there-holds`** of
# {glue:text}`there-tested` hold, **{glue:text}`there-does not hold`** do not, and **{glue:text}`there-undecided`** are
# undecided. {glue:text}`both` claims have a verdict on both; {glue:text}`same` have the same one.

# %% tags=["remove-input"]
columns = {"MNIST-1D, live": here, "real data, small": there}
if trials_of("signals"):
    columns = {f"MNIST-1D, {trials_of('signals')} trials": on_record("signals")} | columns
all_claims(columns)

# %% [markdown]
# ## Where they differ or are undecided, and what would decide it
#
# - **F1.** A MNIST teacher of 200 images knows {glue:text}`mnist-teacher` % of the test set, and its student has to be wrong with it; on the easy
#   MNIST-1D nobody errs, and where nobody errs everybody agrees. The MNIST interval contains its threshold.
# - **F5, P1 and O5** hold on CIFAR-100 and are undecided on MNIST-1D, where teachers of one trial differ much from those of another and
#   students little, so that differences between them have wide intervals (O5: not every trial has lost its barrier at λ = .375). The
#   table below says what is excluded.
# - **P3** holds on MNIST-1D and is undecided on CIFAR-100: there the student of three starts at its teacher's accuracy in the mean
#   ({glue:text}`lead-3` points) and stays. That nothing is left to rise is not all of it: the student of five does not rise either, and
#   ends at {glue:text}`lead-5`. (With generated images, as in the paper, the student of three falls below its teacher,
#   {doc}`The generator <06_generator>`.) Teachers of more images, better than their students on the smallest set, might decide it.
# - **P2** is undecided on both. The mean change of the student's accuracy per doubling is negative on both, as in the paper, but by little, and
#   both intervals include zero. With *generated* images in the place of fresh ones, as in the paper, it holds on CIFAR-100
#   ({doc}`The generator <06_generator>`); but the two kinds of image part in accuracy at x20 only, far beyond the paper's x2, so that this
#   does not explain the paper's figure.
# - **P4 and P5** are undecided on both. On CIFAR-100 the accuracy past four members is flat in the mean, and its interval reaches a little beyond
#   P4's limits.
#   For P5 the recipes' accuracies lie so close together that which one is the best changes from fold to fold; recipes that part students more, or
#   teachers of more images, would decide it.
# - **P6a** holds on MNIST-1D and is undecided on CIFAR-100. Among the recipes at τ = 1 the correlation is clearly the paper's on both. Pooled
#   over temperatures it stays so on signals; on CIFAR-100 it is not resolved, since τ = 4 makes students more faithful there and leaves them badly
#   calibrated ({doc}`chapter 4 <04_paradox>`). A rule that looks within a temperature would decide it, on other trials than those that suggested it.
# - **D2 and D3** do not hold on MNIST-1D and are undecided on CIFAR-100. On both the plain training set at τ = 1 is the least faithful in the
#   mean, and augmentation lifts it. On signals noise and foreign inputs lift it too; on CIFAR-100 they change nothing that three trials resolve. On
#   CIFAR-100 mixup at τ = 4 leads the paper's recipes in the mean, as there, but the four recipes at τ = 4 cannot be told apart
#   ({doc}`chapter 3 <03_distillation_data>`).
# - **D4** does not hold on MNIST-1D and is undecided on CIFAR-100. That D0 makes the more accurate student holds on both. That D1 makes the more
#   faithful one fails on signals, where it is true above the independent baseline only. On CIFAR-100 it is plainly so at τ = 1
#   ({doc}`chapter 3 <03_distillation_data>`) and open at τ = 4, where the rule looks. (D0 and D1 are here the halves of the data, not claims.)
# - **O3** does not hold on MNIST-1D, whose inputs are fixed in these runs, and holds on CIFAR-100, where they are cropped and flipped anew in every
#   epoch, as in the paper: there ten times the steps raise train agreement to {glue:text}`patient-train` % and, which the paper does not show,
#   test agreement from {glue:text}`brief` to {glue:text}`patient` %. The same sweep on augmented signals would tell whether that is the reason.
# - **O4** does not hold on either: by the earlier rule the change comes earlier than in the paper (as it must, with weights drawn 2.45 times smaller), and train agreement at
#   λ = .375 stays below 99 % on both ({doc}`chapter 2 <02_optimization>`). A finer grid of λ, and a threshold relative to λ = 1, would be
#   needed to speak of suddenness, on new trials.
# - **O6** is undecided on both; on CIFAR-100 the teacher's initial weights do change the function, by
#   {glue:text}`initial` points of agreement, about the one point that the rule allows.
#
# On both data sets more data raises a self-distilled student's agreement with its own teacher, and no change of its agreement with an unseen one
# can be seen (its probabilities do come closer to the unseen teacher's as well); for students of ensembles both agreements rise: what {doc}`chapter 1 <01_fidelity_gap>` found beyond the paper does not depend on
# the signals of MNIST-1D.
#
# ## The statistics behind them
#
# A claim holds if all its statistics do, and does not hold if one of them does not (that one's p then counts as often as there were
# statistics to fail by). *All claims together* is the verdict when they are judged jointly (Holm): of some thirty claims at the
# 5 % level one or two would be decided by chance alone. Of an undecided statistic the last column says what is excluded.

# %% tags=["remove-input"]
judged = trials_of("signals")
claim_table(on_record("signals").values(), f"MNIST-1D, {judged} recorded trials") if judged else None

# %% tags=["remove-input"]
claim_table(here.values(), "MNIST-1D, the live trials of this book")

# %% tags=["remove-input"]
claim_table(there.values(), "Real data, profile workstation")

# %% [markdown]
# ## Rules that changed, and why
#
# The rules of these claims were changed, or the claims added, before trials 100 to 129 ran. Each was held against the paper's
# words; what it was, what was wrong with it, and what follows from either is below.

# %% tags=["remove-input"]
changed_rules({"signals": "MNIST-1D (recorded)", "workstation": "real data (recorded)"})

# %% [markdown]
# ## Where each figure and table of the paper is
#
# | paper | shows | MNIST-1D | real data |
# |---|---|---|---|
# | Fig 1 | fidelity and accuracy over the amount of data | {numref}`fig-gap`, {numref}`fig-gap-ensembles`, {numref}`fig-paradox` | {numref}`fig-gap-cifar`, {numref}`fig-paradox-cifar`; generated images: {numref}`fig-generated` |
# | Fig 2 | an easy task, MNIST | {numref}`fig-easy` | table in {doc}`chapter 1 <01_fidelity_gap>` |
# | Fig 3 | augmentation policies, m = 5 | {numref}`fig-policies` | {numref}`fig-policies-cifar` |
# | Fig 4 | recycled data over m and τ | {numref}`fig-recycling`, {numref}`fig-recycling-tau` | {numref}`fig-recycling-cifar`, {numref}`fig-recycling-tau-cifar` |
# | Fig 5 | agreement on the distillation data | {numref}`fig-train-agreement` | {numref}`fig-train-cifar` |
# | Fig 6a | longer training, SGD and Adam | {numref}`fig-optimizers` | {numref}`fig-optimizers-cifar` |
# | Fig 6b | starts near the teacher | {numref}`fig-lambda`; with the rate scaled {numref}`fig-errata-lambda` | {numref}`fig-lambda-cifar`; {numref}`fig-errata-lambda-cifar` |
# | Fig 6c | the loss between them | {numref}`fig-planes`, {numref}`fig-barrier` | {numref}`fig-planes-cifar`, {numref}`fig-barrier-cifar` |
# | Fig 7 | generated images | none: fresh signals are drawn, not generated | {numref}`fig-samples` |
# | Fig 8 | what the labels say | {numref}`fig-labels` | {numref}`fig-labels-cifar` and table in {doc}`05_scale` |
# | Fig 9 | temperature and m | table in {doc}`chapter 3 <03_distillation_data>` | table in {doc}`chapter 3 <03_distillation_data>`, {numref}`fig-halves` in {doc}`the paper's own regime <10_halves>` |
# | Fig 10 | up to twelve members | {numref}`fig-members` | {numref}`fig-members-cifar` |
# | Fig 11 | policies for m = 1, 3, 5 | {numref}`fig-policies-m` | {numref}`fig-policies-m-cifar` |
# | Fig 12 | capacity | {numref}`fig-capacity` (width) | {numref}`fig-capacity-cifar` (depth) |
# | Fig 13 | another architecture | {numref}`fig-architecture` (perceptron) | {numref}`fig-architecture-cifar` (VGG-11) |
# | Fig 14 | true labels mixed in | {numref}`fig-alpha` | {numref}`fig-alpha-cifar` |
# | Table 1 | the teacher's initial weights | table in {doc}`chapter 2 <02_optimization>` | table in {doc}`chapter 2 <02_optimization>` |
# | Table 2 | text, and photographs at scale | none | IMDB: table in {doc}`05_scale`; ImageNet: planned, profile `paper` |
#
# ## What it cost
#
# Runs that several chapters share are counted in each. Those on real data took {glue:text}`recorded-hours` hours of one core (two ran at a
# time, other work beside them at times), as measured by the runs themselves.

# %% tags=["remove-input"]
cost({name: trained(name, Design(profile, seeds), workers) for name in CHAPTERS}, "MNIST-1D: runs behind each chapter")

# %% tags=["remove-input"]
cost({name: so_far(name, "workstation") for name in CHAPTERS}, "Real data (recorded): runs behind each chapter", "recorded")
