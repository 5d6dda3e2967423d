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
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Does Knowledge Distillation Really Work?

# %% tags=["parameters", "remove-input"]
profile = "laptop"  # this page shows committed records, whatever is trained; every page takes the same parameters
seeds = None
workers = None
# %config InteractiveShell.ast_node_interactivity = "last_expr"

# %% tags=["remove-input"]
from functools import partial

import matplotlib.pyplot as plt

from kdlib import figures
from kdlib.chapter import STAYS, everywhere, follows, glue, judging, open_page, place, say, states, tally
from kdlib.evidence import evidence
from kdlib.experiments import so_far
from kdlib.experiments.claims import near_over_longest, without_decay
from kdlib.experiments.profiles import REAL, REGIME

open_page(shows="committed records")
signals, images = so_far("01_fidelity_gap", judging()), so_far("01_fidelity_gap", REAL)
regime, faithful = so_far("10_halves", REGIME), ("tau", 1, 4.0)  # the most faithful of the paper's students of one teacher
largest = signals.profile.fidelity_gap.factors[-1]
glue("signals-factor", f"{largest:g}", display=False)
glue("images-factor", f"{images.profile.fidelity_gap.factors[-1]:g}", display=False)
for name, r, row, told in (("signals", signals, ("size", 1, largest), ("gap", "own", "unseen")),
                           ("regime", regime, faithful, ("right", "gap", "own", "unseen", "room")),
                           ("images", images, ("size", 1, images.profile.fidelity_gap.factors[-1]), ("right", "gap"))):
    values = {"gap": r.gap, "unseen": r.unseen, "room": r.room, "own": partial(r, metric="agreement"), "right": partial(r, metric="teacher_accuracy")}
    for what in told:
        say(f"{name}-{what}", partial(values[what], row))
optimized = [so_far("02_optimization", r.profile.name) for r in (signals, images)]
patient, ahead = without_decay(0), {}
for metric in ("train_agreement", "agreement"):
    say(f"patient-{metric}", lambda metric=metric: optimized[1](patient(optimized[1]), metric))
    ahead[metric] = {place(r): partial(near_over_longest(metric), r) for r in optimized}
glue("longest", f"{patient(optimized[1])[-1]:g}", display=False)
follows("fits", ahead["train_agreement"], "better", "worse", "neither clearly better nor worse")
follows("ahead", ahead["agreement"], "{} points more often", "{} points less often", "as often, as far as these trials tell,")
say("signals-longer", lambda: signals.most(lambda r: r.gap("longer")))
states("01_fidelity_gap", signals, {"fills": ("F2", 0, "less than half, {} %,", "more than half, {} %,",
                                              "about half, {} %,"),
                                    "agreement": ("F3", 0, "rises", "falls", STAYS),
                                    "accuracy": ("P2", 0, "shrinks", "grows", STAYS)})

# %% [markdown]
# A student net is trained to imitate a teacher, and usually generalizes well. Does it become *like* its teacher?
# {cite:t}`stanton2021` asked; this book runs their experiments again, and every number in it comes from a run.
#
# 1. **Not wholly: a gap stays.** A student of its teacher's own architecture could copy it exactly. With {glue:text}`signals-factor`
#    times the teacher's data it still answers otherwise on **{glue:text}`signals-gap` %** of new signals, and on {glue:text}`signals-longer` % when
#    trained ten times longer. On photographs, with a net of the paper's, the half of its set that the teacher learned from and fewer epochs
#    ({doc}`10_halves`), a teacher is right on {glue:text}`regime-right` % and the gap **{glue:text}`regime-gap` %**. On small ones (a teacher is right on
#    {glue:text}`images-right` %), with {glue:text}`images-factor` times the teacher's, it is {glue:text}`images-gap` %.
# 2. **Agreement alone misleads.** A teacher that the student never saw agrees with it on {glue:text}`signals-unseen` % of the
#    signals, its own on {glue:text}`signals-own` %. Of the room above the first the student fills {glue:text}`fills`.
#    In the paper's regime these are {glue:text}`regime-unseen` and {glue:text}`regime-own` %. There the student fills {glue:text}`regime-room` % of the room.
# 3. **Optimization is one reason, not all.** Trained {glue:text}`longest` times as long, without weight decay, a student agrees with its teacher on
#    {glue:text}`patient-train_agreement` % of the photographs that it learned from, on {glue:text}`patient-agreement` % of new ones.
#    One that *starts* near its teacher, and is trained no longer than usual, fits {glue:text}`fits`. On new ones it agrees {glue:text}`ahead`.
# 4. **Fidelity and accuracy are two things.** As data grow, agreement {glue:text}`agreement`. The
#    student's lead over its teacher in accuracy {glue:text}`accuracy`.

# %% mystnb={"figure": {"caption": "How far a student gets. Cross: agreement of a student with a teacher that it never saw, about what nets trained alike share without having learned from each other. Square: with its own teacher. The shaded rest of the way to 100 % is the fidelity gap. Means over trials with 95 % intervals.", "name": "fig-answer"}, "image": {"alt": "For signals and for photographs, with little and with much data, and in the paper's own regime where that is recorded: a cross for the unseen teacher, further right a square for the own teacher, and a shaded band from there to 100 percent, the gap, which stays wide.", "width": "100%"}} tags=["remove-input", "nbval-ignore-output"]
def ways(title, r, conditions):
    """Those of the conditions, {text: row}, that are recorded, for the figure."""
    r.forget()
    return [(f"{title}, on {text}", 100 * r.unseen(row), 100 * r(row, "agreement")) for text, row in conditions.items() if row in r.rows]


def little_and_much(r):
    """The least and the largest amount of data."""
    least, *_, most = r.profile.fidelity_gap.factors
    return {"its teacher's data" if factor == 1 else f"{factor:g} times its teacher's data": ("size", 1, factor) for factor in (least, most)}


figures.ways(ways("MNIST-1D signals", signals, little_and_much(signals))
             + ways("CIFAR-100 in the paper's regime", regime, {"its teacher's half": faithful})
             + ways("CIFAR-100 at 16 pixels", images, little_and_much(images)))
plt.show()

# %% tags=["remove-input"]
evidence("fig-answer", signals, regime, images)

# %% [markdown]
# ## How the paper's claims stand
#
# A claim *holds* where the 95 % intervals of all its statistics lie on the claimed side of their thresholds; it *does not hold*
# where one lies on the other side (its p counts as often as the claim has statistics); else it is *undecided*. For MNIST-1D all
# thresholds were written down before the trials that they judge. On real data some rules were changed when its trials had been seen. In the
# paper's regime the claims that it reaches are judged by rules of their own, written down before its first student.
# {doc}`Every claim, with its intervals <07_claims>`.

# %% tags=["remove-input"]
tally(everywhere())

# %% [markdown]
# ## Three ways in
#
# ::::{grid} 1 1 3 3
# :gutter: 2
#
# :::{grid-item-card} Two minutes
# {doc}`What replicated <07_claims>`: a card for each claim, its interval, its threshold, its figures.
# :::
#
# :::{grid-item-card} An hour
# {doc}`The fidelity gap <01_fidelity_gap>` and the chapters after it: a finding each. Before them, {doc}`../how_to_read`.
# :::
#
# :::{grid-item-card} Run it
# {doc}`../reexecute`: some seven minutes on two cores, no GPU. {doc}`../own_networks`: the same questions to your own networks.
# :::
# ::::
#
# ## What the nets see
#
# ```{figure} ../_static/inputs.svg
# :name: fig-inputs
# :width: 100%
# :alt: Five signals of MNIST-1D, wavy lines of the classes 0 to 4, five photographs of CIFAR-100, a bicycle, a lion, an orange, a palm tree and a rocket, and the same photographs at 16 by 16 pixels.
#
# An input of each of five classes. MNIST-1D {cite:p}`greydanus2024` is a generator: it draws new signals without end. CIFAR-100
# {cite:p}`krizhevsky2009` is the paper's own data; many runs here take it at 16 by 16 pixels, which are trained on a laptop.
# ```
# <p class="provenance">a training input of each class, drawn by <code>python -m kdlib.examples</code>, which needs CIFAR-100</p>
#
# ## Terms in one picture
#
# ```{figure} ../_static/schematic.svg
# :name: fig-schematic
# :width: 100%
# :alt: Data go to a teacher, an unseen teacher trained alike, and a student. The student learns from the teacher's probabilities only. Both teachers are compared with the student on new inputs.
#
# A student is trained on its teacher's probabilities, without labels. On new inputs it is compared with that teacher, which
# is fidelity, and with an *unseen* one, trained in the same way on the same data, from which it never learned.
# ```
# <p class="provenance">a drawing; the terms are those of the glossary</p>
#
# A student with logits $z_s$ learns from a teacher's logits $z_t$ by the distillation loss of {cite:t}`hinton2015`; $\sigma$ is
# the softmax, $\tau$ the {term}`temperature`, $y$ the label, of which {term}`α` is the weight:
#
# ```{math}
# :label: eq-loss
# L = \alpha\, L_{\mathrm{NLL}}(z_s, y) + (1 - \alpha)\, L_{\mathrm{KD}}
# ```
#
# ```{math}
# :label: eq-distillation
# L_{\mathrm{KD}} = -\tau^2 \sum_{j} \sigma_j(z_t / \tau) \log \sigma_j(z_s / \tau)
# ```
#
# {term}`Fidelity <fidelity>` is measured on the $n$ inputs of a test set, as top-1 {term}`agreement` and as {term}`predictive KL`:
#
# ```{math}
# :label: eq-agreement
# \mathrm{Agreement} = \frac{1}{n} \sum_{i=1}^{n} \mathbb{1}\big[\mathrm{arg\,max}_j z_{s,j}(x_i) = \mathrm{arg\,max}_j z_{t,j}(x_i)\big]
# ```
#
# ```{math}
# :label: eq-kl
# \mathrm{KL} = \frac{1}{n} \sum_{i=1}^{n} \mathrm{KL}\big(\hat p_t(y \mid x_i)\, \|\, \hat p_s(y \mid x_i)\big)
# ```
#
# ## Cite
#
# The paper: {cite:t}`stanton2021`, [arXiv:2106.05945](https://arxiv.org/abs/2106.05945), with
# [its code](https://github.com/samuelstanton/gnosis). This book: `CITATION.cff` in its repository, or
#
# ```bibtex
# @misc{kdlib2026,
#   title  = {Does Knowledge Distillation Really Work? The paper, re-executed},
#   author = {{the kdlib authors}},
#   year   = {2026},
#   note   = {A Jupyter Book and the library kdlib}
# }
# ```
