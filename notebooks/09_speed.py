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
# # How fast it is
#
# Every factor of speed is a factor in what a reader can afford to run again. This page compares three ways of doing the same work on the
# machine that made the records: the loop that most distillation code has, the loop of this book, and the least that the nets
# themselves cost. `make bench` measures it anew.

# %% tags=["parameters", "remove-input"]
profile = "laptop"  # the benchmark has no profiles; every page takes the same parameters
seeds = None
workers = None
# %config InteractiveShell.ast_node_interactivity = "last_expr"

# %% tags=["hide-input"]
import json

import matplotlib.pyplot as plt

from kdlib import figures
from kdlib.chapter import glue, open_page, provenance_of, table
from kdlib.paths import results_dir

open_page()
bench = json.loads((results_dir() / "benchmark.json").read_text())
rows = bench["rows"]

# %% tags=["remove-input"]
def among(net, key):
    """The range of a ratio over a net's rows, as text."""
    values = [r[key] for r in rows if r["net"].startswith(net)]
    return f"{min(values):.1f} to {max(values):.1f}" if key.startswith("ratio") else f"{min(values):.2f} to {max(values):.2f}"


for net in ("cnn1d", "lenet5", "resnet"):
    glue(f"{net}-ratio", among(net, "ratio_to_conventional"), display=False)
    glue(f"{net}-share", among(net, "share_of_bound"), display=False)
shares = [r["share_of_bound"] / r["ratio_to_conventional"] for r in rows if r["net"].startswith("resnet")]
glue("conventional-share", f"{min(shares):.2f} to {max(shares):.2f}", display=False)
compiled = [r["first_step_seconds"]["bound, compiled"] for r in rows if "bound, compiled" in r["first_step_seconds"]]
_ = glue("compile", f"{min(compiled):.0f} to {max(compiled):.0f}" if compiled else "(not measured)", display=False)

# %% [markdown]
# ## Who runs against whom
#
# - *conventional*: PIL images through torchvision's transforms in a `DataLoader` (signals: a `TensorDataset`), every teacher
#   asked about every batch, accuracy and agreement read and a progress text written at every step.
# - *kdlib*: the loop of the chapters. Data lie in memory as tensors, augmentation works on twenty batches at once, teachers are asked
#   once where the input is fixed (never under random augmentation), small nets of equal shape advance together, and nothing is read
#   back inside a step.
# - *bound*: random tensors that are there already; teacher forward, student forward, backward, update and nothing else; the best of
#   eager, channels-last and `torch.compile`.
#
# All take turns in one process, on one thread, with the same nets, batch and data; a ratio is taken within a round and its median
# over rounds is shown, because an absolute time means nothing on a machine that others use too. The data loader has no processes of its own:
# on a machine with idle cores they would hide part of its cost.

# %% tags=["remove-input"]
table(("net", "batch", "teachers", "images/s", "x conventional", "share of the bound", "the best bound", "first step (s)",
       "compiled bound's (s)", "peak memory so far (MB)"), [
    (r["net"], r["batch"], r["teachers"], f"{r['images_per_second']['kdlib']:,.0f}", f"{r['ratio_to_conventional']:.2f}",
     f"{r['share_of_bound']:.2f}", r["best_bound"], f"{r['first_step_seconds']['kdlib']:.2f}",
     f"{r['first_step_seconds'].get('bound, compiled', float('nan')):.1f}", f"{r['peak_mb']:.0f}") for r in rows],
    f"One thread, {bench['rounds']} rounds of {bench['seconds']:g} s each, torch {bench['torch']}, code {bench['commit']}")

# %% mystnb={"figure": {"caption": "Images per second of kdlib relative to the conventional loop (points to the right of the line are faster) and to the bound, by net and number of teachers. A share above 1 is possible where the bound asks the teachers at every step and kdlib need not.", "name": "fig-speed"}, "image": {"alt": "Dot plot: kdlib is faster than the conventional loop for every net, most for the smallest.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
fig, axes = figures.panels(2, height=4)
labels = [f"{r['net']}, batch {r['batch']}, m = {r['teachers']}" for r in rows]
for ax, key, label in zip(axes, ("ratio_to_conventional", "share_of_bound"), ("times the conventional loop", "share of the bound"), strict=True):
    figures.points(ax, labels, {"kdlib": [[r[key] for r in rows]]})
    ax.axvline(1, color="black", linewidth=0.8)
    ax.set_xlim(left=0)
    ax.set_xlabel(label)
plt.show()

# %% tags=["remove-input"]
provenance_of(bench, "results/benchmark.json", "make bench")

# %% [markdown]
# ## What limits it
#
# **Small nets** ({glue:text}`cnn1d-ratio` times the conventional loop). One net of 5,000 weights leaves a core idle between its
# operations; eight together do not. The bound trains one net and asks the teachers at every step, so kdlib's share of it
# ({glue:text}`cnn1d-share`) lies above 1. The gain is largest for small batches and many teachers and shrinks as a batch grows:
# then the matrix products themselves are what is left.
#
# **LeNet-5** ({glue:text}`lenet5-ratio` times). Its inputs are fixed, so the teachers are asked once; decoding and transforming
# pictures is saved as well. What is left is the net.
#
# **ResNets** ({glue:text}`resnet-ratio` times; {glue:text}`resnet-share` of the bound). Here the nets are nearly all of the cost: the
# conventional loop itself reaches {glue:text}`conventional-share` of the bound, so a factor of two over it is not to be had on
# one core. Channels-last maps and labelling in portions that fit the cache give what there is; the rest of the way to
# the bound is `torch.compile`. Its first step takes {glue:text}`compile` seconds where an earlier run has left compiled code on
# disk, as here, and far longer where none has; it needs a C++ compiler, and is not used.
#
# On a GPU nothing of this was measured.

# %% tags=["remove-input"]
scaling = json.loads((results_dir() / "scaling.json").read_text())
few, many = sorted(scaling["lookup_seconds"], key=int)
glue("two", f"{scaling['speed_up_of_2_workers']:.2f}", display=False)
glue("overhead", f"{1e3 * scaling['overhead_seconds_per_run']:.1f}", display=False)
for name, n in (("few", few), ("many", many)):
    glue(f"{name}", f"{int(n):,}", display=False)
    glue(f"{name}-seconds", f"{scaling['lookup_seconds'][n]:.2f}", display=False)
glue("growth", f"{scaling['lookup_growth']:.2f}", display=False)
glue("scaling-commit", scaling["commit"], display=False)

# %% [markdown]
# ## Around the training
#
# Two workers of one thread are {glue:text}`two` times as fast as one on equal runs (median of rounds, alone on a machine of two
# cores). Beyond its training a run costs {glue:text}`overhead` ms: the lock, the checkpoint, the record. A plan of
# {glue:text}`few` runs that all exist is looked up in {glue:text}`few-seconds` s, one of {glue:text}`many` in
# {glue:text}`many-seconds` s ({glue:text}`growth` of linear growth), so that opening a chapter again costs its figures and
# not its store. (`benchmarks/scaling.py`, code {glue:text}`scaling-commit`.)
