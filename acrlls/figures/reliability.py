"""Reliability diagrams."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from acrlls.calibration import Reliability
from acrlls.figures.style import ACCENT, FAINT, MUTED, WIDTH, colour, note, styled


@styled
def plot_reliability(data: Reliability, axes=None):
    """Reliability diagram of each panel over the counts of its bins.

    A point is a bin: how often it was right against how confident it was, with its Wilson interval.
    A grey block is where the point of a perfectly calibrated model with these scores would lie;
    only a point outside its block shows anything.

    Args:
        data: of :func:`acrlls.calibration.prepare_reliability`.
        axes: ``(panels, 2)``, for each panel the axes of the diagram and of the counts.
    """
    count = len(data.titles)
    axes = _new_axes(count, data.level) if axes is None else np.reshape(axes, (count, 2))
    for k, (ax, under) in enumerate(axes):
        shade = ACCENT if count == 1 else colour(k)
        ax.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8)
        _draw(ax, under, data, k, shade)
        ax.text(0.03, 0.97, f"ECE {data.ece[k]:.4f}", transform=ax.transAxes, va="top", color=shade)
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.03, 1.03), title=data.titles[k])
        ax.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        ax.tick_params(labelbottom=False)
        under.set(yscale="log", xlim=(-0.02, 1.02), ylim=(0.7, max(12, 3 * data.count.max())))
        under.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        under.minorticks_off()
    return axes


def _draw(ax, under, data, k, shade):
    edges, width, full = data.edges[k, :-1], np.diff(data.edges[k]), data.count[k] > 0
    x, y = data.confidence[k][full], data.frequency[k][full]
    low, high = data.band_low[k][full], data.band_high[k][full]
    bars = {"align": "edge", "edgecolor": "white", "linewidth": 0.8}
    ax.bar(edges[full], high - low, width[full], low, color=FAINT, zorder=0.5, **bars)
    error = np.abs([y - data.low[k][full], data.high[k][full] - y])
    ax.errorbar(x, y, error, fmt="o", color=shade, markersize=4, elinewidth=1, zorder=3)
    under.bar(edges, data.count[k], width, color=shade, alpha=0.55, **bars)


def _new_axes(count, level):
    columns = min(count, 2)
    rows = -(-count // columns)
    figure = plt.figure(figsize=(WIDTH if columns == 2 else 4.2, 3.75 * rows))
    grid = figure.add_gridspec(2 * rows, columns, height_ratios=[3.4, 1] * rows)
    axes = np.empty((count, 2), object)
    for k in range(count):
        row, column = divmod(k, columns)
        axes[k] = [figure.add_subplot(grid[2 * row + i, column]) for i in (0, 1)]
        if column == 0:
            axes[k, 0].set_ylabel("frequency")
            axes[k, 1].set_ylabel("images")
        if row == rows - 1:
            axes[k, 1].set_xlabel("confidence")
    text = f"grey: where {100 * level:g} % of a perfectly calibrated model's points would lie"
    note(axes[0, 0], text)
    return axes
