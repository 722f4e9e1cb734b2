"""Calibration errors: reliability diagrams, noise floors, estimators."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from acrlls.calibration import Reliability
from acrlls.figures import style as theme

_FLOOR = "grey: 90 % of a perfectly calibrated model (line: mean)"


@theme.style()
def plot_reliability(data: Reliability):
    """Reliability diagram of each panel over the counts of its bins: a point is a bin with its
    Wilson interval, a grey block is where the point of a perfectly calibrated model would lie."""
    axes = _diagrams(min(len(data.titles), theme.MOST))
    for k, (ax, under) in enumerate(axes):
        shade = theme.ACCENT if len(axes) == 1 else theme.colour(k)
        ax.plot([0, 1], [0, 1], color=theme.MUTED, linewidth=0.8)
        edges, width, full = data.edges[k, :-1], np.diff(data.edges[k]), data.count[k] > 0
        x, y = data.confidence[k][full], data.frequency[k][full]
        low, high = data.band_low[k][full], data.band_high[k][full]
        bars = {"align": "edge", "edgecolor": "white", "linewidth": 0.8}
        ax.bar(edges[full], high - low, width[full], low, color=theme.FAINT, zorder=0.5, **bars)
        error = np.abs([y - data.low[k][full], data.high[k][full] - y])
        ax.errorbar(x, y, error, fmt="o", color=shade, markersize=4, elinewidth=1, zorder=3)
        under.bar(edges, data.count[k], width, color=shade, alpha=0.55, **bars)
        corner = {"transform": ax.transAxes, "ha": "right", "color": shade}
        ax.text(0.98, 0.03, f"ECE {data.ece[k]:.4f}", **corner)
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.03, 1.03), title=data.titles[k])
        ax.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        ax.tick_params(labelbottom=False)
        under.set(yscale="log", xlim=(-0.02, 1.02), ylim=(0.7, max(12, 3 * data.count.max())))
        under.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        under.minorticks_off()
    level = f"{100 * data.level:g} %"
    text = f"grey: where {level} of a perfectly calibrated model's points would lie"
    theme.note(axes[0, 0], text, len(data.titles))
    return axes


def _diagrams(count):
    columns, rows = min(count, 2), -(-count // 2)
    size = (theme.WIDTH if columns == 2 else 4.2, 3.75 * rows)
    how = {"height_ratios": [3.4, 1] * rows, "squeeze": False}
    grid = plt.subplots(2 * rows, columns, figsize=size, **how)[1]
    axes = grid.reshape(rows, 2, columns).swapaxes(1, 2).reshape(-1, 2)
    for upper, under in axes[::columns]:
        upper.set_ylabel("frequency")
        under.set_ylabel("images")
    for ax in grid[-1]:
        ax.set_xlabel("probability")
    for ax in axes[count:].flat:
        ax.set_axis_off()
    return axes[:count]


@theme.style()
def plot_floor(tables: Mapping[int, object], truth=None):
    """ECE over the number of bins, with the noise floor as a band: a panel a row of the ``tables``,
    each an :meth:`acrlls.calibration.NoiseFloor.table` by its number of bins. The ``truth``, a row
    a number of bins, is drawn with dashes."""
    bins, table = list(tables), pd.concat(tables)
    names = table.index.unique(1)
    classes = len(names) - 1
    names = [*names[:-1][: theme.MOST], names[-1]]  # the last is the top label
    axes = theme.panels(len(names), 3, 2.3, sharex=True, sharey=True)
    for k, (name, ax) in enumerate(zip(names, axes, strict=True)):
        rows = table.xs(name, level=1)
        shade = theme.ACCENT if name == "Top label" else theme.colour(k)
        ax.fill_between(bins, rows.q05, rows.q95, color=theme.BAND, linewidth=0)
        ax.plot(bins, rows["mean"], color="white", linewidth=1.2)
        ax.plot(bins, rows.observed, "o-", color=shade, markersize=5, linewidth=1, clip_on=False)
        if truth is not None:
            ax.plot(truth.index, truth[name], color=theme.INK, lw=1.3, ls=theme.DASHES)
        ax.set_title(name, color=shade, size=9)
        ax.set_xticks(bins)
    axes[0].set(ylabel="ECE", ylim=(0, None))  # of all panels, when all are drawn
    dashes = "" if truth is None else "   dashed: with true probabilities"
    theme.note(axes[0], f"number of bins\n● this run   {_FLOOR}{dashes}", classes)
    return axes


@theme.style()
def plot_estimators(studies: Mapping, titles: Mapping[str, str]):
    """Estimates of a calibration error beside what they estimate, over the number of images: a
    panel an estimator of the ``titles``, a theme.colour a population of the ``studies``."""
    axes = theme.panels(len(titles), 3, 2.3, sharex=True, sharey=True)
    theme.note(axes[0], "images in the test set")
    for (name, title), ax in zip(titles.items(), axes, strict=True):
        for k, (population, study) in enumerate(studies.items()):
            rows, shade = study.loc[name], (theme.ACCENT, theme.colour(0), theme.MUTED)[k]
            x = rows.index
            ax.fill_between(x, rows.q05, rows.q95, color=shade, alpha=0.18, linewidth=0)
            ax.plot(x, rows["mean"], "o-", color=shade, markersize=3, label=population)
            ax.plot(x, rows.truth, color=shade, linewidth=1.3, linestyle=theme.DASHES)
        ax.set_title(title, size=9)
    axes[0].set(ylim=(0, None), xscale="log")  # of all panels, when all are drawn
    handles, labels = axes[0].get_legend_handles_labels()
    axes[0].figure.legend(handles, labels, loc="outside upper left", ncols=len(labels))
    return axes
