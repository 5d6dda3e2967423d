"""One look for every figure of the book: Okabe-Ito colours, a marker per method, intervals over trials.

Everywhere: bands and bars are 95 % Student-t intervals (`stats.estimate`); one trial alone draws no interval.
"""

from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.ticker import LogLocator

from kdlib.stats import estimate

# Okabe & Ito (2008), without yellow: too pale for lines on white.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
GREY = "#666666"
# One colour and marker per method in the whole book.
_KEYS = {
    "m=1": (BLUE, "o"), "m=3": (ORANGE, "s"), "m=5": (GREEN, "^"),
    "teacher": (BLACK, "*"), "unseen": (GREY, "X"), "unseen, τ = 1": (GREY, "<"), "unseen, τ = 4": (GREY, ">"),
    "paper": (BLACK, "D"), "own teacher": (PURPLE, "s"),
    "SGD": (BLUE, "o"), "Adam": (RED, "D"),
    "D0": (RED, "v"), "D1": (SKY, "P"), "D0+D1": (PURPLE, "d"),
    "τ = 1": (SKY, "<"), "τ = 4": (RED, ">"),
    "fresh": (BLUE, "o"), "generated": (PURPLE, "d"),
    "official code": (RED, "p"), "axes right": (SKY, "h"), "this book": (BLUE, "o"),
}
FALLBACK = tuple(zip((BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK), "os^Dvdp", strict=True))


def style() -> None:
    """Set matplotlib's rcParams, starting from its defaults: the user's own may need LaTeX, or hide what is drawn."""
    plt.rcdefaults()
    plt.rcParams.update({
        "figure.dpi": 200, "savefig.dpi": 200,
        "figure.constrained_layout.use": True,
        "figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white",
        "font.size": 10, "axes.labelsize": 10, "axes.titlesize": 10,
        "xtick.labelsize": 9, "ytick.labelsize": 9, "legend.fontsize": 9,
        "legend.frameon": False, "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": True, "grid.color": "#DDDDDD", "grid.linewidth": 0.6, "axes.axisbelow": True,
        "lines.linewidth": 1.6, "lines.markersize": 6, "svg.hashsalt": "kdlib",
    })


def panels(n: int = 1, height: float = 3.3):
    """(figure, list of n axes, one below the other): side by side they would be too small on a phone."""
    figure, axes = plt.subplots(n, 1, figsize=(5.6, height * n), squeeze=False)
    return figure, list(axes[:, 0])


def _look(ax, key):
    """(colour, marker) of a method; one that has none takes the next of the axes' own cycle."""
    if key in _KEYS:
        return _KEYS[key]
    if not hasattr(ax, "_kdlib_looks"):
        ax._kdlib_looks, ax._kdlib_cycle = {}, cycle(FALLBACK)
    if key not in ax._kdlib_looks:
        ax._kdlib_looks[key] = next(ax._kdlib_cycle)
    return ax._kdlib_looks[key]


def _intervals(values, width, name):
    """[trials, k] -> mean [k] and half-width [k]; NaN, not drawn, for a column of NaN, a half-width also for one
    trial."""
    values = np.asarray(values, dtype=float)
    if values.ndim != 2 or values.shape[1] != width:
        raise ValueError(f"{name} must be [trials, {width}] (got {list(values.shape)})")
    mean, half = np.full((2, width), np.nan)
    for i, column in enumerate(values.T):
        if not np.isnan(column).all():
            e = estimate(column)
            mean[i], half[i] = e.mean, e.high - e.mean if np.isfinite(e.high) else np.nan
    return mean, half


def line(ax, x, values, label: str, key: str | None = None, style: str = "-") -> None:
    """Mean over x [k] of values [trials, k] with its interval, labelled at its right end.

    `key` names the method in _KEYS; a dashed `style` is the same student against an unseen teacher, whose interval is a
    bar, not a band, since six bands on each other cannot be told apart. Set the axes' scale first: the labels are
    spread by it. ValueError if the shapes do not match.
    """
    colour, marker = _look(ax, key or label)
    mean, half = _intervals(values, len(x), "values")
    ax.plot(x, mean, style, color=colour, marker=marker)
    if style == "-":
        ax.fill_between(x, mean - half, mean + half, color=colour, alpha=0.18, linewidth=0)
    else:
        ax.errorbar(x, mean, half, fmt="none", color=colour, elinewidth=0.9, capsize=2, alpha=0.7)
    text = ax.annotate(label, (x[-1], mean[-1]), xytext=(8, 0), textcoords="offset points", va="center",
                       color=colour if colour != ORANGE else "#8A5F00", fontsize=9, annotation_clip=False)
    ax._kdlib_labels = [*getattr(ax, "_kdlib_labels", []), text]
    _spread(ax)


def _spread(ax, gap=11.0):
    """Move the end labels of an axes apart: at least `gap` points between neighbours, in their order."""
    to_points = 72 / ax.figure.dpi
    texts = sorted(ax._kdlib_labels, key=lambda t: t.xy[1])
    own = [ax.transData.transform(t.xy)[1] * to_points for t in texts]
    places = list(own)
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + gap)
    # centred on where they belong, so that the lowest does not keep its place at the others' cost
    shift = np.mean(np.subtract(own, places))
    for text, wanted, place in zip(texts, own, places, strict=True):
        text.set_position((8, place + shift - wanted))


def points(ax, labels, groups: dict) -> None:
    """Horizontal dot plot: a row per label; groups {name: values [trials, len(labels)]}, means and bars."""
    rows = np.arange(len(labels))
    offsets = np.linspace(-0.2, 0.2, len(groups)) if len(groups) > 1 else [0]
    for offset, (name, values) in zip(offsets, groups.items(), strict=True):
        colour, marker = _look(ax, name)
        mean, half = _intervals(values, len(labels), f"values of {name}")
        ax.errorbar(mean, rows + offset, xerr=half, fmt=marker, color=colour, capsize=2, label=name)
    ax.set_yticks(rows, labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    if len(groups) > 1:
        _above(ax, len(groups))


def scatter(ax, x, y, labels, key: str) -> None:
    """Means of x against y (both [trials, k]) with both intervals; `labels` names the k points.

    Set the axes' scale first: labels of points near each other are moved apart by it.
    """
    colour, marker = _look(ax, key)
    mean_x, half_x = _intervals(x, len(labels), "x")
    mean_y, half_y = _intervals(y, len(labels), "y")
    ax.errorbar(mean_x, mean_y, xerr=half_x, yerr=half_y, fmt=marker, color=colour, elinewidth=0.8, alpha=0.9)
    texts = [ax.annotate(label, (a, b), xytext=(5, 5), textcoords="offset points", fontsize=9)
             for label, a, b in zip(labels, mean_x, mean_y, strict=True) if label]
    ax._kdlib_names = [*getattr(ax, "_kdlib_names", []), *texts]
    _apart(ax)


def _apart(ax, gap=12.0, letter=5.5):
    """Move down each label of a scatter plot that would lie on one above it; `gap`, `letter`: its size in points."""
    ax.figure.draw_without_rendering()  # else the axes have neither their limits nor their place yet
    to_points, placed = 72 / ax.figure.dpi, []
    for text in sorted(ax._kdlib_names, key=lambda t: -t.xy[1]):
        x, own = ax.transData.transform(text.xy) * to_points
        y, width = own + 5, letter * len(text.get_text())
        for left, other, other_width in placed:  # from above, so that one pass is enough
            if abs(y - other) < gap and x < left + other_width and left < x + width:
                y = other - gap
        placed.append((x, y, width))
        placed.sort(key=lambda place: -place[1])
        text.set_position((5, y - own))


def legend(ax, keys) -> None:
    """A legend of methods by their colour and marker above the axes, where points cannot be labelled directly."""
    for key in keys:
        colour, marker = _look(ax, key)
        ax.plot([], [], marker, color=colour, label=key)
    _above(ax, len(keys))


def _above(ax, count):
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=count, borderaxespad=0.2)


def surface(ax, grid_x, grid_y, values, points: dict, low: float, high: float) -> None:
    """Filled contours of values [len(grid_y), len(grid_x)] on a log scale from `low` to `high`, the same for every
    surface that is compared, and marked points {name: (x, y)}. What lies outside is drawn as its limit.

    ValueError if a value is NaN or infinite, or the shapes do not match.
    """
    values = np.asarray(values, dtype=float)
    if values.shape != (len(grid_y), len(grid_x)):
        raise ValueError(f"values must be [{len(grid_y)}, {len(grid_x)}] (got {list(values.shape)})")
    if not np.isfinite(values).all():
        raise ValueError("the surface contains NaN or infinity")
    filled = ax.contourf(grid_x, grid_y, np.clip(values, low, high), levels=np.geomspace(low, high, 17),
                         cmap="cividis", norm=LogNorm(low, high))
    ax.grid(False)
    ax.set_aspect("equal")
    bar = ax.figure.colorbar(filled, ax=ax, label="loss above its optimum (nats)")
    bar.set_ticks(LogLocator(subs=(1,)))
    bar.ax.yaxis.set_major_formatter("{x:g}")
    for (name, (a, b)), (_, marker) in zip(points.items(), FALLBACK, strict=False):
        ax.plot(a, b, marker, color="white", markeredgecolor="black", markersize=7)
        ax.annotate(name, (a, b), xytext=(7, 5), textcoords="offset points", fontsize=9,
                    bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8})


def _tiles(images, columns):
    """[n, c, h, w] as one image [rows * (h + 1) - 1, columns * (w + 1) - 1, c]: a white line between neighbours."""
    n, channels, height, width = images.shape
    rows, height, width = -(-n // columns), height + 1, width + 1
    cells = np.ones((rows * columns, channels, height, width))
    cells[:n, :, :-1, :-1] = images
    return cells.reshape(rows, columns, channels, height, width).transpose(0, 3, 1, 4, 2).reshape(
        rows * height, columns * width, channels)[:-1, :-1]


def sheet(images, columns: int):
    """A figure of images [n, channels, h, w] with pixels in [0, 1], one channel or three, `columns` to a row."""
    images = np.asarray(images, dtype=float)
    if images.ndim != 4 or len(images) == 0 or images.shape[1] not in (1, 3):
        raise ValueError(f"images must be [n, 1 or 3, h, w] with n > 0 (got {list(images.shape)})")
    whole = _tiles(images, columns)
    figure, ax = plt.subplots(figsize=(5.6, 5.6 * len(whole) / whole.shape[1]))
    ax.imshow(whole, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    return figure


def contact_sheet(rows: dict):
    """A figure of inputs: per row {name: x [n, 1, length] or [n, c, h, w] with pixels in [0, 1]} n lines or images."""
    n = len(next(iter(rows.values())))
    figure, axes = plt.subplots(len(rows), 1, figsize=(n + 1, len(rows)), squeeze=False)
    for (name, x), ax in zip(rows.items(), axes[:, 0], strict=True):
        x = np.asarray(x)
        if x.ndim == 3:
            ax.plot(np.pad(x[:, 0], ((0, 0), (0, 5)), constant_values=np.nan).ravel(), color=BLUE, linewidth=1)
            ax.set_ylim(-5, 5)
        else:
            ax.imshow(_tiles(x, n), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        ax.grid(False)
        ax.set(xticks=[], yticks=[], anchor="E")
        ax.spines[:].set_visible(False)
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
    return figure
