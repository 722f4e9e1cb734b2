"""The grid of Section III-B as a heat map."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

from acrlls.figures.style import COLOURS, INK, MUTED, SEQUENTIAL, WIDTH, bare, styled


def prepare_tuning(table):
    """Validation loss and accuracy of the grid, each a DataFrame.

    Args:
        table: of :func:`acrlls.tune`: columns alpha, tau, val_loss and val_accuracy.

    Returns:
        Two DataFrames with alpha as rows and tau as columns, rising; NaN where a pair was not run.
    """
    pivot = table.pivot(index="alpha", columns="tau")
    return pivot["val_loss"], pivot["val_accuracy"]


@styled
def plot_tuning(grid, published: tuple[float, float] | None = (0.08, 0.25), ax=None):
    """Heat map of the validation loss, darker where lower, with the accuracy under each value.

    Args:
        grid: of :func:`prepare_tuning`.
        published: alpha and tau that the paper chose, framed with dashes; or None.
    """
    loss, accuracy = grid
    ax = ax or plt.subplots(figsize=(WIDTH, 0.75 + 0.72 * len(loss)))[1]
    low, high = np.nanmin(loss), np.nanmax(loss)
    depth = (high - loss.to_numpy()) / ((high - low) or 1)
    ax.imshow(depth, cmap=SEQUENTIAL, vmin=-0.05, vmax=1.25, aspect="auto")
    inks = np.where(depth > 0.75, "white", INK)
    best = np.unravel_index(np.nanargmin(loss), loss.shape)

    def write(place, down, text, size=8, **how):
        i, j = place
        how = {"color": inks[i, j], "size": size, **how}
        ax.text(j, i + down, text, ha="center", va="center", **how)

    for place, value in np.ndenumerate(loss):
        if np.isnan(value):
            write(place, 0, "not run", color=MUTED)
            continue
        write(place, -0.02, f"{value:.4f}", 9, weight="bold" if place == best else None)
        write(place, 0.25, f"{100 * accuracy.to_numpy()[place]:.1f} %")
    frames = {best: ("lowest here", "solid")}
    if published and published[0] in loss.index and published[1] in loss.columns:
        place = loss.index.get_loc(published[0]), loss.columns.get_loc(published[1])
        both = ("lowest, as in the paper", "solid")
        frames[place] = both if place == best else ("the paper's", "dashed")
    for (i, j), (label, line) in frames.items():
        corner = (j - 0.47, i - 0.44)
        ax.add_patch(Rectangle(corner, 0.94, 0.88, fill=False, ec=COLOURS[0], lw=1.8, ls=line))
        write((i, j), -0.29, label)
    ax.set_xticks(range(loss.shape[1]), [f"{tau:.2f}" for tau in loss.columns])
    ax.set_yticks(range(len(loss)), [f"{alpha:.2f}" for alpha in loss.index])
    bare(ax)
    ax.set(xlabel="target margin τ", ylabel="strength α")
    ax.set_title("Validation loss, and accuracy below it")
    return ax
