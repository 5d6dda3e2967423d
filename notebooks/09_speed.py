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
# Every factor of speed is a factor in what a reader can afford to run again. How far is the loop of this book from the one that most
# distillation code has, and from the least that the nets themselves cost?

# %% tags=["parameters", "remove-input"]
profile = "laptop"  # the benchmark has no profiles; every page takes the same parameters
seeds = None
workers = None
# %config InteractiveShell.ast_node_interactivity = "last_expr"

# %% tags=["hide-input"]
import json

import matplotlib.pyplot as plt

from kdlib import figures
from kdlib.chapter import folded, glue, open_page, table
from kdlib.evidence import measured
from kdlib.paths import results_dir

open_page(shows="a recorded benchmark")
bench = json.loads((results_dir() / "benchmark.json").read_text())
rows = bench["rows"]

# %% mystnb={"figure": {"caption": "Images per second of kdlib relative to the conventional loop (points to the right of the line are faster) and to the bound, by net and number of teachers. A share above 1 is possible where the bound asks the teachers at every step and kdlib need not.", "name": "fig-speed"}, "image": {"alt": "Two dot plots by net, batch and number of teachers: images per second relative to the conventional loop, and as a share of the bound.", "width": "100%"}} tags=["hide-input", "nbval-ignore-output"]
fig, axes = figures.panels(2, height=3.4)
labels = [f"{r['net']}, batch {r['batch']}, m = {r['teachers']}" for r in rows]
for ax, key, label in zip(axes, ("ratio_to_conventional", "share_of_bound"), ("times the conventional loop", "share of the bound"), strict=True):
    figures.points(ax, labels, {"kdlib": [[r[key] for r in rows]]})
    ax.axvline(1, color="black", linewidth=0.8)
    ax.set_xlim(left=0)
    ax.set_xlabel(label)
plt.show()

# %% tags=["remove-input"]
measured("fig-speed", [{"net": r["net"], "batch": r["batch"], "teachers": r["teachers"], **r["images_per_second"],
                        "times_conventional": r["ratio_to_conventional"], "share_of_bound": r["share_of_bound"]} for r in (
    {**r, "images_per_second": {k.replace(", ", "_"): r["images_per_second"].get(k, "") for k in (
        "conventional", "kdlib", "bound, eager", "bound, compiled")}} for r in rows)], bench, "results/benchmark.json", "make bench")

# %% tags=["remove-input"]
def among(net, key):
    """The range of a ratio over a net's rows, as text."""
    values = [r[key] for r in rows if r["net"].startswith(net)]
    return f"{min(values):.1f} to {max(values):.1f}" if key.startswith("ratio") else f"{min(values):.2f} to {max(values):.2f}"


for net in ("cnn1d", "lenet5", "resnet"):
    glue(f"{net}-ratio", among(net, "ratio_to_conventional"), display=False)
    glue(f"{net}-share", among(net, "share_of_bound"), display=False)
glue("faster", str(sum(r["ratio_to_conventional"] > 1 for r in rows)), display=False)
glue("rows", str(len(rows)), display=False)
shares = [r["share_of_bound"] / r["ratio_to_conventional"] for r in rows if r["net"].startswith("resnet")]
glue("conventional-share", f"{min(shares):.2f} to {max(shares):.2f}", display=False)
compiled = [r["first_step_seconds"]["bound, compiled"] for r in rows if "bound, compiled" in r["first_step_seconds"]]
_ = glue("compile", f"{min(compiled):.0f} to {max(compiled):.0f}" if compiled else "(not measured)", display=False)

# %% [markdown]
# In {glue:text}`faster` of {glue:text}`rows` cases the book's loop is faster than the conventional one: **{glue:text}`cnn1d-ratio`** times for the small nets
# of signals, {glue:text}`resnet-ratio` times for ResNets.
#
# - *Small nets*: one net of 5,000 weights leaves a core idle between its operations; eight together do not. The bound trains one net and asks the teachers at
#   every step, so that kdlib's share of it is {glue:text}`cnn1d-share`.
# - *LeNet-5* ({glue:text}`lenet5-ratio` times): its inputs are fixed, so that the teachers are asked once; decoding and transforming pictures is saved as well.
# - *ResNets*: here the time goes into the nets themselves. The conventional loop itself reaches {glue:text}`conventional-share` of the bound, the book's
#   {glue:text}`resnet-share`. The rest of the way is `torch.compile`, whose first step takes {glue:text}`compile` seconds where an earlier run has left compiled
#   code on disk, as here; it needs a C++ compiler, and is not used.
#
# On a GPU nothing of this was measured.

# %% tags=["remove-input"]
folded("Every case", table(("net", "batch", "teachers", "images/s", "x conventional", "share of the bound", "the best bound", "first step (s)",
       "compiled bound's (s)", "peak memory so far (MB)"), [
    (r["net"], r["batch"], r["teachers"], f"{r['images_per_second']['kdlib']:,.0f}", f"{r['ratio_to_conventional']:.2f}",
     f"{r['share_of_bound']:.2f}", r["best_bound"], f"{r['first_step_seconds']['kdlib']:.2f}",
     f"{r['first_step_seconds'].get('bound, compiled', float('nan')):.1f}", f"{r['peak_mb']:.0f}") for r in rows],
    f"One thread, {bench['rounds']} rounds of {bench['seconds']:g} s each, torch {bench['torch']}, code {bench['commit']}"))

# %% tags=["remove-input"]
grid = json.loads((results_dir() / "grid.json").read_text())
nets = {0: "teacher", 1: "student of one", 3: "student of three"}
cost = [{"net": nets[row["teachers"]], "who": who, "images_per_second": rate, "times_conventional": row["to_conventional"][who],
         "share_of_bound": row["share_of_bound"][who]} for row in grid["rows"] for who, rate in row["images_per_second"].items()]
hours = grid["core_hours"]
target = 1.5  # times the conventional loop over the whole grid, set before it was measured
gain = hours["conventional"] / hours["kdlib"]
for name, text in (("grid-hours", f"{hours['kdlib']:.0f}"), ("grid-conventional-hours", f"{hours['conventional']:.0f}"), ("grid-before-hours", f"{hours['before']:.0f}"),
                   ("grid-gain", f"{gain:.2f}"), ("grid-target", f"{target:g}"), ("grid-reached", "reached" if gain >= target else "missed")):
    glue(name, text, display=False)

# %% [markdown]
# ## What the paper's own regime costs
#
# The grid of [](10_halves.ipynb), ResNet-20 on images of 32 × 32, takes {glue:text}`grid-hours` core-hours at the speeds below, {glue:text}`grid-before-hours`
# with the code before it was planned and {glue:text}`grid-conventional-hours` with the conventional loop: **{glue:text}`grid-gain`** times as fast, and the aim of
# {glue:text}`grid-target` is {glue:text}`grid-reached`. The time is in the nets, so that what is left is less work: students of one trial that see the same batches
# of the same teachers (τ = 1 and 4) ask them once.

# %% tags=["remove-input"]
table(("net", "who", "images/s a core", "x conventional", "share of the bound"), [
    (row["net"], row["who"], f"{row['images_per_second']:,.0f}", f"{row['times_conventional']:.2f}", f"{row['share_of_bound']:.2f}")
    for row in cost], f"ResNet-20 in batches of 128: before is commit {grid['before']}, the bound the better of its two")

# %% tags=["remove-input"]
measured("ResNet-20 in batches of 128", cost, grid, "results/grid.json", f"python benchmarks/grid.py --before {grid['before']}")

# %% tags=["remove-input"]
scaling = json.loads((results_dir() / "scaling.json").read_text())
few, many = sorted(scaling["lookup_seconds"], key=int)
glue("two", f"{scaling['speed_up_of_2_workers']:.2f}", display=False)
glue("overhead", f"{1e3 * scaling['overhead_seconds_per_run']:.1f}", display=False)
for name, n in (("few", few), ("many", many)):
    glue(f"{name}", f"{int(n):,}", display=False)
    glue(f"{name}-seconds", f"{scaling['lookup_seconds'][n]:.2f}", display=False)
glue("scaling-commit", scaling["commit"], display=False)

# %% [markdown]
# ## Around the training
#
# Two workers of one thread are {glue:text}`two` times as fast as one on equal runs (median of rounds, alone on a machine of two cores). Beyond its training a run
# costs {glue:text}`overhead` ms: the lock, the checkpoint, the record. A plan of {glue:text}`few` runs that all exist is looked up in
# {glue:text}`few-seconds` s. (`benchmarks/scaling.py`, code {glue:text}`scaling-commit`.)
#
# ```{dropdown} Who runs against whom
# - *conventional*: PIL images through torchvision's transforms in a `DataLoader` (signals: a `TensorDataset`), every teacher asked about every batch, accuracy
#   and agreement read and a progress text written at every step.
# - *kdlib*: the loop of the chapters. Data lie in memory as tensors, augmentation works on twenty batches at once, teachers are asked once where the input is
#   fixed or has few crops (of other random augmentation never), small nets of equal shape advance together, and nothing is read back inside a step.
# - *bound*: random tensors that are there already; teacher forward, student forward, backward, update and nothing else; the best of eager, channels-last and
#   `torch.compile`.
#
# All take turns in one process, on one thread, with the same nets, batch and data; a ratio is taken within a round and its median over rounds is shown, because
# an absolute time means nothing on a machine that others use too. The data loader has no processes of its own: on a machine with idle cores they would hide part
# of its cost. `make bench` measures it anew.
# ```
