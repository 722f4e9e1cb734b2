"""Figures that show radiographs: examples, augmentation, true probabilities, Grad-CAM."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

from acrlls.figures.style import INK, MOST, MUTED, WIDTH, WRONG, bare, colour, note, panels, style


@style()
def plot_examples(dataset, per_class: int = 6, seed: int = 0):
    """Random images of a dataset, a row a class, with the number of its images beside its name."""
    names, rng = dataset.class_names[:MOST], np.random.default_rng(seed)
    axes = panels(len(names) * per_class, per_class, (WIDTH - 1.1) / per_class, True)
    axes = np.reshape(axes, (len(names), per_class))
    for ax in axes.flat:
        _empty(ax)
    for k, row in enumerate(axes):
        members = np.flatnonzero(dataset.labels == k)
        for ax, i in zip(row, rng.permutation(members)[:per_class], strict=False):
            _show(ax, dataset.image(int(i)))
        _row_name(row[0], f"{names[k]}\n{len(members):,}", k)
    note(axes[0, 0], classes=len(dataset.class_names))
    return axes


@style()
def plot_augmentation(views):
    """The original, framed, and its augmented views, ``(views, h, w)``."""
    axes = panels(len(views), 6, WIDTH / 6, True)
    for ax, view in zip(axes, views, strict=True):
        _show(ax, view)
    axes[0].spines[:].set(visible=True, color=colour(0), linewidth=2)
    box = {"facecolor": colour(0), "edgecolor": "none", "pad": 2}
    how = {"transform": axes[0].transAxes, "va": "top", "color": "white", "size": 8}
    axes[0].text(0.04, 0.96, "original", bbox=box, **how)
    return axes


@style()
def plot_pictures(pictures, titles):
    """Grey images ``(n, h, w)`` in rows of at most six, each below its title and nothing else."""
    columns = min(len(pictures), 6)
    axes = panels(len(pictures), columns, WIDTH / columns + 0.22, True)
    for ax, picture, title in zip(axes, pictures, titles, strict=True):
        _show(ax, picture)
        _title(ax, title)
    return axes


@style()
def plot_truth(pictures, masks, eta, labels, class_names: Sequence[str]):
    """Grey images ``(n, h, w)`` over bars of their true probabilities ``(n, classes)``, below the
    name of the drawn label, with the outlines of the ``masks`` ``(2, n, h, w)``: lungs, findings.
    """
    n, classes = np.shape(eta)
    side, under = (WIDTH - 0.8) / n, 0.2 * classes
    ratios = {"height_ratios": [side, under]}
    axes = panels(2 * n, n, (side + under + 0.35) / 2, True, gridspec_kw=ratios)
    axes, shades = np.reshape(axes, (2, n)), [colour(k) for k in range(classes)]
    for i, (picture, bars) in enumerate(axes.T):
        _show(picture, pictures[i])
        for mask, shade in zip(masks, ("#56B4E9", "#E69F00"), strict=True):
            if mask[i].any():
                picture.contour(mask[i], [0.5], colors=shade, linewidths=0.7)
        _title(picture, class_names[labels[i]], colour(labels[i]))
        bars.barh(range(classes), eta[i], color=shades, height=0.75)
        for k, value in enumerate(eta[i]):
            bars.text(value + 0.04, k, f"{value:.2f}", va="center", size=8, color=INK)
        bars.set(xlim=(0, 1.5), ylim=(classes - 0.4, -0.6), xticks=[])
        bars.set_yticks(range(classes), class_names if i == 0 else [""] * classes)
        bars.tick_params(axis="y", length=0, labelcolor=INK, labelsize=8)
        bars.spines["bottom"].set_visible(False)
    return axes


def choose_examples(labels, predicted, classes: int, seed: int = 0) -> np.ndarray:
    """Positions ``(classes, 2)`` of a random image of each true class predicted rightly and of one
    predicted wrongly, -1 where there is none; of no more than 12 classes."""
    labels, rng = np.asarray(labels), np.random.default_rng(seed)
    chosen = np.full((min(classes, MOST), 2), -1)
    for k, column in np.ndindex(chosen.shape):
        members = np.flatnonzero((labels == k) & ((predicted == k) == (column == 0)))
        if len(members):
            chosen[k, column] = rng.permutation(members)[0]
    return chosen


@style()
def plot_gradcam(grid, images, heat, predicted, confidence, class_names, masks, share):
    """Grad-CAM: each image of a ``grid`` of :func:`choose_examples` beside the same image under its
    heat, a row a true class.

    ``images``, grey ``(n, h, w)`` from 0 to 255, ``heat``, ``(n, h, w)`` in [0, 1], of
    :func:`acrlls.method.gradcam`; ``masks`` of the lungs, ``(n, h, w)`` or None, are outlined. Of
    each image ``(n,)`` the class that is ``predicted``, its probability ``confidence``, and the
    ``share`` of the heat inside the lungs, NaN where it is not known."""
    height = (WIDTH - 0.9) / grid.shape[1] / 2 + 0.22
    axes = np.reshape(panels(grid.size, grid.shape[1], height, True), grid.shape)
    note(axes[0, 0], classes=len(class_names))
    for (k, column), i in np.ndenumerate(grid):
        ax = axes[k, column]
        if column == 0:
            _row_name(ax, class_names[k], k)
        if i < 0:
            _empty(ax)
            ax.text(0.5, 0.5, "none", ha="center", va="center", color=MUTED)
            continue
        h, w = heat[i].shape
        _show(ax, np.concatenate([images[i], images[i]], axis=1), extent=(0, 2 * w, h, 0))
        shade = plt.get_cmap("inferno")(heat[i])
        shade[..., 3] = np.clip(1.3 * heat[i], 0, 0.65)
        ax.imshow(shade, extent=(w, 2 * w, h, 0))
        if masks is not None:
            across, down = np.arange(w) + w + 0.5, np.arange(h) + 0.5
            ax.contour(across, down, masks[i], [0.5], colors="white", linewidths=0.7)
        ax.set(xlim=(0, 2 * w), ylim=(h, 0))
        right = predicted[i] == k
        text = f"{'✓' if right else '✗'} {class_names[predicted[i]]} {confidence[i]:.2f}"
        if not np.any(heat[i]):
            text += " · no positive heat"
        elif np.isfinite(share[i]):
            text += f" · {100 * share[i]:.0f} % of heat in lungs"
        _title(ax, text, INK if right else WRONG)
    return axes


def _show(ax, picture, **how):
    _empty(ax)
    ax.imshow(picture, vmin=0, vmax=255, **how)


def _empty(ax):
    bare(ax)
    ax.set(xticks=[], yticks=[])


def _title(ax, text, shade=INK):
    ax.set_title(text, size=8, weight="normal", color=shade, pad=3)


def _row_name(ax, name, k):
    how = {"rotation": 0, "ha": "right", "va": "center", "color": colour(k), "labelpad": 6}
    ax.set_ylabel(name.replace(" ", "\n"), **how)
