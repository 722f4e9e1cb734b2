"""Figures that show radiographs, and the drawing of the network."""

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

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


@pytest.fixture(scope="module")
def network():
    from acrlls.config import configure
    from acrlls.method import build_model

    return build_model(configure("paper", backbone="random", backbone_width=0.35, image_size=64), 4)


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


def test_true_probabilities_and_outlines_of_what_there_is_stand_with_their_images():
    eta = np.array([[0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]])
    masks = np.zeros((2, 2, 8, 8), bool)
    masks[:, 0, 2:6, 2:6] = True  # the second image has no finding, and no lung in the frame
    axes = plots.plot_truth(np.zeros((2, 8, 8)), masks, eta, [0, 3], NAMES)
    assert {"0.70", "0.25", "Viral Pneumonia"} <= set(texts(axes))
    assert [bar.get_width() for bar in axes[1, 0].patches] == pytest.approx(eta[0])
    assert [len(ax.collections) for ax in axes[0]] == [2, 0]


class Many:
    """Images of 80 classes, three each."""

    class_names = tuple(f"class {k}" for k in range(80))
    labels = np.repeat(np.arange(80), 3)

    def image(self, i):
        return np.full((8, 8), i, np.uint8)


def test_of_many_classes_the_first_are_drawn_and_the_rest_is_said_to_be_left_out():
    many = Many()
    p = np.full((240, 80), 1 / 80)
    scales = pd.DataFrame({"phase": 1, "epoch": [1, 2], **dict.fromkeys(many.class_names, 1.0)})
    prepared = calibration.prepare_reliability(p, many.labels, 15, many.class_names, resamples=19)
    floor = calibration.noise_floor(p, many.labels, 15, 19).table(many.class_names)
    drawn = [
        plots.plot_examples(many)[0, 0],
        plots.plot_lls(scales, {}),
        plots.plot_reliability(prepared)[0, 0],
        plots.plot_floor({15: floor, 20: floor})[0],
    ]
    for ax in drawn:
        assert "the first 12 of 80 classes are shown" in ax.figure.get_supxlabel()
        assert len(ax.figure.axes) <= 6 * 12
        plt.close(ax.figure)
    assert plots.choose_examples(many.labels, many.labels, 80).shape == (12, 2)
    ax = plots.plot_confusion(np.eye(80, dtype=int), many.class_names)
    assert "80 classes" in ax.get_title("left") and not ax.texts
