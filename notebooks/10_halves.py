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
# # The paper's own regime
#
# Do the paper's numbers come out where its nets, its data and its recipes are used? One printed grid of {cite:t}`stanton2021` is within
# reach of two CPU cores: ResNet-20 on halves of CIFAR-100, its Figure 9, with the design of its Figure 4. Here each of its cells stands beside
# ours. Every number of ours on this page comes from recorded runs (profile `halves`); rules and targets were written down before the first student was trained
# (`kdlib/experiments/claims.py`, `halves.py`).

# %% tags=["parameters", "remove-input"]
profile = "laptop"  # the runs of this page are of profile halves; every page takes the same parameters
seeds = None
workers = None
# %config InteractiveShell.ast_node_interactivity = "last_expr"

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np

from kdlib import figures
from kdlib.chapter import claim_table, glue, open_page, panels, provenance, table
from kdlib.experiments import CHAPTERS, Design, halves, judged, so_far
from kdlib.experiments.design import NotRecorded
from kdlib.stats import estimate

open_page()
r = so_far("10_halves", "halves")
p, cells = r.profile, r.profile.halves.cells
planned = {spec for row in CHAPTERS["10_halves"].runs(Design("halves")).values() for spec in row}
glue("recorded", f"{len({record.key for row in r.rows.values() for record in row})} of {len(planned)}", display=False)
WAIT = "–"


def shown(values, scale=100, digits=1):
    """An estimate as text; `values` is a function of no arguments."""
    try:
        return estimate(values()).text(scale, digits)
    except NotRecorded:
        return WAIT


# %% [markdown]
# ## Figure 9, cell by cell
#
# {glue:text}`recorded` of the planned runs are recorded so far. A cell with a dash waits for its runs: `kdlib run 10_halves --profile halves` trains what is
# missing. The paper prints one number for each cell; ours are means over three trials with 95 % intervals. *Unseen* is the agreement with the ensembles of the other trials, which were
# trained on the same half and which the student never saw; *specific* is own minus unseen, and *of the room* what that is of 100 % minus unseen.

# %% mystnb={"figure": {"caption": "Figure 9 of the paper and this book's runs: test agreement of a student with its own teacher, and with unseen ones trained on the same half (grey). Diamonds are the paper's cells; ours are means over three trials with 95 % intervals, where they are recorded. The distance from a grey cross to 100 % is what a student could win by copying its teacher.", "name": "fig-halves"}, "image": {"alt": "Dots for four conditions, one and three teachers at temperature 1 and 4, on an axis of agreement from 40 to 100 percent: the paper's agreement as black diamonds, and beside it, where recorded, own agreement and unseen agreement with their intervals.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
figure, (ax,) = panels(r)
x = np.arange(len(cells))


def column(values):
    """[trials, cells], NaN where a cell is not recorded."""
    out = []
    for m, t in cells:
        try:
            out.append(100 * values(("tau", m, t)))
        except NotRecorded:
            out.append(np.full(p.seeds, np.nan))
    return np.stack(out, 1)


figures.points(ax, [f"{m} teacher{'s' * (m > 1)}, τ = {t:g}" for m, t in cells], {
    "paper": np.array([[halves.PAPER[cell][1] for cell in cells]]),
    "own teacher": column(lambda name: r(name, "agreement")), "unseen": column(r.unseen)})
ax.set_xlim(40, 100)
ax.set_xlabel("test agreement (%)")
plt.show()

# %% tags=["remove-input"]
provenance(r)

# %% tags=["hide-input"]
table(("m", "τ", "agreement: paper", "ours", "unseen", "specific", "of the room", "accuracy: paper", "ours"), [
    (m, f"{t:g}", f"{halves.PAPER[m, t][1]:.2f}", *(shown(lambda f=f, name=("tau", m, t): f(name)) for f in (
        lambda name: r(name, "agreement"), r.unseen, r.specific, r.room)),
     f"{halves.PAPER[m, t][0]:.2f}", shown(lambda name=("tau", m, t): r(name, "accuracy"))) for m, t in cells],
    "Figure 9: test agreement and accuracy, percent")

# %% [markdown]
# Its differences are the targets. A target is met where our interval contains the paper's difference; it is missed where it does not, and by how much stands in the interval.

# %% tags=["hide-input"]


def target(one, other, metric, printed):
    try:
        e = estimate(100 * (r(("tau", *one), metric) - r(("tau", *other), metric)))
    except NotRecorded:
        return WAIT, ""
    return e.text(), "met" if e.low <= printed <= e.high else "higher here" if e.low > printed else "lower here"


table(("difference, points", "paper", "ours", "target"), [
    (what, f"{printed:+.2f}", *target(one, other, metric, printed)) for what, one, other, metric, printed in halves.TARGETS],
    "The paper's differences between its cells, and ours")

# %% tags=["remove-input"]
provenance(r)

# %% [markdown]
# ## Figure 4: which half the student sees
#
# A student distilled on D0 sees what its teacher was trained on, one on D1 as many images that the teacher never saw, one on both twice as many (and takes twice the steps).

# %% tags=["hide-input"]
table(("m", "data", "agreement", "unseen", "specific", "KL, nats", "ECE", "accuracy", "train agreement", "in train mode"), [
    (m, name, *(shown(lambda f=f, name=("recycle", name, m, 4.0): f(name)) for f in (
        lambda name: r(name, "agreement"), r.unseen, r.specific)),
     shown(lambda name=("recycle", name, m, 4.0): r(name, "kl"), 1, 3),
     *(shown(lambda metric=metric, name=("recycle", name, m, 4.0): r(name, metric)) for metric in (
         "ece", "accuracy", "train_agreement", "logged_train_agreement")))
    for m in (1, 3) for name in ("D0", "D1", "D0+D1")],
    "Figure 4 and the middle of Figure 5, τ = 4, percent: the official code logs train agreement in train mode")

# %% tags=["remove-input"]
provenance(r)

# %% [markdown]
# ## The claims that this decides

# %% tags=["hide-input"]
claim_table(judged("10_halves", r))

# %% tags=["remove-input"]
provenance(r)

# %% [markdown]
# ## The teachers
#
# They are results too: nine ResNet-20, three for each trial. How long they train was decided by a pilot that is none of them (`kdlib/experiments/profiles/halves.py`, `results/pilot.json`).
# Like those of the paper's Figure 9 they do not fit all of their half.

# %% tags=["hide-input"]
table(("member of each trial", "test accuracy", "accuracy on D0", "ECE"), [
    (i + 1, *(shown(lambda metric=metric, i=i: r(("teacher", i), metric)) for metric in (
        "accuracy", "train_accuracy", "ece"))) for i in range(p.halves.members)],
    "The teachers, percent")

# %% tags=["remove-input"]
provenance(r)

# %% [markdown]
# ## Limits
#
# - Fewer epochs: 30 for a teacher and 45 for a student, where the paper has 200 and 300, and batches of 128 for both.
# - One division into halves, as in the official code: intervals are over weights, order and augmentation, not over divisions. Each trial's ensemble is an unseen teacher of the others,
#   so that the trials' baselines share nets.
# - Three trials: an interval is 2.5 times as wide as the spread between them.
