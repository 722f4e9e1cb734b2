"""Figures that show radiographs: examples, augmentation, Grad-CAM.  Imported through ``acrlls.figures.plots``."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

from acrlls.figures.style import INK, MUTED, WIDTH, WRONG, bare, colour, styled


def prepare_examples(dataset, per_class: int = 6, seed: int = 0) -> list[list[np.ndarray]]:
    """Random images of each class, each at its own size: a list a class of grey arrays ``(h, w)``."""
    rng = np.random.default_rng(seed)
    found = []
    for k in range(len(dataset.class_names)):
        members = np.flatnonzero(np.asarray(dataset.labels) == k)
        found.append([dataset.image(int(i)) for i in rng.permutation(members)[:per_class]])
    return found


@styled
def plot_examples(
    pictures: Sequence[Sequence[np.ndarray]], class_names: Sequence[str], counts=None, axes=None
):
    """Example images, a row a class.

    Args:
        pictures: a list a class of grey images ``(h, w)``.
        counts: images of each class in the data set, ``(classes,)``, to write beside its name.
        axes: ``(classes, columns)``.
    """
    columns = max(map(len, pictures))
    if axes is None:
        side = (WIDTH - 1.1) / columns
        axes = plt.subplots(
            len(pictures), columns, figsize=(WIDTH, side * len(pictures)), squeeze=False
        )[1]
        axes[0, 0].figure.get_layout_engine().set(w_pad=0.015, h_pad=0.015, wspace=0, hspace=0)
    for k, row in enumerate(axes):
        for ax in row:
            bare(ax)
        for ax, picture in zip(row, pictures[k], strict=False):
            ax.imshow(picture, vmin=0, vmax=255)
        name = class_names[k].replace(" ", "\n")
        total = "" if counts is None else f"\n{counts[k]:,}"
        _row_name(row[0], name + total, k)
    return axes


def prepare_augmentation(
    image, augmentation, size: int, views: int = 11, seed: int = 0
) -> np.ndarray:
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
    rows = -(-len(views) // columns)
    if axes is None:
        axes = plt.subplots(rows, columns, figsize=(WIDTH, rows * WIDTH / columns), squeeze=False)[
            1
        ]
        axes[0, 0].figure.get_layout_engine().set(w_pad=0.015, h_pad=0.015, wspace=0, hspace=0)
    for i, ax in enumerate(np.ravel(axes)):
        bare(ax)
        if i < len(views):
            ax.imshow(views[i], vmin=0, vmax=255)
    first = np.ravel(axes)[0]
    first.spines[:].set(visible=True, color=colour(0), linewidth=2)
    first.text(
        0.04,
        0.96,
        "original",
        transform=first.transAxes,
        va="top",
        color="white",
        size=8,
        bbox={"facecolor": colour(0), "edgecolor": "none", "pad": 2},
    )
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
        for start, room, good in ((0, right, True), (right, wrong, False)):
            members = rng.permutation(np.flatnonzero((labels == k) & ((predicted == k) == good)))[
                :room
            ]
            chosen[k, start : start + len(members)] = members
    return chosen


@styled
def plot_gradcam(
    grid, images, heat, predicted, confidence, class_names, masks=None, share=None, axes=None
):
    """Grad-CAM: each chosen image beside the same image under its heat, a row a true class.

    Args:
        grid: positions in the arrays below, ``(classes, columns)``, -1 for none (:func:`choose_examples`).
        images: grey ``(n, h, w)``, 0 to 255.
        heat: ``(n, h, w)`` in [0, 1] (:func:`acrlls.method.heat.gradcam`).
        predicted, confidence: class and probability of each image, ``(n,)``.
        masks: ``(n, h, w)`` lungs, outlined; or None.
        share: share of the heat inside the lungs, ``(n,)`` (:func:`acrlls.method.heat.lung_share`); or None.
        axes: ``(classes, columns)``.
    """
    grid = np.asarray(grid)
    if axes is None:
        rows, columns = grid.shape
        cell = (WIDTH - 0.9) / columns
        axes = plt.subplots(
            rows, columns, figsize=(WIDTH, rows * (cell / 2 + 0.22)), squeeze=False
        )[1]
        axes[0, 0].figure.get_layout_engine().set(w_pad=0.04, h_pad=0.03, wspace=0.01, hspace=0)
    for (k, column), i in np.ndenumerate(grid):
        ax = axes[k, column]
        bare(ax)
        if column == 0:
            _row_name(ax, class_names[k].replace(" ", "\n"), k)
        if i < 0:
            ax.text(0.5, 0.5, "none", ha="center", va="center", color=MUTED)
            continue
        h, w = heat[i].shape
        pair = np.concatenate([images[i], images[i]], axis=1)
        ax.imshow(pair, vmin=0, vmax=255, extent=(0, 2 * w, h, 0))
        shade = plt.get_cmap("inferno")(heat[i])
        shade[..., 3] = np.clip(1.3 * heat[i], 0, 0.65)
        ax.imshow(shade, extent=(w, 2 * w, h, 0))
        if masks is not None:
            across, down = np.arange(w) + w + 0.5, np.arange(h) + 0.5
            ax.contour(across, down, masks[i], [0.5], colors="white", linewidths=0.7)
        ax.set(xlim=(0, 2 * w), ylim=(h, 0))
        ok = predicted[i] == k
        text = f"{'✓' if ok else '✗'} {class_names[predicted[i]]} {confidence[i]:.2f}"
        if share is not None and np.isfinite(share[i]):
            text += f" · {100 * share[i]:.0f} % of heat in lungs"
        ax.set_title(text, size=8, weight="normal", color=INK if ok else WRONG, pad=3)
    return axes


def _row_name(ax, text, k):
    ax.set_ylabel(text, rotation=0, ha="right", va="center", color=colour(k), labelpad=6)


@styled
def plot_masks(pictures, lungs, findings=None, titles=None, axes=None):
    """Images with the outline of the lungs, and of the findings where they are known.

    Args:
        pictures: grey images, each ``(h, w)``.
        lungs, findings: masks, each boolean of any shape, or None for none.
        titles: one text an image.
    """
    n = len(pictures)
    if axes is None:
        axes = plt.subplots(1, n, figsize=(WIDTH, WIDTH / n + 0.25), squeeze=False)[1]
    for i, ax in enumerate(np.ravel(axes)[:n]):
        bare(ax)
        extent = (0, 1, 1, 0)
        ax.imshow(pictures[i], vmin=0, vmax=255, extent=extent)
        for masks, shade in ((lungs, "#56B4E9"), (findings, "#E69F00")):
            if masks is not None and masks[i] is not None and 0 < masks[i].mean() < 1:
                h, w = masks[i].shape
                across, down = (np.arange(w) + 0.5) / w, (np.arange(h) + 0.5) / h
                ax.contour(across, down, masks[i], [0.5], colors=shade, linewidths=1.2)
        ax.set(xlim=(0, 1), ylim=(1, 0))
        if titles is not None:
            ax.set_title(titles[i], size=8.5, weight="normal", pad=3)
    return axes
