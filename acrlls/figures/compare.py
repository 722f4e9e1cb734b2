"""Figures that set numbers side by side: intervals, true probabilities.  Imported through ``acrlls.figures.plots``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from acrlls.figures.style import (
    ACCENT,
    COLOURS,
    FAINT,
    INK,
    MUTED,
    WIDTH,
    WRONG,
    bare,
    colour,
    styled,
)


@styled
def plot_intervals(
    table,
    marks=None,
    line: float | None = None,
    title: str = "",
    xlabel: str = "",
    label: str | None = None,
    ax=None,
):
    """A point with its interval for each row of a table.

    Args:
        table: DataFrame with columns ``estimate``, ``low``, ``high``; the index names the rows.
        marks: DataFrame with the same index; each of its columns is a reference value drawn as a small mark.
        line: where to draw a vertical line.  A row whose interval holds it is drawn hollow and grey.
        label: what the points are, for the legend beside ``marks``.
    """
    ax = ax or plt.subplots(figsize=(WIDTH, 0.9 + 0.26 * len(table)))[1]
    rows = np.arange(len(table))
    low, middle, high = (table[name].to_numpy(float) for name in ("low", "estimate", "high"))
    alike = np.zeros(len(table), bool) if line is None else (low <= line) & (line <= high)
    if line is not None:
        ax.axvline(line, color=MUTED, linewidth=0.8, zorder=0)
    for which, shade, face in ((~alike, ACCENT, ACCENT), (alike, MUTED, "white")):
        ax.hlines(rows[which], low[which], high[which], color=shade, linewidth=1.6)
        ax.plot(
            middle[which],
            rows[which],
            "o",
            color=shade,
            markersize=5.5,
            markerfacecolor=face,
            label=label if face == shade else None,
        )
    for k, (name, values) in enumerate({} if marks is None else marks.items()):
        ax.plot(
            values,
            rows,
            "|d^s"[k % 4],
            color=colour(2 * k),
            markersize=9 if k % 4 == 0 else 5,
            markeredgewidth=1.6,
            linestyle="none",
            label=name,
            zorder=3,
        )
    if marks is not None:
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0, fontsize=8)
    ax.set_yticks(rows, [str(name) for name in table.index])
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.set(ylim=(len(table) - 0.5, -0.5), xlabel=xlabel)
    ax.set_title(title, pad=6 if marks is None else 20)
    return ax


@styled
def plot_truth(pictures, eta, labels, class_names: Sequence[str], axes=None):
    """Images over bars of their true probabilities; the name of the class that was drawn stands above.

    Args:
        pictures: grey images, each ``(h, w)``.
        eta: true probabilities, ``(n, classes)``.
        labels: drawn labels, ``(n,)``.
        axes: ``(2, n)``.
    """
    n, classes = np.shape(eta)
    if axes is None:
        side = (WIDTH - 0.8) / n
        heights = {"height_ratios": [side, 0.2 * classes]}
        size = (WIDTH, side + 0.2 * classes + 0.35)
        axes = plt.subplots(2, n, figsize=size, squeeze=False, gridspec_kw=heights)[1]
        axes[0, 0].figure.get_layout_engine().set(w_pad=0.03, h_pad=0.02, wspace=0, hspace=0)
    for i, (picture, bars) in enumerate(axes.T):
        bare(picture)
        picture.imshow(pictures[i], vmin=0, vmax=255)
        picture.set_title(
            class_names[labels[i]], size=8, weight="normal", color=colour(labels[i]), pad=3
        )
        bars.barh(range(classes), eta[i], color=[colour(k) for k in range(classes)], height=0.75)
        for k, value in enumerate(eta[i]):
            bars.text(value + 0.04, k, f"{value:.2f}", va="center", size=7, color=INK)
        bars.set(xlim=(0, 1.4), ylim=(classes - 0.4, -0.6), xticks=[])
        bars.set_yticks(range(classes), class_names if i == 0 else [""] * classes)
        bars.tick_params(axis="y", length=0, labelcolor=INK, labelsize=7.5)
        bars.spines["bottom"].set_visible(False)
    return axes


@styled
def plot_floor(tables: Mapping[int, object], truth=None, axes=None):
    """Calibration error over the number of bins, with the noise floor as a band: a panel a row of the tables.

    Args:
        tables: number of bins, and the table of :meth:`acrlls.calibration.registry.NoiseFloor.table` with its observed
            values.
        truth: calibration error without the luck of labels, DataFrame with the numbers of bins as index and a
            column for each panel that has one; drawn as a dashed line.
        axes: one axes a panel.
    """
    names = list(next(iter(tables.values())).index)
    bins = list(tables)
    if axes is None:
        rows = -(-len(names) // 3)
        figure, grid = plt.subplots(
            rows, 3, figsize=(WIDTH, 2.3 * rows), sharex=True, squeeze=False
        )
        axes = grid.ravel()[: len(names)]
        for ax in grid.ravel()[len(names) :]:
            ax.set_axis_off()
        for ax in axes[-3:]:  # also where there is no panel below
            ax.tick_params(labelbottom=True)
        signs = "● here   grey: 90 % of a perfectly calibrated model (white: mean)"
        figure.supxlabel(
            f"number of bins\n{signs}"
            + ("   dashed: with true probabilities" if truth is not None else ""),
            size=8.5,
            color=MUTED,
        )
    for k, (name, ax) in enumerate(zip(names, np.ravel(axes), strict=True)):
        low, mean, high, observed = (
            np.array([t.loc[name, column] for t in tables.values()])
            for column in ("q05", "mean", "q95", "observed")
        )
        shade = ACCENT if name == "Top label" else colour(k)
        ax.fill_between(bins, low, high, color="#D5D5D5", linewidth=0)
        ax.plot(bins, mean, color="white", linewidth=1.2)
        ax.plot(bins, observed, "o-", color=shade, markersize=5, linewidth=1)
        if truth is not None and name in truth:
            ax.plot(truth.index, truth[name], color=INK, linewidth=1.3, linestyle=(0, (4, 2)))
        ax.set_title(name, color=shade, size=9)
        ax.set(ylim=(0, None), xticks=bins)
    np.ravel(axes)[0].set_ylabel("ECE")
    return axes


@styled
def plot_estimators(
    studies: Mapping[str, object], titles: Mapping[str, str], over: str = "n", axes=None
):
    """Estimates of a calibration error beside what they estimate: a panel an estimator, a colour a population.

    Args:
        studies: name of a population, and its table from :func:`acrlls.calibration.estimators.study`.
        titles: heading of each panel, by the estimator's name in the tables.
        over: ``"n"`` or ``"bins"``, the level of the index that runs along the horizontal axis.
        axes: one axes a panel.
    """
    if axes is None:
        rows = -(-len(titles) // 3)
        grid = plt.subplots(rows, 3, figsize=(WIDTH, 0.5 + 2.1 * rows), sharex=True, squeeze=False)[
            1
        ]
        axes = grid.ravel()[: len(titles)]
        for ax in grid.ravel()[len(titles) :]:
            ax.set_axis_off()
        for ax in axes[-3:]:
            ax.tick_params(labelbottom=True)
        axes[0].figure.supxlabel(
            "images in the test set" if over == "n" else "number of bins", size=9
        )
    shades = [ACCENT, colour(0), MUTED]
    for (name, title), ax in zip(titles.items(), np.ravel(axes), strict=True):
        for k, (population, study) in enumerate(studies.items()):
            rows = study.loc[name]
            x, shade = rows.index.get_level_values(over), shades[k % len(shades)]
            ax.fill_between(x, rows.q05, rows.q95, color=shade, alpha=0.18, linewidth=0)
            ax.plot(x, rows["mean"], "o-", color=shade, markersize=3, label=population)
            ax.plot(x, rows.truth, color=shade, linewidth=1.3, linestyle=(0, (4, 2)))
        ax.set_title(title, size=9)
        ax.set(ylim=(0, None), xscale="log" if over == "n" else "linear")
    handles, labels = np.ravel(axes)[0].get_legend_handles_labels()
    np.ravel(axes)[0].figure.legend(
        handles, labels, loc="outside upper left", ncols=len(labels), fontsize=8
    )
    return axes


@styled
def plot_repeated_intervals(
    intervals: Mapping[str, object], truth: float, xlabel: str = "", axes=None
):
    """Intervals from many test sets of one population, a panel a method; those that miss the truth stand out.

    Args:
        intervals: heading of a panel, and its DataFrame with columns ``estimate``, ``low``, ``high``, a row a test
            set.
        truth: what they should hold.
    """
    if axes is None:
        axes = plt.subplots(
            1, len(intervals), figsize=(WIDTH, 3.4), sharex=True, sharey=True, squeeze=False
        )[1][0]
    for (title, table), ax in zip(intervals.items(), np.ravel(axes), strict=True):
        rows = np.arange(len(table))
        missed = ((table.low > truth) | (table.high < truth)).to_numpy()
        for which, shade in ((~missed, MUTED), (missed, WRONG)):
            ax.hlines(rows[which], table.low[which], table.high[which], color=shade, linewidth=1.4)
            ax.plot(table.estimate[which], rows[which], "o", color=shade, markersize=2.5)
        ax.axvline(truth, color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
        ax.set(yticks=[], xlabel=xlabel, ylim=(-1, len(table)))
        ax.set_title(f"{title}\n{missed.sum()} of {len(table)} miss the truth", size=9)
        ax.spines["left"].set_visible(False)
    return axes


@styled
def plot_growth(tables: Mapping[str, object], axes=None):
    """Hours of the job in plain Keras and through the bank, a panel for each thing that is turned.

    Args:
        tables: from :func:`acrlls.bench.cost.growth`: hours in the columns ``plain`` and ``bank``, the value turned as index.
        axes: one axes a panel.
    """
    if axes is None:
        _, axes = plt.subplots(1, len(tables), figsize=(WIDTH, 2.6), sharey=True)
    for ax, (name, table) in zip(axes, tables.items(), strict=True):
        for side, shade, label in (
            ("plain", COLOURS[0], "plain Keras"),
            ("bank", COLOURS[1], "through the bank"),
        ):
            ax.plot(table.index, table[side], "o-", color=shade, markersize=3, label=label)
        ax.set(xscale="log", yscale="log", xlabel=name)
        ax.grid(axis="y", color=FAINT, linewidth=0.6)
    axes[0].set_ylabel("hours")
    axes[0].legend(fontsize=8)
    return axes
