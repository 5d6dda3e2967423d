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
# # All claims and verdicts
#
# Every claim of the paper that these runs can test, from the runs themselves. *Holds*: the 95 % interval lies wholly on the
# claimed side of a threshold that was written down before the first run; *does not hold*: wholly on the other side;
# *undecided*: neither.

# %% tags=["parameters", "remove-input"]
profile = "laptop"  # or "smoke"
seeds = None  # None: the profile's own number of trials
workers = 2  # one-thread worker processes

# %% tags=["hide-input"]
from kdlib.chapter import MARK, check_parameters, claim_table, cost, glue, notice, table
from kdlib.experiments import from_records, gap, in_order, verdicts
from kdlib.experiments.design import Design

check_parameters()
notice(Design(profile, seeds))
claims = in_order(verdicts(profile, seeds, workers, records=False))

# %% tags=["remove-input"]
for verdict in MARK:
    glue(f"count-{verdict}", str(sum(c.verdict == verdict for c in claims)), display=False)

# %% [markdown]
# On MNIST-1D, **{glue:text}`count-holds`** claims hold, **{glue:text}`count-does not hold`** do not, and
# **{glue:text}`count-undecided`** are undecided.

# %% tags=["remove-input"]
table(("claim", "statement", "source", "verdict"),
      [(c.id, c.statement, c.source, f"{MARK[c.verdict]} {c.verdict}") for c in claims], "Verdicts on MNIST-1D")

# %% [markdown]
# ## The statistics behind them
#
# A claim holds if all its statistics do, and does not hold if one of them does not. The last column says how many trials
# would decide an undecided statistic if its mean and its spread stayed what they are.

# %% tags=["remove-input"]
claim_table(claims, "MNIST-1D")

# %% [markdown]
# ## On real MNIST (recorded)

# %% tags=["remove-input"]
mnist = from_records(gap.mnist(Design("workstation")), "workstation")
claim_table([gap.f1(mnist, list(mnist.rows), "MNIST")], "Real MNIST")

# %% [markdown]
# The claims A1 to A4 (capacity, architecture, scale, text) need real data sets that these four chapters do not use.
#
# ## What it cost
#
# Runs that several chapters share are counted in each.

# %% tags=["remove-input"]
cost(profile, seeds, workers)
