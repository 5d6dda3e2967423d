"""Figures that are made of data, pixel by pixel."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text

from kdlib import figures


def test_the_style_does_not_build_on_the_settings_of_a_user():
    with plt.rc_context({"text.usetex": True, "axes.titlecolor": "white"}):
        figures.style()
        assert not plt.rcParams["text.usetex"] and plt.rcParams["axes.titlecolor"] == "auto"
        assert plt.rcParams["savefig.dpi"] == 200


@pytest.mark.parametrize("channels", [1, 3])
def test_a_sheet_shows_every_image_in_its_place_and_pixels_as_they_are(channels):
    images = np.random.default_rng(0).random((5, channels, 4, 6))
    [ax] = figures.sheet(images, columns=3).axes
    [shown] = ax.get_images()
    pixels = np.asarray(shown.get_array())
    assert pixels.shape[:2] == (2 * 5 - 1, 3 * 7 - 1) and shown.get_interpolation() == "nearest"
    fourth = pixels[5:9, 0:6]  # the first of the second row
    np.testing.assert_array_equal(fourth, images[3].transpose(1, 2, 0) if channels == 3 else images[3, 0])
    assert (pixels[5:, 14:] == 1).all()  # there is no sixth
    assert not ax.axison


@pytest.mark.parametrize("wrong", [np.ones((0, 3, 4, 4)), np.ones((2, 2, 4, 4)), np.ones((3, 4, 4))])
def test_a_sheet_of_no_images_is_refused(wrong):
    with pytest.raises(ValueError, match="images"):
        figures.sheet(wrong, columns=2)


def test_what_was_not_run_is_not_drawn_and_the_rest_is():
    _, [ax] = figures.panels()
    figures.points(ax, ["a", "b"], {"τ = 1": np.array([[1.0, np.nan], [3.0, np.nan]])})
    [marks] = [line for line in ax.get_lines() if line.get_marker() == "<"]
    np.testing.assert_array_equal(marks.get_xdata(), [2, np.nan])


def test_a_trial_without_a_number_is_an_error():
    _, [ax] = figures.panels()
    with pytest.raises(ValueError, match="finite"):
        figures.points(ax, ["a"], {"τ = 1": np.array([[1.0], [np.nan]])})


def test_names_of_points_that_lie_on_each_other_can_all_be_read():
    figure, [ax] = figures.panels()
    names, x = ["baseline", "noise", "ood", "mixup", "colour"], np.array([1.0, 1.001, 1.0, 0.999, 0.2])
    figures.scatter(ax, x[None], np.array([[2.0, 2.01, 2.02, 1.9, 0.5]]), names, "τ = 1")
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in ax.texts]
    assert [text.get_text() for text in ax.texts] == names
    assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]


def test_names_of_points_lie_on_no_point_and_no_interval_and_within_the_axes():
    figure, [ax] = figures.panels()
    x = np.array([[1.0, 1.1, 2.0, 2.9], [1.0, 1.2, 2.2, 3.0]])
    figures.scatter(ax, x, x, ["x1", "", "a name", "corner"], "m=1", joined=True)
    ax.axhline(2.1, color="black")
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in ax.texts]  # without the lines that lead to points
    around = ax.transData.transform(np.stack([x.mean(0)] * 2, 1))
    assert len(boxes) == 3 and not [b for b in boxes for point in around if b.contains(*point)]
    assert not [b for b in boxes if b.y0 < ax.transData.transform((0, 2.1))[1] < b.y1]
    inside = ax.get_window_extent()
    assert all(inside.contains(b.x0, b.y0) and inside.contains(b.x1, b.y1) for b in boxes)


def test_a_mean_at_the_edge_of_its_axes_is_drawn_whole():
    _, [ax] = figures.panels()
    figures.points(ax, ["a"], {"m=1": np.array([[100.0]]), "m=3": np.array([[60.0]])})
    figures.shade_gap(ax)
    marks = [line for line in ax.get_lines() if line.get_marker() in "os"]
    assert ax.get_xlim()[1] == 100 and ax.get_xlim()[0] < 60 and not any(line.get_clip_on() for line in marks)


def test_a_level_ends_where_the_line_does_whose_name_stands_beside_it():
    _, [ax] = figures.panels()
    figures.line(ax, [1, 2], np.array([[60.0, 70.0]]), "own teacher")
    figures.level(ax, 65, "asked")
    [segment] = ax.collections[-1].get_segments()
    assert segment.tolist() == [[1, 65], [2, 65]]


def test_panels_have_the_heights_that_are_asked_for():
    figure, axes = figures.panels(2, (3.0, 1.0))
    assert figure.get_figheight() == 4 and axes[0].get_gridspec().get_height_ratios() == (3.0, 1.0)


def test_no_two_things_of_the_book_look_the_same_and_a_new_one_needs_a_look():
    assert len(set(figures._KEYS.values())) == len(figures._KEYS)
    _, [ax] = figures.panels()
    with pytest.raises(KeyError, match="something new"):
        figures.line(ax, [1, 2], np.ones((2, 2)), "something new")


def test_labels_of_lines_do_not_lie_on_each_other_whatever_is_set_after_they_are_drawn():
    figure, axes = figures.panels(2)
    for ax in axes:
        for i, key in enumerate(("m=1", "m=3", "m=5", "unseen", "teacher")):
            figures.line(ax, [1, 2], np.array([[0, 50 + i / 9], [0, 50 + i / 8]]), key)
        ax.set_ylim(0, 100)
    figure.draw_without_rendering()
    for ax in axes:
        boxes = [text.get_window_extent() for text in ax.texts]
        assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]


def test_the_gap_reaches_from_the_mean_agreement_to_all_of_the_inputs():
    _, [ax] = figures.panels()
    figures.line(ax, [1, 2], np.array([[60.0, 70.0], [80.0, 90.0]]), "own teacher")
    figures.line(ax, [1, 2], np.array([[50.0, 50.0], [52.0, 52.0]]), "m=1")
    figures.line(ax, [1, 2], np.array([[99.0, 99.0]]), "unseen", style="--")
    figures.shade_gap(ax)
    corners = ax.collections[-1].get_paths()[0].vertices
    assert {(1, 70), (2, 80), (1, 100), (2, 100)} <= {tuple(c) for c in corners} and ax.get_ylim()[1] == 100
    _, [ax] = figures.panels()
    figures.points(ax, ["a"], {"m=1": np.array([[60.0]]), "m=3": np.array([[70.0]]), "unseen": np.array([[90.0]])})
    figures.shade_gap(ax)
    [bar] = ax.patches
    assert (bar.get_x(), bar.get_width(), ax.get_xlim()[1]) == (70, 30, 100)
    _, [ax] = figures.panels()
    figures.scatter(ax, np.array([[60.0, 80.0]]), np.array([[1.0, 2.0]]), ["", ""], "m=1")
    figures.shade_gap(ax)
    assert ax.get_xlim()[1] == 100 and ax.patches[0].get_x() == 80
    shown = figures.ways([("one", np.array([50.0, 50.0]), np.array([70.0, 72.0]))])
    [bar] = shown.patches
    assert (bar.get_x(), bar.get_width()) == (71, 29) and "gap 29" in [text.get_text() for text in shown.texts]


def test_a_row_that_waits_for_its_runs_has_no_gap_and_raises_no_warning(recwarn):
    _, [ax] = figures.panels()
    figures.points(ax, ["a", "b"], {"m=1": np.array([[60.0, np.nan]]), "m=3": np.array([[70.0, np.nan]])})
    figures.shade_gap(ax)
    assert ax.patches[0].get_x() == 70 and np.isnan(ax.patches[1].get_width()) and not recwarn.list


def test_another_machines_runs_are_rings_over_what_is_drawn_and_nothing_else():
    _, [ax] = figures.panels()
    figures.line(ax, [1, 2], np.array([[60.0, 70.0]]), "own teacher")
    before = len(ax.lines), len(ax.texts), len(ax.collections)
    with figures.over():
        figures.line(ax, [1, 2], np.array([[61.0, 71.0]]), "own teacher")
        figures.shade_gap(ax)
    ring = ax.lines[-1]
    assert (len(ax.lines), len(ax.texts), len(ax.collections)) == (before[0] + 1, *before[1:])
    assert list(ring.get_ydata()) == [61, 71] and ring.get_markerfacecolor() == "none"
