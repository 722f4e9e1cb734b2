"""Numbers side by side: intervals, confusion, models, estimators, costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

from acrlls.calibration import noise_floor
from acrlls.figures.style import (
    ACCENT,
    BAND,
    DASHES,
    FAINT,
    INK,
    MUTED,
    SEQUENTIAL,
    WIDTH,
    WRONG,
    bare,
    colour,
    note,
    panels,
    styled,
)

_FLOOR = "grey: 90 % of a perfectly calibrated model (white: mean)"


@styled
def plot_intervals(table, marks=None, line=None, title="", xlabel="", label=None, ax=None):
    """A point with its interval for each row of a table.

    Args:
        table: DataFrame with columns ``estimate``, ``low``, ``high``; the index names the rows.
        marks: DataFrame with the same index; each of its columns is a reference value, drawn small.
        line: where to draw a vertical line. A row whose interval holds it is drawn hollow and grey.
        label: what the points are, for the legend beside ``marks``.
    """
    ax = ax or plt.subplots(figsize=(WIDTH, 0.9 + 0.26 * len(table)))[1]
    rows = np.arange(len(table))
    low, middle, high = (table[name].to_numpy(float) for name in ("low", "estimate", "high"))
    alike = np.zeros(len(table), bool)
    if line is not None:
        alike = (low <= line) & (line <= high)
        ax.axvline(line, color=MUTED, linewidth=0.8, zorder=0)
    for which, shade, face in ((~alike, ACCENT, ACCENT), (alike, MUTED, "white")):
        ax.hlines(rows[which], low[which], high[which], color=shade, linewidth=1.6)
        how = {"color": shade, "markerfacecolor": face, "markersize": 5.5}
        ax.plot(middle[which], rows[which], "o", label=label if face == shade else None, **how)
    for k, (name, values) in enumerate({} if marks is None else marks.items()):
        how = {"color": colour(2 * k), "markersize": 5 if k else 9, "markeredgewidth": 1.6}
        ax.plot(values, rows, "|d^s"[k % 4], label=name, zorder=3, **how)
    if marks is not None:
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0)
    ax.set_yticks(rows, [str(name) for name in table.index])
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.set(ylim=(len(table) - 0.5, -0.5), xlabel=xlabel)
    ax.set_title(title, pad=6 if marks is None else 20)
    return ax


@styled
def plot_confusion(counts, class_names: Sequence[str], ax=None):
    """Confusion matrix: counts, and the share of each row beneath, which also sets the shade.

    Args:
        counts: ``(classes, classes)``, row the label, column the predicted class.
    """
    counts = np.asarray(counts)
    ax = ax or plt.subplots(figsize=(5.6, 0.9 + 0.78 * len(counts)))[1]
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(share, cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
    for (i, j), n in np.ndenumerate(counts):
        ink = "white" if share[i, j] > 0.5 else INK if n else "#B0B0B0"
        how = {"ha": "center", "va": "center", "color": ink}
        ax.text(j, i - 0.12, f"{n:,}", weight="bold" if i == j else None, **how)
        if n:
            ax.text(j, i + 0.22, f"{100 * share[i, j]:.1f} %", size=8, **how)
    ax.set_xticks(range(len(counts)), [name.replace(" ", "\n") for name in class_names])
    supports = zip(class_names, counts.sum(axis=1), strict=True)
    ax.set_yticks(range(len(counts)), [f"{name}\n{support:,}" for name, support in supports])
    bare(ax)
    ax.set(xlabel="predicted", ylabel="true class, images")
    return ax


@dataclass(frozen=True)
class Ablation:
    """Class-wise ECE of several models with the noise floor of each.

    Attributes:
        models, class_names: names of the rows and columns.
        ece: observed, ``(models, classes)``.
        floor_low, floor_mean, floor_high: 5 % quantile, mean and 95 % quantile under perfect
            calibration, the same shape.
    """

    models: tuple[str, ...]
    class_names: tuple[str, ...]
    ece: np.ndarray
    floor_low: np.ndarray
    floor_mean: np.ndarray
    floor_high: np.ndarray


def prepare_ablation(
    predictions: Mapping, class_names: Sequence[str], bins=15, resamples=1000, seed=0
) -> Ablation:
    """Class-wise ECE and its noise floor for each model.

    Args:
        predictions: title of each model and its ``(probabilities, labels)`` of shapes
            ``(n, classes)`` and ``(n,)``.
    """
    floors = [noise_floor(p, y, bins, resamples, seed) for p, y in predictions.values()]
    rows = np.array([[f.observed[:-1], f.quantile(0.05), f.mean, f.quantile(0.95)] for f in floors])
    return Ablation(tuple(predictions), tuple(class_names), *rows.swapaxes(0, 1))


@styled
def plot_ablation(
    data: Ablation, published: Mapping[str, Sequence[float]] | None = None, axes=None
):
    """Class-wise ECE as dots: a panel a class, a row a model, the noise floor as a grey bar.

    Args:
        published: title of a model and its published ECE of each class, drawn as open diamonds.
        axes: one axes a class.
    """
    models, classes = data.ece.shape
    axes = panels(classes, classes, 1.25 + 0.34 * models, sharey=True) if axes is None else axes
    rows = np.arange(models)
    there = {row: published[m] for row, m in enumerate(data.models) if m in (published or {})}
    for k, ax in enumerate(np.ravel(axes)):
        low, mean, high = (f[:, k] for f in (data.floor_low, data.floor_mean, data.floor_high))
        ax.hlines(rows, 0, data.ece[:, k], color=FAINT, linewidth=0.8, zorder=0)
        ax.barh(rows, high - low, 0.5, low, color=BAND)
        ax.vlines(mean, rows - 0.25, rows + 0.25, color="white", linewidth=1.2)
        ax.plot(data.ece[:, k], rows, "o", color=colour(k), markersize=6, zorder=3)
        theirs = [values[k] for values in there.values()]
        if theirs:  # a line without points, unclipped, would upset the layout
            hollow = {"mfc": "none", "mec": INK, "mew": 1, "markersize": 5, "zorder": 4}
            ax.plot(theirs, list(there), "D", clip_on=False, **hollow)
        ax.set_xlim(0, 1.1 * np.nanmax([*data.ece[:, k], *high, *theirs]))
        ax.set_title(data.class_names[k], color=colour(k), size=9)
        ax.set_yticks(rows, data.models)
        ax.set_ylim(models - 0.5, -0.5)
        ax.tick_params(axis="y", length=0, labelcolor=INK, labelleft=k == 0)
        ax.spines["left"].set_visible(False)
        ax.xaxis.set_major_locator(plt.MaxNLocator(3, min_n_ticks=2))
        ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    signs = "● here   ◇ published" if published else "● here"
    note(np.ravel(axes)[0], f"class-wise ECE   {signs}   {_FLOOR}")
    return axes


@styled
def plot_floor(tables: Mapping[int, object], truth=None, axes=None):
    """ECE over the number of bins, with the noise floor as a band: a panel a row of the tables.

    Args:
        tables: number of bins, and its :meth:`acrlls.calibration.NoiseFloor.table` with labels.
        truth: ECE without sampling noise of the labels, DataFrame with the numbers of bins as index
            and a column for each panel that has one; drawn as a dashed line.
        axes: one axes a panel.
    """
    names, bins = list(next(iter(tables.values())).index), list(tables)
    if axes is None:
        axes = panels(len(names), 3, 2.3, sharex=True)
        dashes = "" if truth is None else "   dashed: with true probabilities"
        note(axes[0], f"number of bins\n● here   {_FLOOR}{dashes}")
    for k, (name, ax) in enumerate(zip(names, np.ravel(axes), strict=True)):
        low, mean, high, observed = (
            [t.loc[name, column] for t in tables.values()]
            for column in ("q05", "mean", "q95", "observed")
        )
        shade = ACCENT if name == "Top label" else colour(k)
        ax.fill_between(bins, low, high, color=BAND, linewidth=0)
        ax.plot(bins, mean, color="white", linewidth=1.2)
        ax.plot(bins, observed, "o-", color=shade, markersize=5, linewidth=1)
        if truth is not None and name in truth:
            ax.plot(truth.index, truth[name], color=INK, linewidth=1.3, linestyle=DASHES)
        ax.set_title(name, color=shade, size=9)
        ax.set(ylim=(0, None), xticks=bins)
    np.ravel(axes)[0].set_ylabel("ECE")
    return axes


@styled
def plot_estimators(studies: Mapping, titles: Mapping[str, str], over: str = "n", axes=None):
    """Estimates of a calibration error beside what they estimate: a panel an estimator.

    Args:
        studies: name of a population, and its table of the study of estimators; a colour each.
        titles: heading of each panel, by the estimator's name in the tables.
        over: ``"n"`` or ``"bins"``, the level of the index that runs along the horizontal axis.
        axes: one axes a panel.
    """
    if axes is None:
        axes = panels(len(titles), 3, 2.3, sharex=True)
        note(axes[0], "images in the test set" if over == "n" else "number of bins")
    shades = [ACCENT, colour(0), MUTED]
    for (name, title), ax in zip(titles.items(), np.ravel(axes), strict=True):
        for k, (population, study) in enumerate(studies.items()):
            rows = study.loc[name]
            x, shade = rows.index.get_level_values(over), shades[k % len(shades)]
            ax.fill_between(x, rows.q05, rows.q95, color=shade, alpha=0.18, linewidth=0)
            ax.plot(x, rows["mean"], "o-", color=shade, markersize=3, label=population)
            ax.plot(x, rows.truth, color=shade, linewidth=1.3, linestyle=DASHES)
        ax.set_title(title, size=9)
        ax.set(ylim=(0, None), xscale="log" if over == "n" else "linear")
    handles, labels = np.ravel(axes)[0].get_legend_handles_labels()
    np.ravel(axes)[0].figure.legend(handles, labels, loc="outside upper left", ncols=len(labels))
    return axes


@styled
def plot_repeated_intervals(intervals: Mapping, truth: float, xlabel: str = "", axes=None):
    """Intervals from many test sets of one population; those that miss the truth stand out.

    Args:
        intervals: heading of a panel, and its DataFrame with columns ``estimate``, ``low``,
            ``high``, a row a test set.
        truth: what they should hold.
    """
    count = len(intervals)
    axes = panels(count, count, 3.4, sharex=True, sharey=True) if axes is None else axes
    for (title, table), ax in zip(intervals.items(), np.ravel(axes), strict=True):
        rows = np.arange(len(table))
        missed = ((table.low > truth) | (table.high < truth)).to_numpy()
        for which, shade in ((~missed, MUTED), (missed, WRONG)):
            ax.hlines(rows[which], table.low[which], table.high[which], color=shade, linewidth=1.4)
            ax.plot(table.estimate[which], rows[which], "o", color=shade, markersize=2.5)
        ax.axvline(truth, color=INK, linewidth=1.2, linestyle=DASHES)
        ax.set(yticks=[], xlabel=xlabel, ylim=(-1, len(table)))
        ax.set_title(f"{title}\n{missed.sum()} of {len(table)} miss the truth", size=9)
        ax.spines["left"].set_visible(False)
    return axes


@styled
def plot_growth(tables: Mapping, axes=None):
    """Hours of the job in plain Keras and through the bank, a panel for each thing that is turned.

    Args:
        tables: a heading, and its DataFrame of hours in the columns ``plain`` and ``bank`` with the
            value turned as index.
        axes: one axes a panel.
    """
    axes = panels(len(tables), len(tables), 2.6, sharey=True) if axes is None else axes
    for ax, (name, table) in zip(axes, tables.items(), strict=True):
        for k, (side, label) in enumerate({"plain": "plain Keras", "bank": "the bank"}.items()):
            ax.plot(table.index, table[side], "o-", color=colour(k), markersize=3, label=label)
        ax.set(xscale="log", yscale="log", xlabel=name)
        ax.grid(axis="y", color=FAINT, linewidth=0.6)
    axes[0].set_ylabel("hours")
    axes[0].legend()
    return axes
