"""Figures that show radiographs: examples, augmentation, true probabilities, masks, Grad-CAM."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

from acrlls.figures.style import INK, MUTED, WIDTH, WRONG, bare, colour, panels, styled


def prepare_examples(dataset, per_class: int = 6, seed: int = 0) -> list[list[np.ndarray]]:
    """Random images of each class, each at its own size: a list a class of grey ``(h, w)``."""
    rng, labels = np.random.default_rng(seed), np.asarray(dataset.labels)
    members = [np.flatnonzero(labels == k) for k in range(len(dataset.class_names))]
    return [[dataset.image(int(i)) for i in rng.permutation(m)[:per_class]] for m in members]


@styled
def plot_examples(
    pictures: Sequence[Sequence[np.ndarray]], class_names: Sequence[str], counts=None, axes=None
):
    """Example images, a row a class.

    Args:
        pictures: a list a class of grey images ``(h, w)``.
        counts: images of each class in the dataset, ``(classes,)``, to write beside its name.
        axes: ``(classes, columns)``.
    """
    rows, columns = len(pictures), max(map(len, pictures))
    if axes is None:
        axes = panels(rows * columns, columns, (WIDTH - 1.1) / columns, True)
    axes = np.reshape(axes, (rows, columns))
    for k, row in enumerate(axes):
        for ax, picture in zip(row, pictures[k], strict=False):
            _show(ax, picture)
        for ax in row[len(pictures[k]) :]:
            ax.set_axis_off()
        _row_name(row[0], class_names[k], k, "" if counts is None else f"\n{counts[k]:,}")
    return axes


def prepare_augmentation(image, augmentation, size: int, views: int = 11, seed: int = 0):
    """The image as it is and ``views`` random views of it, ``(1 + views, size, size)``.

    Args:
        image: grey uint8 ``(h, w)``.
        augmentation: an :class:`acrlls.data.Augmentation`.
        size: side of the views in pixels.
    """
    from acrlls.data import render

    rng = np.random.default_rng(seed)
    maps = [None, *(augmentation.matrix(rng) for _ in range(views))]
    return np.stack([render(image, size, matrix) for matrix in maps])


@styled
def plot_augmentation(views, columns: int = 6, axes=None):
    """The original, framed, and its augmented views."""
    axes = panels(len(views), columns, WIDTH / columns, True) if axes is None else np.ravel(axes)
    for ax, view in zip(axes, views, strict=False):
        _show(ax, view)
    axes[0].spines[:].set(visible=True, color=colour(0), linewidth=2)
    box = {"facecolor": colour(0), "edgecolor": "none", "pad": 2}
    how = {"transform": axes[0].transAxes, "va": "top", "color": "white", "size": 8}
    axes[0].text(0.04, 0.96, "original", bbox=box, **how)
    return axes


@styled
def plot_truth(pictures, eta, labels, class_names: Sequence[str], axes=None):
    """Images over bars of their true probabilities; above, the class that was drawn.

    Args:
        pictures: grey images, each ``(h, w)``.
        eta: true probabilities, ``(n, classes)``.
        labels: drawn labels, ``(n,)``.
        axes: ``(2, n)``.
    """
    n, classes = np.shape(eta)
    if axes is None:
        side, under = (WIDTH - 0.8) / n, 0.2 * classes
        ratios = {"height_ratios": [side, under]}
        axes = panels(2 * n, n, (side + under + 0.35) / 2, True, gridspec_kw=ratios)
    axes, shades = np.reshape(axes, (2, n)), [colour(k) for k in range(classes)]
    for i, (picture, bars) in enumerate(axes.T):
        _show(picture, pictures[i])
        _title(picture, class_names[labels[i]], colour(labels[i]))
        bars.barh(range(classes), eta[i], color=shades, height=0.75)
        for k, value in enumerate(eta[i]):
            bars.text(value + 0.04, k, f"{value:.2f}", va="center", size=8, color=INK)
        bars.set(xlim=(0, 1.5), ylim=(classes - 0.4, -0.6), xticks=[])
        bars.set_yticks(range(classes), class_names if i == 0 else [""] * classes)
        bars.tick_params(axis="y", length=0, labelcolor=INK, labelsize=8)
        bars.spines["bottom"].set_visible(False)
    return axes


@styled
def plot_masks(pictures, lungs, findings=None, titles=None, axes=None):
    """Images with the outline of the lungs, and of the findings where they are known.

    Args:
        pictures: grey images, each ``(h, w)``.
        lungs, findings: masks, each boolean of any shape, or None for none.
        titles: one text an image.
    """
    n = len(pictures)
    axes = panels(n, n, WIDTH / n + 0.25, True) if axes is None else axes
    for i, ax in enumerate(np.ravel(axes)[:n]):
        _show(ax, pictures[i], extent=(0, 1, 1, 0))
        for masks, shade in ((lungs, "#56B4E9"), (findings, "#E69F00")):
            if masks is not None and masks[i] is not None and 0 < masks[i].mean() < 1:
                down, across = ((np.arange(side) + 0.5) / side for side in masks[i].shape)
                ax.contour(across, down, masks[i], [0.5], colors=shade, linewidths=1.2)
        ax.set(xlim=(0, 1), ylim=(1, 0))
        if titles is not None:
            _title(ax, titles[i])
    return axes


def choose_examples(
    labels, predicted, classes: int, right: int = 1, wrong: int = 1, seed: int = 0
) -> np.ndarray:
    """Random images predicted rightly and wrongly, of each true class.

    Returns:
        Indices ``(classes, right + wrong)``, the right ones first; -1 where there are too few.
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    rng = np.random.default_rng(seed)
    chosen = np.full((classes, right + wrong), -1)
    for k in range(classes):
        for part, good in ((chosen[k, :right], True), (chosen[k, right:], False)):
            members = np.flatnonzero((labels == k) & ((predicted == k) == good))
            members = rng.permutation(members)[: len(part)]
            part[: len(members)] = members
    return chosen


@styled
def plot_gradcam(
    grid, images, heat, predicted, confidence, class_names, masks=None, share=None, axes=None
):
    """Grad-CAM: each chosen image beside the same image under its heat, a row a true class.

    Args:
        grid: positions in the arrays below, ``(classes, columns)``, -1 for none
            (:func:`choose_examples`).
        images: grey ``(n, h, w)``, 0 to 255.
        heat: ``(n, h, w)`` in [0, 1] (:func:`acrlls.method.gradcam`).
        predicted, confidence: class and probability of each image, ``(n,)``.
        masks: ``(n, h, w)`` lungs, outlined; or None.
        share: share of the heat inside the lungs, ``(n,)``; or None.
        axes: ``(classes, columns)``.
    """
    grid = np.asarray(grid)
    if axes is None:
        height = (WIDTH - 0.9) / grid.shape[1] / 2 + 0.22
        axes = panels(grid.size, grid.shape[1], height, True)
    axes = np.reshape(axes, grid.shape)
    for (k, column), i in np.ndenumerate(grid):
        ax = axes[k, column]
        if column == 0:
            _row_name(ax, class_names[k], k)
        if i < 0:
            _empty(ax)
            ax.text(0.5, 0.5, "none", ha="center", va="center", color=MUTED)
            continue
        _heat(ax, images[i], heat[i], None if masks is None else masks[i])
        right = predicted[i] == k
        text = f"{'✓' if right else '✗'} {class_names[predicted[i]]} {confidence[i]:.2f}"
        if share is not None and np.isfinite(share[i]):
            text += f" · {100 * share[i]:.0f} % of heat in lungs"
        _title(ax, text, INK if right else WRONG)
    return axes


def _heat(ax, image, heat, mask):
    """An image, and beside it the same image under its heat, with the outline of a mask."""
    h, w = heat.shape
    _show(ax, np.concatenate([image, image], axis=1), extent=(0, 2 * w, h, 0))
    shade = plt.get_cmap("inferno")(heat)
    shade[..., 3] = np.clip(1.3 * heat, 0, 0.65)
    ax.imshow(shade, extent=(w, 2 * w, h, 0))
    if mask is not None:
        across, down = np.arange(w) + w + 0.5, np.arange(h) + 0.5
        ax.contour(across, down, mask, [0.5], colors="white", linewidths=0.7)
    ax.set(xlim=(0, 2 * w), ylim=(h, 0))


def _show(ax, picture, **how):
    _empty(ax)
    ax.imshow(picture, vmin=0, vmax=255, **how)


def _empty(ax):
    bare(ax)
    ax.set(xticks=[], yticks=[])


def _title(ax, text, shade=INK):
    ax.set_title(text, size=8, weight="normal", color=shade, pad=3)


def _row_name(ax, name, k, more=""):
    text = name.replace(" ", "\n") + more
    ax.set_ylabel(text, rotation=0, ha="right", va="center", color=colour(k), labelpad=6)
