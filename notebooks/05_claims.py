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
# and on MNIST-1D, live. *Holds*: the 95 % interval lies wholly on the claimed side of a threshold that was written down before
# the first run; *does not hold*: wholly on the other side; *undecided*: neither. Where a claim has no verdict, the
# table says why.

# %% tags=["parameters", "remove-input"]
profile = "laptop"  # or "smoke"
seeds = None  # None: the profile's own number of trials
workers = 2  # one-thread worker processes

# %% tags=["hide-input"]
from kdlib.chapter import MARK, check_parameters, claim_table, cost, glue, notice, table
from kdlib.experiments import so_far, standing
from kdlib.experiments.design import Design
from kdlib.paper import FOUND
from kdlib.stats import Claim, estimate

check_parameters()
notice(Design(profile, seeds))
here = standing(profile, seeds, workers, records=False)
there = standing("workstation")

# %% tags=["remove-input"]
for name, standings in (("here", here), ("there", there)):
    claims = [c for c in standings.values() if isinstance(c, Claim)]
    glue(f"{name}-tested", str(len(claims)), display=False)
    for verdict in MARK:
        glue(f"{name}-{verdict}", str(sum(c.verdict == verdict for c in claims)), display=False)
both = [(here[c], there[c]) for c in FOUND if isinstance(here[c], Claim) and isinstance(there[c], Claim)]
glue("both", str(len(both)), display=False)
glue("same", str(sum(a.verdict == b.verdict for a, b in both)), display=False)
digits = so_far("01_fidelity_gap", "workstation")(("mnist", 1), "teacher_accuracy")
glue("mnist-teacher", estimate(digits).text(100), display=False)

# %% [markdown]
# On MNIST-1D **{glue:text}`here-holds`** of {glue:text}`here-tested` claims hold, **{glue:text}`here-does not hold`** do
# not, and **{glue:text}`here-undecided`** are undecided. On real data **{glue:text}`there-holds`** of
# {glue:text}`there-tested` hold, **{glue:text}`there-does not hold`** do not, and **{glue:text}`there-undecided`** are
# undecided. {glue:text}`both` claims have a verdict on both; {glue:text}`same` have the same one.

# %% tags=["remove-input"]
def verdict(claim):
    return f"{MARK[claim.verdict]} {claim.verdict}" if isinstance(claim, Claim) else claim


def statement(name):
    claim = next((c for c in (here[name], there[name]) if isinstance(c, Claim)), None)
    return claim.statement if claim else "The gap is there at scale"


table(("claim", "statement", "the paper found", "real data (recorded)", "MNIST-1D (live)"),
      [(name, statement(name), FOUND[name], verdict(there[name]), verdict(here[name])) for name in FOUND],
      "All claims: the paper, real data, MNIST-1D")

# %% [markdown]
# ## Where they differ, and what would decide it
#
# - **F1.** A MNIST teacher of 200 images knows {glue:text}`mnist-teacher` % of the test set, and its student has to be wrong with it; on the easy
#   MNIST-1D nobody errs, and where nobody errs everybody agrees. The MNIST interval contains its threshold: more trials decide it
#   (the table below says how many).
# - **F5 and P1** hold on CIFAR-100 and are undecided on MNIST-1D, where teachers of one trial differ much from those of another and
#   students little, so that differences between them have wide intervals. More trials decide both.
# - **P3** holds on MNIST-1D and is undecided on CIFAR-100: there the student of an ensemble is as accurate as its teacher from the
#   start, so that nothing is left to rise. Teachers of more images, better than their students on the smallest set, would
#   decide it.
# - **P2** is undecided on both, with the same sign on both data sets as in the paper: its accuracy falls or stays by a fraction of a point per
#   doubling, which takes more trials to tell from none.
#
# On both data sets more data brings a self-distilled student closer to its own teacher and not to an unseen one, and brings the
# students of ensembles closer to both: what {doc}`chapter 1 <01_fidelity_gap>` found beyond the paper does not depend on
# the signals of MNIST-1D.
#
# ## The statistics behind them
#
# A claim holds if all its statistics do, and does not hold if one of them does not. The last column says how many trials
# would decide an undecided statistic if its mean and its spread stayed what they are.

# %% tags=["remove-input"]
claim_table([c for c in here.values() if isinstance(c, Claim)], "MNIST-1D")

# %% tags=["remove-input"]
claim_table([c for c in there.values() if isinstance(c, Claim)], "Real data, profile workstation")

# %% [markdown]
# ## What it cost
#
# Runs that several chapters share are counted in each.

# %% tags=["remove-input"]
cost(profile, seeds, workers)
