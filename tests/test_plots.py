"""What is prepared for the figures is right, and every figure draws, on given axes and on its own."""

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from acrlls.calibration import registry as calibration
from acrlls.config import UserError
from acrlls.figures import plots
from acrlls.figures.style import spread

NAMES = ("COVID", "Lung Opacity", "Normal", "Viral Pneumonia")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def figure_of(axes):
    return np.ravel(np.asarray(axes, object))[0].figure


def texts(axes):
    figure_of(axes).canvas.draw()
    return [t.get_text() for t in figure_of(axes).findobj(matplotlib.text.Text) if t.get_text()]


def history(first=3, second=2):
    rows = [(1, e) for e in range(1, first + 1)] + [(2, e) for e in range(1, second + 1)]
    table = pd.DataFrame(rows, columns=["phase", "epoch"])
    for k, name in enumerate(("loss", "accuracy", "val_loss", "val_accuracy", "seconds")):
        table[name] = np.random.default_rng(k).random(len(rows))
    return table


def scales():
    table = history()[["phase", "epoch"]]
    return table.assign(**{name: 1 - 0.02 * k * np.arange(1, 6) for k, name in enumerate(NAMES)})


def predictions(n=500):
    z = 3 * np.random.default_rng(0).normal(size=(n, 4))
    return softmax(z, axis=1), z.argmax(axis=1)


def pictures(n=24, size=20):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (n, size, size), np.uint8), np.arange(n) % 4
    return SimpleNamespace(
        class_names=NAMES, labels=labels, image=lambda i: images[i], images=images
    )


def test_the_grid_is_sorted_and_its_best_is_the_lowest_loss():
    table = pd.DataFrame(
        {
            "alpha": [0.2, 0.1, 0.1],
            "tau": [0.3, 0.3, 0.2],
            "val_loss": [0.5, 0.4, 0.6],
            "val_accuracy": [0.8, 0.7, 0.9],
        }
    )
    grid = plots.prepare_tuning(table)
    np.testing.assert_array_equal(grid.loss, [[0.6, 0.4], [np.nan, 0.5]])
    np.testing.assert_array_equal(grid.accuracy, [[0.9, 0.7], [np.nan, 0.8]])
    assert grid.best == (0, 1)
    written = texts(plots.plot_tuning(grid, published=(0.2, 0.3)))
    assert {"0.4000", "70.0 %", "not run", "lowest here", "the paper's"} <= set(written)
    assert "the paper's" not in texts(plots.plot_tuning(grid, published=(0.08, 0.25)))
    assert "lowest, as in the paper" in texts(plots.plot_tuning(grid, published=(0.1, 0.3)))


def test_a_grid_of_one_pair_draws():
    table = pd.DataFrame({"alpha": [0.1], "tau": [0.2], "val_loss": [0.5], "val_accuracy": [0.8]})
    assert "0.5000" in texts(plots.plot_tuning(plots.prepare_tuning(table)))


def test_epochs_are_numbered_through_and_the_kept_ones_have_the_lowest_validation_loss():
    table = history().sample(frac=1, random_state=0)
    curves = plots.prepare_curves(table)
    np.testing.assert_array_equal(curves.epoch, [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(curves.phase, [1, 1, 1, 2, 2])
    assert curves.starts == [0, 3] and "seconds" not in curves.values
    validation = history()["val_loss"]
    assert curves.best == (validation[:3].argmin(), 3 + validation[3:].argmin())


def test_learning_curves_draw_and_phases_are_not_joined():
    axes = plots.plot_learning(plots.prepare_curves(history()))
    assert {"Phase 1", "Phase 2", "training", "validation"} <= set(texts(axes))
    assert not any(
        {3, 4} <= set(line.get_xdata()) for line in axes[0].lines if line.get_marker() != "o"
    )
    assert "Phase 2" not in texts(plots.plot_learning(plots.prepare_curves(history(1, 0))))


def test_lls_paths_end_at_their_last_scale_with_the_published_ones_dashed():
    published = {"COVID": (0.8872, 0.8759), "Normal": (1.0365, 1.0399)}
    ax = plots.plot_lls(plots.prepare_curves(scales()), published)
    assert {"COVID  1.000", "Viral Pneumonia  0.700"} <= set(texts(ax))
    dashed = sorted(
        line.get_ydata()[0]
        for line in ax.lines
        if line.is_dashed() and len(set(line.get_ydata())) == 1
    )
    assert dashed == sorted([0.8872, 0.8759, 1.0365, 1.0399])
    assert "epoch" in texts(plots.plot_lls(plots.prepare_curves(scales())))
    with pytest.raises(UserError, match="no LLS scales"):
        plots.plot_lls(plots.prepare_curves(scales()[:0]))


def test_labels_are_moved_apart_no_more_than_needed():
    np.testing.assert_allclose(spread([0, 10, 20], 1), [0, 10, 20])
    np.testing.assert_allclose(spread([5, 5], 2), [4, 6])
    placed = spread([1.0, 0.9, 1.05, 3], 0.5)
    assert (np.diff(np.sort(placed)) > 0.4999).all()
    assert placed.argsort().tolist() == [1, 0, 2, 3] and placed[3] == 3
    assert placed[:3].mean() == pytest.approx(np.mean([1.0, 0.9, 1.05]))


@pytest.mark.parametrize(
    "top_label, strategy", [(False, "uniform"), (True, "uniform"), (False, "quantile")]
)
def test_reliability_draws_a_point_a_bin_that_is_not_empty(top_label, strategy):
    p, y = predictions()
    data = calibration.prepare_reliability(
        p, y, 10, NAMES, of="top_label" if top_label else "classes", strategy=strategy, resamples=50
    )
    axes = plots.plot_reliability(data)
    assert axes.shape == (len(data.titles), 2)
    for k, (ax, _) in enumerate(axes):
        points = next(line for line in ax.lines if line.get_marker() == "o")
        np.testing.assert_array_equal(points.get_xdata(), data.confidence[k][data.count[k] > 0])
        assert f"ECE {data.ece[k]:.4f}" in texts(axes)


def test_two_models_are_laid_over_each_other_and_one_class_can_be_taken_alone():
    p, y = predictions()
    sharp = softmax(2 * np.log(p + 1e-9), axis=1)
    both = {
        "plain": calibration.prepare_reliability(p, y, 10, NAMES, resamples=20),
        "sharp": calibration.prepare_reliability(sharp, y, 10, NAMES, resamples=20),
    }
    axes = plots.plot_reliability(both)
    for k, (ax, under) in enumerate(axes):
        for marker, data in zip("os", both.values(), strict=True):
            points = next(line for line in ax.lines if line.get_marker() == marker)
            np.testing.assert_array_equal(points.get_ydata(), data.frequency[k][data.count[k] > 0])
        drawn = [patch.get_data().values for patch in under.patches]
        np.testing.assert_array_equal(drawn, [data.count[k] for data in both.values()])
    assert {f"{name}: ECE {data.ece[0]:.4f}" for name, data in both.items()} <= set(texts(axes))
    one = both["plain"].panel("Normal")
    assert one.titles == ("Normal",) and one.level == both["plain"].level
    np.testing.assert_array_equal(one.count, both["plain"].count[[2]])
    assert plots.plot_reliability(one).shape == (1, 2)
    with pytest.raises(ValueError, match="no panel 'Flu'.*COVID"):
        both["plain"].panel("Flu")
    with pytest.raises(ValueError, match="same panels"):
        plots.plot_reliability({"all": both["plain"], "one": one})


def test_the_confusion_matrix_shows_counts_and_shares_of_rows():
    written = texts(plots.plot_confusion([[8, 2], [0, 0]], ("a", "b")))
    assert {"8", "2", "80.0 %", "20.0 %", "a\n10", "b\n0"} <= set(written)


def test_the_ablation_holds_the_ece_and_the_noise_floor_of_each_model():
    p, y = predictions()
    sharp = softmax(2 * np.log(p + 1e-9), axis=1)
    data = plots.prepare_ablation(
        {"one": (p, y), "two": (sharp, y)}, NAMES, bins=10, resamples=40, seed=3
    )
    np.testing.assert_allclose(data.ece, [calibration.classwise_ece(q, y, 10) for q in (p, sharp)])
    floor = calibration.noise_floor(sharp, bins=10, resamples=40, seed=3)
    np.testing.assert_allclose(data.floor_mean[1], floor.mean)
    assert (data.floor_low <= data.floor_mean).all() and (data.floor_mean <= data.floor_high).all()
    axes = plots.plot_ablation(data, {"one": (0.1, 0.2, np.nan, 0.4), "not here": (0, 0, 0, 0)})
    assert {"one", "two", *NAMES} <= set(texts(axes)) and "not here" not in texts(axes)
    assert axes[1].get_xlim()[1] > 0.2


def test_examples_are_of_their_class_and_follow_the_seed():
    data = pictures()
    found = plots.prepare_examples(data, per_class=3, seed=1)
    again = plots.prepare_examples(data, per_class=3, seed=1)
    assert [len(row) for row in found] == [3, 3, 3, 3]
    for k, (row, same) in enumerate(zip(found, again, strict=True)):
        for picture, other in zip(row, same, strict=True):
            assert (picture == other).all()
            assert k in data.labels[(data.images == picture).all(axis=(1, 2))]
    assert "COVID\n3,616" in texts(plots.plot_examples(found, NAMES, counts=[3616, 1, 1, 1]))
    assert len(plots.prepare_examples(data, per_class=50)[0]) == 6


def test_the_first_augmented_view_is_the_original():
    from acrlls.data import Augmentation

    image = pictures().images[0]
    views = plots.prepare_augmentation(image, Augmentation(), 20, views=7)
    assert views.shape == (8, 20, 20)
    np.testing.assert_array_equal(views[0], image)
    assert all((view != image).any() for view in views[1:])
    assert "original" in texts(plots.plot_augmentation(views))


def test_chosen_examples_are_right_and_wrong_as_asked():
    labels, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 0])
    grid = plots.choose_examples(labels, predicted, 3, right=2, wrong=1)
    assert sorted(grid[0, :2]) == [0, 1] and grid[0, 2] == 2
    assert sorted(grid[1, :2]) == [3, 4] and grid[1, 2] == -1
    assert grid[2].tolist() == [-1, -1, 5]


def test_gradcam_says_what_was_predicted_and_how_much_heat_is_in_the_lungs():
    data = pictures()
    predicted = data.labels.copy()
    predicted[:4] = (data.labels[:4] + 1) % 4
    heat = np.random.default_rng(1).random(data.images.shape)
    masks = np.zeros(heat.shape, bool)
    masks[:, 5:15, 5:15] = True
    grid = plots.choose_examples(data.labels, predicted, 4, right=1, wrong=2)
    confidence, share = np.full(24, 0.875), np.full(24, 0.25)
    axes = plots.plot_gradcam(grid, data.images, heat, predicted, confidence, NAMES, masks, share)
    written = texts(axes)
    assert "✓ COVID 0.88 · 25 % of heat in lungs" in written
    assert "✗ Lung Opacity 0.88 · 25 % of heat in lungs" in written
    assert "none" in written
    assert "✓ COVID 0.88" in texts(
        plots.plot_gradcam(grid, data.images, heat, predicted, confidence, NAMES)
    )


@pytest.fixture(scope="module")
def network():
    from acrlls.config import configure
    from acrlls.method.model import build_model, freeze_backbone

    model = build_model(
        configure("paper", backbone="random", backbone_width=0.35, image_size=64), 4
    )
    freeze_backbone(model)
    return model


def test_the_architecture_is_read_from_the_model(network):
    blocks = plots.prepare_architecture(network, unfrozen=50)
    titles = [b.title for b in blocks]
    assert titles == [
        "Image",
        "MobileNetV2, first 103 layers",
        "MobileNetV2, last 50 layers",
        "Global average pooling",
        "Dense 256",
        "Dropout 0.4",
        "Dense 128",
        "Dropout 0.3",
        "Dense 4",
        "ACR",
        "LLS",
        "Softmax",
    ]
    assert blocks[2].detail == "from block_11_project" and blocks[2].kind == "phase 2"
    assert sum(b.parameters for b in blocks) == network.count_params()
    assert blocks[4].shape == (256,) and blocks[4].parameters == 1280 * 256 + 256
    assert "α = 0.08, τ = 0.25" in blocks[9].detail
    assert {*titles, "frozen in both phases"} <= set(texts(plots.plot_architecture(blocks)))


def test_without_a_number_the_frozen_part_is_what_does_not_learn_now(network):
    from acrlls.method.model import freeze_backbone, unfreeze_top

    assert plots.prepare_architecture(network)[1].title == "MobileNetV2, all 153 layers"
    unfreeze_top(network, 50, "frozen")
    assert [b.kind for b in plots.prepare_architecture(network)[1:3]] == ["frozen", "phase 2"]
    freeze_backbone(network)


def test_figures_draw_on_the_axes_they_are_given():
    figure, axes = plt.subplots(4, 4)
    p, y = predictions()
    grid = plots.prepare_tuning(history().rename(columns={"phase": "alpha", "epoch": "tau"}))
    assert plots.plot_tuning(grid, ax=axes[0, 0]) is axes[0, 0]
    assert plots.plot_lls(plots.prepare_curves(scales()), ax=axes[0, 1]) is axes[0, 1]
    assert plots.plot_confusion(np.eye(4, dtype=int), NAMES, ax=axes[0, 2]) is axes[0, 2]
    plots.plot_learning(plots.prepare_curves(history()), axes=axes[1, :2])
    data = calibration.prepare_reliability(p, y, of="top_label", resamples=20)
    plots.plot_reliability(data, axes=axes[1, 2:])
    plots.plot_ablation(plots.prepare_ablation({"one": (p, y)}, NAMES, resamples=20), axes=axes[2])
    plots.plot_augmentation(pictures().images[:4], axes=axes[3])
    figure.canvas.draw()
    assert plt.get_fignums() == [figure.number]


def test_the_look_of_the_book_does_not_leak_into_the_readers_settings():
    before = dict(matplotlib.rcParams)
    plots.plot_confusion(np.eye(2, dtype=int), ("a", "b"))
    assert dict(matplotlib.rcParams) == before
    with plots.style():
        assert matplotlib.rcParams["axes.spines.top"] is False


def test_an_interval_that_holds_the_line_is_drawn_hollow():
    table = pd.DataFrame(
        {"estimate": [0.1, 0.5], "low": [-0.1, 0.4], "high": [0.3, 0.6]}, index=["near", "far"]
    )
    marks = pd.DataFrame({"area": [0.2, 0.3]}, index=table.index)
    ax = plots.plot_intervals(table, marks, line=0, title="Gaps")
    points = [line for line in ax.lines if line.get_marker() == "o"]
    assert {line.get_markerfacecolor() for line in points if list(line.get_xdata()) == [0.1]} == {
        "white"
    }
    assert {"near", "far", "area", "Gaps"} <= set(texts(ax))


def test_the_floor_over_bins_has_a_panel_a_class_and_a_dashed_line_where_the_truth_is_known():
    p, y = predictions()
    tables = {b: calibration.noise_floor(p, y, b, 20).table(NAMES) for b in (5, 10, 15)}
    truth = pd.DataFrame({"Normal": [0.1, 0.2, 0.3]}, index=[5, 10, 15])
    axes = plots.plot_floor(tables, truth)
    assert {*NAMES, "Top label"} <= set(texts(axes))
    lines = {ax.get_title(loc="left"): ax.lines for ax in axes}
    assert len(lines["Normal"]) == len(lines["COVID"]) + 1
    assert list(lines["COVID"][1].get_ydata()) == [
        table.loc["COVID", "observed"] for table in tables.values()
    ]


def test_true_probabilities_stand_under_their_images():
    eta = np.array([[0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]])
    axes = plots.plot_truth(np.zeros((2, 8, 8)), eta, [0, 3], NAMES)
    assert {"0.70", "0.25", "Viral Pneumonia"} <= set(texts(axes))
    assert [bar.get_width() for bar in axes[1, 0].patches] == pytest.approx(eta[0])


def test_masks_are_outlined_whatever_their_size_and_left_out_where_unknown():
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    axes = plots.plot_masks(
        np.zeros((2, 8, 8)), [mask, None], [mask, np.zeros((20, 20), bool)], NAMES[:2]
    )
    assert len(axes[0, 0].collections) == 2 and not axes[0, 1].collections


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
    index = pd.MultiIndex.from_product(
        [["uniform", "smooth"], [100, 1000], [15]], names=["estimator", "n", "bins"]
    )
    study = pd.DataFrame(
        {"truth": 0.02, "mean": [0.08, 0.04, 0.05, 0.03], "q05": 0.01, "q95": 0.1}, index
    )
    axes = plots.plot_estimators(
        {"one": study, "other": study / 2}, {"uniform": "ECE", "smooth": "Smooth"}
    )
    assert [ax.get_title(loc="left") for ax in axes] == ["ECE", "Smooth"]
    mean, truth, other = axes[0].lines[:3]
    np.testing.assert_array_equal(mean.get_xydata(), [[100, 0.08], [1000, 0.04]])
    np.testing.assert_array_equal(truth.get_ydata(), [0.02, 0.02])
    np.testing.assert_array_equal(other.get_ydata(), [0.04, 0.02])
    assert axes[0].get_xscale() == "log"


def test_intervals_that_miss_the_truth_are_counted_and_drawn_apart():
    table = pd.DataFrame(
        {"estimate": [0.1, 0.2, 0.3], "low": [0.0, 0.15, 0.1], "high": [0.15, 0.25, 0.4]}
    )
    (ax,) = plots.plot_repeated_intervals({"way": table}, truth=0.12)
    assert ax.get_title(loc="left") == "way\n1 of 3 miss the truth"
    held, missed = ax.collections
    assert (len(held.get_segments()), len(missed.get_segments())) == (2, 1)
    assert missed.get_segments()[0][0][1] == 1
