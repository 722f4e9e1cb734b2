"""Numbers side by side: intervals, networks, confusion, the grid, costs."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

from acrlls.figures.style import (
    ACCENT,
    COLOURS,
    FAINT,
    INK,
    MOST,
    MUTED,
    SEQUENTIAL,
    WIDTH,
    bare,
    colour,
    style,
)


@style()
def plot_intervals(table, marks=None, line=None, title="", xlabel="", label=None):
    """A point with its interval for each row of a ``table`` with columns ``estimate``, ``low`` and
    ``high``.

    A row whose interval holds the vertical ``line`` is drawn hollow and grey. Each column of
    ``marks``, with the same index, is a reference value; the legend calls the points ``label``.
    """
    ax = plt.subplots(figsize=(WIDTH, 0.9 + 0.26 * len(table)))[1]
    alike = np.zeros(len(table), bool)
    if line is not None:
        alike = table.low.le(line) & table.high.ge(line)
        ax.axvline(line, color=MUTED, linewidth=0.8, zorder=0)
    looks = {"color": ACCENT, "label": label}, {"color": MUTED, "mfc": "white"}
    for which, look in zip((~alike, alike), looks, strict=True):
        rows, some = np.flatnonzero(which), table[np.asarray(which)]
        ax.hlines(rows, some.low, some.high, color=look["color"])
        ax.plot(some.estimate, rows, "o", markersize=5.5, **look)
    if marks is not None:
        for k, (name, values) in enumerate(marks.items()):
            how = {"color": colour(2 * k), "markersize": 5 if k else 9, "markeredgewidth": 1.6}
            ax.plot(values, range(len(table)), "|d"[k], label=name, zorder=3, **how)
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0)
    ax.set_yticks(range(len(table)), table.index)
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.set(ylim=(len(table) - 0.5, -0.5), xlabel=xlabel)
    ax.set_title(title, pad=6 if marks is None else 20)
    return ax


@style()
def plot_networks(
    groups: Mapping[str, Mapping[str, Sequence[float]]],
    floors: Mapping[str, Mapping[str, Sequence[float]]],
    xlabel: str,
):
    """A row a network, grouped by setting, with a dot for each of its runs; a grey band up to the
    highest floor of these, which perfect calibration stays below in 95 % of test sets.
    """
    every = [name for group in groups.values() for name in group]
    names, rows = list(dict.fromkeys(every)), len(every) + len(groups)
    ax = plt.subplots(figsize=(WIDTH, 0.27 * rows + 0.6))[1]
    y, labels = 0, {}
    for setting, group in groups.items():
        ax.text(0, y - 0.1, setting, weight="bold", va="center", fontsize=8.5)
        for name, values in group.items():
            y += 1
            labels[y] = name
            reach = max(floors[setting][name])
            ax.fill_betweenx([y - 0.5, y + 0.5], 0, reach, color=FAINT, lw=0, zorder=0)
            ax.plot([0, np.mean(values)], [y, y], color=MUTED, lw=0.6, zorder=1)
            how = {"color": colour(names.index(name)), "ms": 6, "mec": "white", "mew": 0.6}
            ax.plot(values, [y] * len(values), "o", zorder=2, **how)
        y += 1.3
    ax.set(xlabel=xlabel, xlim=(0, None), ylim=(y - 0.5, -0.6))
    ax.set_yticks(list(labels), labels.values())
    ax.tick_params(axis="y", length=0)
    return ax


@style()
def plot_confusion(counts, class_names: Sequence[str]):
    """Confusion matrix ``(classes, classes)``, a row a label and a column a predicted class: counts
    over their share of the row, which also sets the shade; of many classes, the shade alone.
    """
    counts = np.asarray(counts)
    many = len(counts) > MOST
    ax = plt.subplots(figsize=(5.6, 5.6 if many else 0.9 + 0.78 * len(counts)))[1]
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(share, cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
    ax.set(xlabel="predicted", ylabel="true class" if many else "true class, images")
    if many:
        ax.set_title(f"{len(counts)} classes by number; counts are left out", size=9)
        return ax
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
    return ax


@style()
def plot_tuning(table, published: tuple[float, float]):
    """The grid of Section III-B, a table of :func:`acrlls.tune`: validation loss, darker where
    lower, over the accuracy, with a full frame at the lowest loss and a dashed one at the
    ``published`` alpha and tau.
    """
    pivot = table.pivot(index="alpha", columns="tau")
    loss, accuracy = pivot["val_loss"].to_numpy(), pivot["val_accuracy"].to_numpy()
    alphas, taus = pivot.index, pivot["val_loss"].columns
    ax = plt.subplots(figsize=(WIDTH, 0.75 + 0.62 * len(loss)))[1]
    shades = ax.imshow(loss, cmap=SEQUENTIAL.reversed(), aspect="auto")
    for (i, j), value in np.ndenumerate(loss):
        how = {"color": "white" if shades.norm(value) < 0.3 else INK, "ha": "center"}
        ax.text(j, i, f"{value:.4f}", va="bottom", **how)
        ax.text(j, i, f"{100 * accuracy[i, j]:.1f} %", va="top", size=8, **how)
    frames = [(*np.unravel_index(loss.argmin(), loss.shape), "solid", 0.96)]
    if published[0] in alphas and published[1] in taus:
        frames += [(alphas.get_loc(published[0]), taus.get_loc(published[1]), "dashed", 0.88)]
    for i, j, line, side in frames:
        corner = (j - side / 2, i - side / 2)
        ax.add_patch(Rectangle(corner, side, side, fill=False, ec=COLOURS[0], lw=1.8, ls=line))
    ax.set_xticks(range(len(taus)), [f"{tau:.2f}" for tau in taus])
    ax.set_yticks(range(len(alphas)), [f"{alpha:.2f}" for alpha in alphas])
    bare(ax)
    ax.set(xlabel="target margin τ", ylabel="strength α")
    ax.set_title("Validation loss, and accuracy below it")
    return ax
