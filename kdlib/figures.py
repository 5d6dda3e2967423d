"""One look for every figure of the book: Okabe-Ito colours, a marker per method, intervals over trials.

Everywhere: bands and bars are 95 % Student-t intervals (`stats.estimate`); one trial alone draws no interval.
"""

from contextlib import contextmanager
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.text import Text
from matplotlib.ticker import LogLocator
from matplotlib.transforms import Bbox

from kdlib.stats import estimate

# Okabe & Ito (2008), without yellow: too pale for lines on white.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
GREY = "#666666"
WIDTH = 4.4  # inches of every figure: on a phone its letters are as large as those of the text's notes
GAP = "#F3D9D0"  # the way to 100 % that is left
# One colour and marker for one thing in the whole book, and no two things with the same: what is not here has none.
_KEYS = {
    "m=1": (BLUE, "o"), "m=3": (ORANGE, "s"), "m=5": (GREEN, "^"),
    "teacher": (BLACK, "*"), "own teacher": (PURPLE, "s"),
    "unseen": (GREY, "X"), "unseen, τ = 1": (GREY, "<"), "unseen, τ = 4": (GREY, ">"),
    "paper": (BLACK, "D"),
    "SGD": (GREEN, "o"), "Adam": (RED, "D"),
    "test": (BLUE, "s"), "train": (ORANGE, "v"),
    "half A": (RED, "v"), "half B": (SKY, "P"), "both halves": (PURPLE, "d"),
    "student": (BLUE, "v"), "barrier": (BLUE, "h"), "sharpness": (BLUE, "8"), "train KL": (BLUE, "X"),
    "τ = 1": (SKY, "<"), "τ = 4": (RED, ">"),
    "fresh": (GREEN, "s"), "generated": (PURPLE, "v"), "letters": (GREEN, "P"),
    "official code": (RED, "s"), "axes right": (SKY, "^"), "this book": (BLUE, "p"),
    "kdlib": (BLUE, "D"),
}
OPEN = ("official code",)  # drawn open: what lies below it shows
MARKS = "os^Dv"  # of points on a surface, by their names
_ring: dict = {}  # how a mean is marked that is drawn now over another figure: see `over`


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


def panels(n: int = 1, height: float | tuple[float, ...] = 3.3):
    """(figure, list of n axes, one below the other): side by side they would be too small on a phone. `height`: inches
    of each, or of one after the other."""
    heights = height if isinstance(height, tuple) else (height,) * n
    figure, axes = plt.subplots(n, 1, figsize=(WIDTH, sum(heights)), squeeze=False, height_ratios=heights)
    return figure, list(axes[:, 0])


@contextmanager
def over(dots: bool = False):
    """Within it, lines and points are drawn as open rings where their means are, or as small dots, over
    what the axes show already: the same conditions of another machine's runs, or of fewer trials."""
    global _ring
    _ring = {"markersize": 3.5} if dots else {"markersize": 10, "markerfacecolor": "none"}
    try:
        yield
    finally:
        _ring = {}


def _rings(ax, x, y, colour):
    ax.plot(x, y, "o", **{"color": colour, "linestyle": "none", "markeredgewidth": 1.1, "zorder": 5} | _ring)


def _look(key):
    """(colour, marker) of a thing that is drawn; KeyError for one that has none yet."""
    return _KEYS[key]


def _mark(key, size=6.0):
    """The same as matplotlib's options of a line."""
    colour, marker = _look(key)
    return {"color": colour, "marker": marker, "markersize": size} | (
        {"markerfacecolor": "none", "markersize": size + 2} if key in OPEN else {})


def dark(colour):
    """A colour of lines as letters have it, which are thin."""
    return {ORANGE: "#8A5F00", SKY: "#1F78B0", PURPLE: "#A24D7C"}.get(colour, colour)


class _Placed(Artist):
    """Drawn before the labels of its axes, where sizes and limits are final: puts them in their places."""

    def __init__(self, place):
        super().__init__()
        self.place = place
        self.set(zorder=-10, in_layout=False)

    def draw(self, renderer):
        self.place(self.axes, renderer)


def _intervals(values, width, name, bound=100.0):
    """[trials, k] -> mean [k] and how far its interval reaches, [below and above, k]; NaN, not drawn, for a column of
    NaN, the interval also for one trial. `bound`: what no value can lie beyond (most are in percent)."""
    values = np.asarray(values, dtype=float)
    if values.ndim != 2 or values.shape[1] != width:
        raise ValueError(f"{name} must be [trials, {width}] (got {list(values.shape)})")
    mean, ends = np.full(width, np.nan), np.full((2, width), np.nan)
    for i, column in enumerate(values.T):
        if not np.isnan(column).all():
            e = estimate(column, bound=bound)
            mean[i] = e.mean
            if np.isfinite(e.high):
                ends[:, i] = e.mean - e.low, e.high - e.mean
    return mean, ends


def line(ax, x, values, key: str, label: str | None = None, style: str = "-", bound: float = 100) -> None:
    """Mean over x [k] of values [trials, k] with its interval, labelled at its right end.

    `key` names in _KEYS what is drawn, and is its label unless there is another; a dashed `style` is the same student
    against an unseen teacher, whose interval is a bar, not a band, since six bands on each other cannot be told apart.
    No value, and no interval, lies beyond +-`bound`.
    ValueError if the shapes do not match.
    """
    colour, _ = _look(key)
    mean, ends = _intervals(values, len(x), "values", bound)
    if _ring:
        return _rings(ax, x, mean, colour)
    ax.plot(x, mean, style, **_mark(key), clip_on=False)  # a mean of 100 % lies on the axes' edge
    if style == "-":
        ax.fill_between(x, mean - ends[0], mean + ends[1], color=colour, alpha=0.18, linewidth=0)
        _own(ax, [("line", np.asarray(x, dtype=float), mean)] if not key.startswith("unseen") else [])
    else:
        ax.errorbar(x, mean, ends, fmt="none", color=colour, elinewidth=0.9, capsize=2, alpha=0.7)
    text = ax.annotate(key if label is None else label, (x[-1], mean[-1]), xytext=(8, 0), textcoords="offset points",
                       va="center", color=dark(colour), fontsize=9, annotation_clip=False)
    _placed(ax, "_kdlib_labels", [text], _spread)


def level(ax, y: float, text: str, style: str = "--") -> None:
    """A horizontal line at y through what is drawn, with its meaning above its left end."""
    if _ring:
        return
    left, right = ax.dataLim.intervalx
    ax.hlines(y, left, right, color="black", linestyle=style, linewidth=1.2)
    ax.annotate(text, (left, y), xytext=(2, 4), textcoords="offset points", fontsize=9)


def _own(ax, found):
    ax._kdlib_own = [*getattr(ax, "_kdlib_own", []), *found]


def shade_gap(ax) -> None:
    """Shade what is left of the way to an agreement of 100 %, which the axes then reach: above the highest line, right
    of the last point of each row, or of all points. Agreement with unseen teachers does not count."""
    if _ring:
        return
    kinds = {kind for kind, _, _ in ax._kdlib_own}
    if kinds == {"line"}:
        x = np.unique(np.concatenate([x for _, x, _ in ax._kdlib_own]))
        top = np.max([np.interp(x, *one) for _, *one in ax._kdlib_own], axis=0)
        ax.fill_between(x, top, 100, color=GAP, linewidth=0, zorder=0.5)
        ax.set_ylim(top=100)
        low, _ = ax.get_ylim()
        if 100 - top[len(x) // 2:].max() > 0.15 * (100 - low):
            ax.text(x[-1], 99, "fidelity gap", ha="right", va="top", fontsize=9, color="#7A3B20")
    elif kinds == {"row"}:
        rows = np.unique(np.concatenate([rows for _, rows, _ in ax._kdlib_own]))
        far = np.fmax.reduce([mean for _, _, mean in ax._kdlib_own])  # NaN where a row is not recorded
        left, _ = ax.get_xlim()  # before the bars, which would end the axes where they begin
        ax.barh(rows, 100 - far, left=far, height=0.8, color=GAP, linewidth=0, zorder=0.5)
        ax.set_xlim(left, 100)
    else:
        ax.axvspan(max(np.max(x) for _, x, _ in ax._kdlib_own), 100, color=GAP, linewidth=0, zorder=0.5)
        ax.set_xlim(right=100)


def _placed(ax, name, texts, place):
    if not hasattr(ax, name):
        ax.add_artist(_Placed(place))
    setattr(ax, name, [*getattr(ax, name, []), *texts])


def _spread(ax, _, apart=11.0):
    """Move the end labels of an axes apart: at least `apart` points between neighbours, in their order."""
    to_points = 72 / ax.figure.dpi
    texts = sorted(ax._kdlib_labels, key=lambda t: t.xy[1])
    own = [ax.transData.transform(t.xy)[1] * to_points for t in texts]
    places = list(own)
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + apart)
    # centred on where they belong, so that the lowest does not keep its place at the others' cost
    shift = np.mean(np.subtract(own, places))
    for text, wanted, place in zip(texts, own, places, strict=True):
        text.set_position((8, place + shift - wanted))


def points(ax, labels, groups: dict, bound: float = 100) -> None:
    """Horizontal dot plot: a row per label; groups {name: values [trials, len(labels)]}, means and bars, none of which
    lies beyond +-`bound`."""
    rows = np.arange(len(labels))
    offsets = np.linspace(-1, 1, len(groups)) * (0.1 + 0.06 * len(groups)) if len(groups) > 1 else [0]
    for offset, (name, values) in zip(offsets, groups.items(), strict=True):
        mean, ends = _intervals(values, len(labels), f"values of {name}", bound)
        if _ring:
            _rings(ax, mean, rows + offset, _look(name)[0])
            continue
        drawn = ax.errorbar(mean, rows + offset, xerr=ends, linestyle="none", capsize=2, label=name,
                            **_mark(name, 5 if len(groups) > 2 else 6))
        drawn[0].set_clip_on(False)
        if not name.startswith("unseen"):
            _own(ax, [("row", rows, mean)])
    if _ring:
        return
    ax.set_yticks(rows, labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.margins(x=0.08)
    ax.grid(axis="y", visible=False)
    if len(groups) > 1:
        _above(ax, list(groups))


def ways(rows) -> Axes:
    """A figure of how far students get, from `rows` of (label, agreement with an unseen teacher [trials], with the own
    one [trials]) in percent: their means and intervals, and the rest of the way to 100, shaded."""
    _, ax = plt.subplots(figsize=(WIDTH, 0.72 * len(rows) + 0.8))
    for i, (label, unseen, own) in enumerate(rows):
        (a, ends_a), (b, ends_b) = ((m[0], e[:, :1]) for m, e in (
            _intervals(np.reshape(v, (-1, 1)), 1, label) for v in (unseen, own)))
        ax.barh(i, 100 - b, left=b, height=0.4, color=GAP, linewidth=0)
        ax.plot([a, b], [i, i], color=_look("own teacher")[0], linewidth=2.2)
        for x, ends, key in ((a, ends_a, "unseen"), (b, ends_b, "own teacher")):
            colour, marker = _look(key)
            ax.errorbar(x, i, xerr=ends, fmt=marker, color=colour, capsize=2)
        at, side = (99, "right") if b > 80 else ((b + 100) / 2, "center")  # a narrow gap: clear of the interval
        ax.text(at, i, f"gap {100 - b:.0f}", ha=side, va="center", fontsize=9)
        ax.text(0.5, i - 0.36, label, va="bottom", fontsize=9)
        ax.annotate(f"{a:.0f}", (a - np.nan_to_num(ends_a[0, 0]), i), xytext=(-4, 0), textcoords="offset points",
                    ha="right", va="center", fontsize=9)
        ax.annotate(f"{b:.0f}", (b, i), xytext=(0, 7), textcoords="offset points", ha="center", fontsize=9)
    ax.axvline(100, color="black", linewidth=1.2)
    ax.set(xlim=(0, 101), ylim=(len(rows) - 0.6, -0.75), yticks=[],
           xlabel="same answer as the teacher, % of new inputs")
    ax.spines["left"].set_visible(False)
    legend(ax, ("unseen", "own teacher"))
    return ax


def scatter(ax, x, y, labels, key: str, joined: bool = False) -> None:
    """Means of x against y (both [trials, k]) with both intervals; `labels` names the k points, which a line joins in
    their order where they are steps of one way."""
    colour, _ = _look(key)
    mean_x, ends_x = _intervals(x, len(labels), "x")
    mean_y, ends_y = _intervals(y, len(labels), "y")
    if _ring:
        return _rings(ax, mean_x, mean_y, colour)
    ax.errorbar(mean_x, mean_y, xerr=ends_x, yerr=ends_y, fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.4)
    ax.plot(mean_x, mean_y, **_mark(key, 5.5), linestyle="-" if joined else "none", linewidth=1)
    _own(ax, [("points", mean_x, mean_y)] if not key.startswith("unseen") else [])
    ax._kdlib_points = [*getattr(ax, "_kdlib_points", []), *zip(mean_x, mean_y, strict=True)]
    ax._kdlib_strokes = [*getattr(ax, "_kdlib_strokes", []), *_strokes(mean_x, mean_y, ends_x, ends_y, joined)]
    texts = [ax.annotate(label, (a, b), xytext=(0, 0), textcoords="offset points", fontsize=9, color=dark(colour),
                         arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3})
             for label, a, b in zip(labels, mean_x, mean_y, strict=True) if label]
    _placed(ax, "_kdlib_names", texts, _apart)


def _strokes(x, y, ends_x, ends_y, joined):
    """Both ends of what is drawn between points: intervals, and the line that joins them in short pieces, whose boxes
    are no larger than it."""
    for a, b, across, up in zip(x, y, np.nan_to_num(ends_x).T, np.nan_to_num(ends_y).T, strict=True):
        yield (a - across[0], b), (a + across[1], b)
        yield (a, b - up[0]), (a, b + up[1])
    if joined:
        steps = np.linspace(0, len(x) - 1, 8 * (len(x) - 1) + 1)
        yield from pairwise(zip(*(np.interp(steps, np.arange(len(x)), along) for along in (x, y)), strict=True))


def _apart(ax, renderer, point=3.5):
    """Put each name of a point where it lies on no other, on no point (`point` points around its centre), on no line
    and within the axes: the nearest such place, all of them measured, or the least bad one. A line leads back from one
    that is not beside its point."""
    scale = ax.figure.dpi / 72
    inside, points = ax.get_window_extent(renderer), ax.transData.transform(ax._kdlib_points)
    taken = [Bbox([p - point * scale, p + point * scale]) for p in points[np.isfinite(points).all(1)]]
    strokes = [Bbox([np.minimum(*ends), np.maximum(*ends)]) for ends in map(ax.transData.transform, ax._kdlib_strokes)]
    strokes += [line.get_window_extent(renderer) for line in ax.lines if line.get_marker() == "None"]  # at 0, say

    def cost(box):
        outside = not (inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1))
        return 3 * sum(map(box.overlaps, taken)) + sum(map(box.overlaps, strokes)) + 6 * outside

    for text in sorted(ax._kdlib_names, key=lambda t: -t.xy[1]):
        size = Text.get_window_extent(text, renderer)  # of its letters alone, without the line that leads back
        width, height = size.width / scale, size.height / scale
        places = []
        for away in (5, 7, 9, 14, 20, 27, 35, 44, 54, 65):  # points
            left = {1: away, 0: -width / 2, -1: -away - width}
            low = {1: 0.6 * away, 0: -height / 2, -1: -0.6 * away - height}
            for across, up in ((1, 1), (1, 0), (1, -1), (-1, 1), (-1, 0), (-1, -1), (0, 1), (0, -1)):
                corner = ax.transData.transform(text.xy) + scale * np.array([left[across], low[up]])
                box = Bbox.from_bounds(*corner, size.width, size.height).padded(scale)
                places.append((cost(box), len(places), (left[across], low[up]), away, box))
        _, _, place, away, box = min(places, key=lambda place: place[:2])
        text.set_position(place)
        text.arrow_patch.set_visible(away > 9)
        taken.append(box)


def legend(ax, keys) -> None:
    """A legend of methods by their colour and marker above the axes, where points cannot be labelled directly."""
    if _ring:
        return
    for key in keys:
        ax.plot([], [], **_mark(key), linestyle="none", label=key)
    _above(ax, keys)


def _above(ax, names):
    rows = 1 + (sum(len(name) + 4 for name in names) > 36)  # else the axes would have to be narrow
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=-(-len(names) // rows), borderaxespad=0.2,
              columnspacing=1.2, handletextpad=0.3)


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
    if _ring:  # a surface of another run would hide this one
        return
    filled = ax.contourf(grid_x, grid_y, np.clip(values, low, high), levels=np.geomspace(low, high, 17),
                         cmap="cividis", norm=LogNorm(low, high))
    ax.grid(False)
    ax.set_aspect("equal")
    beside = ax.inset_axes((1.04, 0, 0.05, 1))  # as high as the surface, whatever its shape
    bar = ax.figure.colorbar(filled, cax=beside, label="loss above optimum (nats)")
    bar.set_ticks(LogLocator(subs=(1,)))
    bar.ax.yaxis.set_major_formatter("{x:g}")
    for (name, (a, b)), marker in zip(points.items(), MARKS, strict=False):
        ax.plot(a, b, marker, color="white", markeredgecolor="black", markersize=7)
        inward = a > (grid_x[0] + 2 * grid_x[-1]) / 3  # a name beside a point at the right edge would leave the surface
        ax.annotate(name, (a, b), xytext=(-7 if inward else 7, 5), ha="right" if inward else "left",
                    textcoords="offset points", fontsize=9,
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
    figure, ax = plt.subplots(figsize=(WIDTH, WIDTH * len(whole) / whole.shape[1]))
    ax.imshow(whole, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    return figure


def examples(rows: dict):
    """A figure of inputs: per row {title: (x [n, 1, length] or [n, c, h, w] with pixels in [0, 1], n names, or none)} n
    lines or images beside each other, named below. The gid of a line is its name."""
    n = len(next(iter(rows.values()))[0])
    figure = plt.figure(figsize=(WIDTH, 1.25 * len(rows)))
    for (title, (x, names)), part in zip(rows.items(), np.atleast_1d(figure.subfigures(len(rows), 1)), strict=True):
        part.suptitle(title, x=0.01, ha="left", fontsize=10)
        for i, (one, ax) in enumerate(zip(np.asarray(x), part.subplots(1, n, squeeze=False)[0], strict=True)):
            if one.ndim == 2:
                ax.plot(one[0], color=BLUE, linewidth=1.2, gid=f"signal-{names[i]}")
                ax.set(ylim=(-4.5, 4.5), box_aspect=1)
            else:
                ax.imshow(one.transpose(1, 2, 0), interpolation="none")  # pixels as they are, sharp at any size
                ax.spines[:].set_visible(False)
            ax.grid(False)
            ax.set(xticks=[], yticks=[], xlabel=names[i] if names else "")
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
