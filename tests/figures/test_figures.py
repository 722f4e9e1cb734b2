"""Every figure draws, and shows what it was given."""

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from acrlls import calibration
from acrlls import figures as plots

NAMES = ("COVID", "Lung Opacity", "Normal", "Viral Pneumonia")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def texts(axes):
    figure = np.ravel(np.asarray(axes, object))[0].figure
    figure.canvas.draw()
    return [t.get_text() for t in figure.findobj(matplotlib.text.Text) if t.get_text()]


def history(first=3, second=2):
    rows = [(1, e) for e in range(1, first + 1)] + [(2, e) for e in range(1, second + 1)]
    table = pd.DataFrame(rows, columns=["phase", "epoch"])
    for k, name in enumerate(("loss", "accuracy", "val_loss", "val_accuracy")):
        table[name] = np.random.default_rng(k).random(len(rows))
    return table


def predictions(n=500):
    z = 3 * np.random.default_rng(0).normal(size=(n, 4))
    return softmax(z, axis=1), z.argmax(axis=1)


def test_the_grid_is_sorted_and_its_best_is_the_lowest_loss():
    table = pd.DataFrame({"alpha": [0.2, 0.1, 0.1, 0.2], "tau": [0.3, 0.3, 0.2, 0.2]})
    table = table.assign(val_loss=[0.5, 0.4, 0.6, 0.7], val_accuracy=[0.8, 0.7, 0.9, 0.6])
    ax = plots.plot_tuning(table, (0.2, 0.3))
    places = {t.get_text(): t.get_position() for t in ax.texts}
    assert places["0.6000"][0] == 0 and places["0.5000"][0] == places["0.4000"][0] == 1
    assert places["0.5000"][1] > places["0.4000"][1] == places["0.6000"][1]
    assert {"0.4000", "70.0 %"} <= set(texts(ax))
    lowest, paper = ax.patches
    assert (lowest.get_center(), lowest.get_linestyle()) == (pytest.approx((1, 0)), "solid")
    assert (paper.get_center(), paper.get_linestyle()) == (pytest.approx((1, 1)), "dashed")
    assert len(plots.plot_tuning(table, (0.08, 0.25)).patches) == 1


def test_learning_curves_ring_the_kept_epochs_and_do_not_join_the_phases():
    axes = plots.plot_learning(history())
    assert {"Phase 1", "Phase 2", "training", "validation"} <= set(texts(axes))
    lines = [line for line in axes[0].lines if line.get_marker() == "None"]
    assert not any({3, 4} <= set(line.get_xdata()) for line in lines)
    validation = history()["val_loss"]
    best = [1 + validation[:3].argmin(), 4 + validation[3:].argmin()]
    rings = next(line for line in axes[0].lines if line.get_markerfacecolor() == "white")
    assert list(rings.get_xdata()) == best
    assert "Phase 2" not in texts(plots.plot_learning(history(1, 0)))


def test_lls_paths_end_at_their_last_scale_with_the_published_ones_dashed():
    published = {"COVID": (0.8872, 0.8759), "Normal": (1.0365, 1.0399)}
    paths = {name: 1 - 0.02 * k * np.arange(1, 6) for k, name in enumerate(NAMES)}
    ax = plots.plot_lls(history()[["phase", "epoch"]].assign(**paths), published)
    assert {"COVID  1.000", "Viral Pneumonia  0.700"} <= set(texts(ax))
    dashed = [lines.get_segments()[0][0][1] for lines in ax.collections]
    assert dashed == [0.8872, 0.8759, 1.0365, 1.0399]


@pytest.mark.parametrize("of", ["classes", "top_label"])
def test_reliability_draws_a_point_a_bin_that_is_not_empty(of):
    data = calibration.prepare_reliability(*predictions(), 10, NAMES, of=of, resamples=50)
    axes = plots.plot_reliability(data)
    assert axes.shape == (len(data.titles), 2)
    for k, (ax, _) in enumerate(axes):
        points = next(line for line in ax.lines if line.get_marker() == "o")
        np.testing.assert_array_equal(points.get_xdata(), data.confidence[k][data.count[k] > 0])
        assert f"ECE {data.ece[k]:.4f}" in texts(axes)


def test_the_confusion_matrix_shows_counts_and_shares_of_rows():
    written = texts(plots.plot_confusion([[8, 2], [0, 0]], ("a", "b")))
    assert {"8\n80.0 %", "2\n20.0 %", "0\n0.0 %", "a\n10", "b\n0"} <= set(written)


def test_the_look_of_the_book_does_not_leak_into_the_readers_settings():
    before = dict(matplotlib.rcParams)
    plots.plot_confusion(np.eye(2, dtype=int), ("a", "b"))
    assert dict(matplotlib.rcParams) == before
    with plots.style():
        assert matplotlib.rcParams["axes.spines.top"] is False


def test_an_interval_that_holds_the_line_is_drawn_hollow():
    ends = {"estimate": [0.1, 0.5], "low": [-0.1, 0.4], "high": [0.3, 0.6]}
    table = pd.DataFrame(ends, index=["near", "far"])
    marks = pd.DataFrame({"area": [0.2, 0.3]}, index=table.index)
    ax = plots.plot_intervals(table, marks, line=0, title="Gaps")
    points = [line for line in ax.lines if line.get_marker() == "o"]
    faces = {line.get_markerfacecolor() for line in points if list(line.get_xdata()) == [0.1]}
    assert faces == {"white"}
    assert {"near", "far", "area", "Gaps"} <= set(texts(ax))


def test_the_floor_over_bins_has_a_panel_a_class_and_a_dashed_line_where_the_truth_is_known():
    p, y = predictions()
    tables = {b: calibration.noise_floor(p, y, b, 20).table(NAMES) for b in (5, 10, 15)}
    truth = pd.DataFrame(0.1, index=[5, 10, 15], columns=[*NAMES, "Top label"])
    known, unknown = plots.plot_floor(tables, truth), plots.plot_floor(tables)
    assert {*NAMES, "Top label"} <= set(texts(known))
    assert all(len(a.lines) == len(b.lines) + 1 for a, b in zip(known, unknown, strict=True))
    shown = [table.loc["COVID", "observed"] for table in tables.values()]
    assert list(unknown[0].lines[1].get_ydata()) == shown
    highest = max(line.get_ydata().max() for ax in unknown for line in ax.lines)
    assert {ax.get_ylim()[0] for ax in unknown} == {0}
    assert all(ax.get_ylim()[1] > highest for ax in unknown)


def test_a_figure_leaves_the_notebooks_way_of_showing_figures_as_it_set_it():
    before = plt.isinteractive()
    try:
        plt.ioff()
        with plots.style():
            plt.ion()  # as the backend of a notebook does at the first figure
        assert plt.isinteractive()
    finally:
        matplotlib.interactive(before)


def test_estimates_stand_over_the_images_with_their_truth_dashed():
    index = pd.MultiIndex.from_product([["uniform", "smooth"], [100, 1000]])
    study = pd.DataFrame(
        {"truth": 0.02, "mean": [0.08, 0.04, 0.05, 0.03], "q05": 0.01, "q95": 0.1}, index
    )
    titles = {"uniform": "ECE", "smooth": "Smooth"}
    axes = plots.plot_estimators({"one": study, "other": study / 2}, titles)
    assert [ax.get_title(loc="left") for ax in axes] == ["ECE", "Smooth"]
    mean, truth, other = axes[0].lines[:3]
    np.testing.assert_array_equal(mean.get_xydata(), [[100, 0.08], [1000, 0.04]])
    np.testing.assert_array_equal(truth.get_ydata(), [0.02, 0.02])
    np.testing.assert_array_equal(other.get_ydata(), [0.04, 0.02])


# Radiographs, and the drawing of the network


def pictures(n=24, size=20):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (n, size, size), np.uint8), np.arange(n) % 4
    return SimpleNamespace(
        class_names=NAMES, labels=labels, image=lambda i: images[i], images=images
    )


def test_examples_are_of_their_class_and_follow_the_seed():
    data = pictures()
    axes, again = (plots.plot_examples(data, per_class=7, seed=1) for _ in range(2))
    for k, (row, same) in enumerate(zip(axes, again, strict=True)):
        shown = [ax.images[0].get_array() for ax in row if ax.images]
        assert len(shown) == 6  # all that there are
        for picture, ax in zip(shown, same, strict=False):
            assert (picture == ax.images[0].get_array()).all()
            assert k in data.labels[(data.images == picture).all(axis=(1, 2))]
    assert "COVID\n6" in texts(axes)


def test_the_first_augmented_view_is_named():
    assert texts(plots.plot_augmentation(np.zeros((4, 8, 8)))) == ["original"]


def test_chosen_examples_are_right_and_wrong():
    labels, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 0])
    grid = plots.choose_examples(labels, predicted, 3)
    assert grid[0, 0] in (0, 1) and grid[0, 1] == 2
    assert grid[1, 0] in (3, 4) and grid[1, 1] == -1
    assert grid[2].tolist() == [-1, 5]


def test_gradcam_says_what_was_predicted_and_how_much_heat_is_in_the_lungs():
    data = pictures()
    predicted = data.labels.copy()
    predicted[0] = 1
    heat = np.random.default_rng(1).random(data.images.shape)
    masks = np.zeros(heat.shape, bool)
    masks[:, 5:15, 5:15] = True
    grid = np.array([[4, 0], [1, -1], [2, -1], [3, -1]])
    confidence, share = np.full(24, 0.875), np.full(24, 0.25)
    axes = plots.plot_gradcam(grid, data.images, heat, predicted, confidence, NAMES, masks, share)
    written = texts(axes)
    assert "✓ COVID 0.88 · 25 % of heat in lungs" in written
    assert "✗ Lung Opacity 0.88 · 25 % of heat in lungs" in written and "none" in written
    unknown = np.full(24, np.nan)
    axes = plots.plot_gradcam(grid, data.images, heat, predicted, confidence, NAMES, None, unknown)
    assert "✓ COVID 0.88" in texts(axes)
    heat[4] = 0
    axes = plots.plot_gradcam(grid, data.images, heat, predicted, confidence, NAMES, masks, unknown)
    assert "✓ COVID 0.88 · no positive heat" in texts(axes)


@pytest.fixture(scope="module")
def network():
    from acrlls.config import configure
    from acrlls.method import build_model

    return build_model(configure("paper", backbone="random", backbone_width=0.35, image_size=64), 4)


def test_the_architecture_is_read_from_the_model(network):
    blocks = plots.prepare_architecture(network, unfrozen=50)
    titles = [b.title for b in blocks]
    base = ["Image", "MobileNetV2, first 103 layers", "MobileNetV2, last 50 layers"]
    head = ["Global average pooling", "Dense 256", "Dropout 0.4", "Dense 128", "Dropout 0.3"]
    assert titles == [*base, *head, "Dense 4", "ACR", "LLS", "Softmax"]
    assert blocks[2].detail == "from block_11_project" and blocks[2].kind == "phase 2"
    assert sum(b.parameters for b in blocks) == network.count_params()
    assert blocks[4].shape == (256,) and blocks[4].parameters == 1280 * 256 + 256
    assert "α = 0.08, τ = 0.25" in blocks[9].detail
    assert {*titles, "frozen in both phases"} <= set(texts(plots.plot_architecture(blocks)))


def test_true_probabilities_and_outlines_of_what_there_is_stand_with_their_images():
    eta = np.array([[0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]])
    masks = np.zeros((2, 2, 8, 8), bool)
    masks[:, 0, 2:6, 2:6] = True  # the second image has no finding, and no lung in the frame
    axes = plots.plot_truth(np.zeros((2, 8, 8)), masks, eta, [0, 3], NAMES)
    assert {"0.70", "0.25", "Viral Pneumonia"} <= set(texts(axes))
    assert [bar.get_width() for bar in axes[1, 0].patches] == pytest.approx(eta[0])
    assert [len(ax.collections) for ax in axes[0]] == [2, 0]


def test_a_sheet_of_pictures_shows_their_titles_and_nothing_that_tells_more():
    axes = plots.plot_pictures(np.zeros((7, 8, 8)), range(1, 8))
    assert texts(axes) == list("1234567")
    assert not any(ax.collections or ax.lines or ax.texts for ax in axes)


def test_a_network_has_a_dot_a_run_below_its_name_and_a_band_up_to_its_highest_floor():
    groups = {"as published": {"Baseline": [0.03, 0.05], "Proposed": [0.02]}}
    floors = {"as published": {"Baseline": [0.01, 0.012], "Proposed": [0.011]}}
    ax = plots.plot_networks(groups, floors, "ECE", {"as published": {"Proposed": 0.005}})
    *rows, diamond = ax.collections
    bands, inner, dots = rows[::3], rows[1::3], rows[2::3]
    assert [list(d.get_offsets()[:, 0]) for d in dots] == list(groups["as published"].values())
    assert [line.get_xdata()[1] for line in ax.lines] == [pytest.approx(0.04), 0.02]  # the mean
    for kind, ends in ((bands, [0.012, 0.011]), (inner, [0.01, 0.011])):
        assert [band.get_paths()[0].vertices[:, 0].max() for band in kind] == ends
    assert diamond.get_offsets()[0].tolist() == [0.005, dots[1].get_offsets()[0, 1]]
    heights = {t.get_text(): t.xy[1] for t in ax.texts}
    first, second = (d.get_offsets()[0, 1] for d in dots)
    assert heights["as published"] < heights["Baseline"] < first < heights["Proposed"] < second
    without = plots.plot_networks(groups, None, "ECE").collections
    assert {band.get_paths()[0].vertices[:, 0].max() for band in without[::3]} == {0}


def test_a_run_that_is_not_above_its_own_floor_is_hollow():
    ax = plots.plot_networks({"a": {"b": [0.01, 0.02]}}, {"a": {"b": [0.015, 0.015]}}, "ECE")
    fills = ax.collections[2].get_facecolors()
    assert (fills[0, :3] == 1).all() and not (fills[1, :3] == 1).all()
