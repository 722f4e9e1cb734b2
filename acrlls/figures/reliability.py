"""Reliability diagrams: one class, all of them, or two models laid over each other.  Imported through ``acrlls.figures.plots``."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np

from acrlls.calibration import Reliability
from acrlls.figures.style import ACCENT, COLOURS, FAINT, MUTED, WIDTH, colour, styled

PAIR = (ACCENT, COLOURS[0])  # of two models


@styled
def plot_reliability(data: Reliability | Mapping[str, Reliability], axes=None):
    """Reliability diagram of each panel over the counts of its bins.

    A point is a bin: how often it was right against how confident it was, with its Wilson interval.  A block is where
    the point of a perfectly calibrated model with these scores would lie; only a point outside shows anything.

    Args:
        data: one model, drawn in the colours of the classes over grey blocks; or two by name, with equal panels, laid
            over each other: the first in blue with dots, the second in orange with squares, blocks in their tints.
            For a single class take :meth:`acrlls.calibration.registry.Reliability.panel`.
        axes: ``(panels, 2)``, for each panel the axes of the diagram and of the counts.

    Raises:
        ValueError: more than two models, or models with other panels.
    """
    models = dict(data) if isinstance(data, Mapping) else {"": data}
    first = next(iter(models.values()))
    if len(models) > 2 or any(m.titles != first.titles for m in models.values()):
        raise ValueError(
            f"{len(models)} models; at most two, with the same panels, can be laid over each other"
        )
    panels, paired = len(first.titles), len(models) == 2
    axes = _new_axes(panels, first.level, paired) if axes is None else np.reshape(axes, (panels, 2))
    most = max(m.count.max() for m in models.values())
    for k, (ax, under) in enumerate(axes):
        ax.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8)
        for j, (name, model) in enumerate(models.items()):
            shade = PAIR[j] if paired else ACCENT if panels == 1 else colour(k)
            block = {"color": shade, "alpha": 0.15} if paired else {"color": FAINT}
            _panel(ax, under, model, k, shade, block, "os"[j], name)
            text = f"{name}: ECE {model.ece[k]:.4f}" if name else f"ECE {model.ece[k]:.4f}"
            ax.text(0.03, 0.97 - 0.09 * j, text, transform=ax.transAxes, va="top", color=shade)
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.03, 1.03), title=first.titles[k])
        ax.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        ax.tick_params(labelbottom=False)
        under.set_yscale("log")
        under.set(xlim=(-0.02, 1.02), ylim=(0.7, max(12, 3 * most)))
        under.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        under.minorticks_off()
    return axes


def _panel(ax, under, data, k, shade, block, marker, name):
    edges, width = data.edges[k, :-1], np.diff(data.edges[k])
    full = data.count[k] > 0
    x, y = data.confidence[k][full], data.frequency[k][full]
    low, high = data.band_low[k][full], data.band_high[k][full]
    bars = {"align": "edge", "edgecolor": "white", "linewidth": 0.8}
    ax.bar(edges[full], high - low, width[full], low, zorder=0.5, **block, **bars)
    error = np.abs([y - data.low[k][full], data.high[k][full] - y])
    ax.errorbar(
        x,
        y,
        error,
        fmt=marker,
        color=shade,
        markersize=4,
        elinewidth=1,
        zorder=3,
        label=name or None,
    )
    if name:
        under.stairs(data.count[k], data.edges[k], color=shade, linewidth=1.2, baseline=0.5)
    else:
        under.bar(edges, data.count[k], width, color=shade, alpha=0.55, **bars)


def _new_axes(panels, level, paired):
    columns = 1 if panels == 1 else 2
    rows = -(-panels // columns)
    figure = plt.figure(figsize=(WIDTH if columns == 2 else 4.2, 3.75 * rows))
    grid = figure.add_gridspec(2 * rows, columns, height_ratios=[3.4, 1] * rows)
    axes = np.empty((panels, 2), object)
    for k in range(panels):
        row, column = divmod(k, columns)
        axes[k] = [figure.add_subplot(grid[2 * row + i, column]) for i in (0, 1)]
        if column == 0:
            axes[k, 0].set_ylabel("frequency")
            axes[k, 1].set_ylabel("images")
        if row == rows - 1:
            axes[k, 1].set_xlabel("confidence")
    blocks = "tinted" if paired else "grey"
    note = f"{blocks}: where {100 * level:g} % of a perfectly calibrated model's points would lie"
    figure.supxlabel(note, size=8.5, color=MUTED)
    return axes
