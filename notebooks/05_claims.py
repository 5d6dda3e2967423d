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
# # All claims and verdicts
#
# Every claim of the paper that these runs can test, from the runs themselves. *Holds*: the 95 % interval lies wholly on the
# claimed side of a threshold that was written down before the first run; *does not hold*: wholly on the other side;
# *undecided*: neither.

# %% tags=["parameters", "hide-input"]
profile = "laptop"  # or "smoke"
seeds = None  # None: the profile's own number of trials
workers = 2  # one-thread worker processes

# %% tags=["hide-input"]
from kdlib.chapter import MARK, claim_table, glue, table
from kdlib.experiments import verdicts

claims = verdicts(profile, workers, from_records=False)
for verdict in MARK:
    glue(f"count-{verdict}", str(sum(c.verdict == verdict for c in claims)), display=False)

# %% [markdown]
# On MNIST-1D, **{glue:text}`count-holds`** claims hold, **{glue:text}`count-does not hold`** do not, and
# **{glue:text}`count-undecided`** are undecided.

# %% tags=["hide-input"]
table(("claim", "statement", "source", "verdict"),
      [(c.id, c.statement, c.source, f"{MARK[c.verdict]} {c.verdict}") for c in claims], "Verdicts on MNIST-1D")

# %% [markdown]
# ## The statistics behind them

# %% tags=["hide-input"]
claim_table(claims)

# %% [markdown]
# ## On real MNIST (recorded)

# %% tags=["hide-input"]
claim_table(verdicts("workstation"))

# %% [markdown]
# The claims A1 to A4 (capacity, architecture, scale, text) need real data sets that these four chapters do not use.
