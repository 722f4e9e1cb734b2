"""Numbers side by side: intervals, networks, confusion, the grid, published ones and chance."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

from acrlls.figures import style as theme

KINDS = {"uniform": "equal width", "quantile": "equal mass"}
STROKES = ("-", (0, (3.8, 3.2)), (2.2, (1.4, 5.6)))  # the last falls into the gaps of the second
SHAPES = {"fc": theme.BAND, "lw": 0}, {"fc": "none", "ec": theme.INK, "lw": 0.7}


@theme.style()
def plot_intervals(table, marks=None, line=None, title="", xlabel="", label=None):
    """A point with its interval for each row of a ``table`` with columns ``estimate``, ``low`` and
    ``high``.

    A row whose interval holds the vertical ``line`` is drawn hollow and grey. Each column of
    ``marks``, with the same index, is a reference value; the legend calls the points ``label``."""
    ax = plt.subplots(figsize=(theme.WIDTH, 0.9 + 0.26 * len(table)))[1]
    alike = np.zeros(len(table), bool)
    if line is not None:
        alike = table.low.le(line) & table.high.ge(line)
        ax.axvline(line, color=theme.MUTED, linewidth=0.8, zorder=0)
    looks = {"color": theme.ACCENT, "label": label}, {"color": theme.MUTED, "mfc": "white"}
    for which, look in zip((~alike, alike), looks, strict=True):
        rows, some = np.flatnonzero(which), table[np.asarray(which)]
        ax.hlines(rows, some.low, some.high, color=look["color"])
        ax.plot(some.estimate, rows, "o", markersize=5.5, **look)
    if marks is not None:
        for k, (name, values) in enumerate(marks.items()):
            how = {"color": theme.colour(2 * k), "markersize": 5 if k else 9, "mew": 1.6}
            ax.plot(values, range(len(table)), "|d"[k], label=name, zorder=3, **how)
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0)
    ax.set_yticks(range(len(table)), table.index)
    ax.tick_params(axis="y", length=0, labelcolor=theme.INK)
    ax.set(ylim=(len(table) - 0.5, -0.5), xlabel=xlabel)
    ax.set_title(title, pad=6 if marks is None else 20)
    return ax


@theme.style()
def plot_networks(groups: Mapping, floors: Mapping | None, xlabel: str, published=None):
    """A row a network, its name above, grouped by setting, with a dot for each of its runs: all
    arguments are by setting and network, ``groups`` and ``floors`` with a value a run. A floor is
    what perfect calibration stays below in 95 % of test sets: a dot that is not above its own is
    hollow, and a grey band ends at the lowest of a row, a lighter one at the highest. A diamond is
    a ``published`` value. Narrow, so that it fits a phone."""
    height = 0.32 * sum(map(len, groups.values())) + 0.33 * len(groups) + 0.9
    ax, y = plt.subplots(figsize=(theme.NARROW, height))[1], 0
    beside = {"xytext": (3, 0), "textcoords": "offset points", "va": "center"}
    for setting, group in groups.items():
        ax.annotate(setting, (0, y), weight="bold", size=9, **beside)
        for name, values in group.items():
            y += 1
            ax.annotate(name, (0, y - 0.28), size=8.5, color=theme.MUTED, **beside)
            own = floors[setting][name] if floors else [0] * len(values)
            for end, grey in ((max(own), theme.FAINT), (min(own), theme.BAND)):
                ax.fill_betweenx([y, y + 0.44], 0, end, color=grey, lw=0, zorder=0)
            ax.plot([0, np.mean(values)], [y + 0.22] * 2, color=theme.MUTED, lw=0.6, zorder=1)
            fills = np.where(np.greater(values, own), theme.ACCENT, "white")
            look = {"edgecolors": theme.ACCENT, "linewidths": 1.2, "zorder": 2}
            ax.scatter(values, [y + 0.22] * len(values), 36, fills, **look)
            if value := (published or {}).get(setting, {}).get(name):
                ax.scatter(value, y + 0.22, 40, theme.INK, marker="D", zorder=3)
        y += 1.1
    ax.set(xlabel=xlabel, xlim=(0, None), ylim=(y - 0.3, -0.5), yticks=[])
    ax.xaxis.set_label_position("top")  # in sight where a screen ends before the figure does
    ax.tick_params(top=True, labeltop=True)
    return ax


@theme.style()
def plot_confusion(counts, class_names: Sequence[str]):
    """Confusion matrix ``(classes, classes)``, a row a label and a column a predicted class: counts
    over their share of the row, which sets the shade; of many classes, the shade alone."""
    from sklearn.metrics import ConfusionMatrixDisplay  # not above: it loads slowly

    many, share = len(counts) > theme.MOST, counts / np.sum(counts, axis=1, keepdims=True).clip(1)
    names = None if many else [name.replace(" ", "\n") for name in class_names]
    how = {"include_values": not many, "cmap": theme.SEQUENTIAL, "colorbar": False}
    how["im_kw"] = {"vmin": 0, "vmax": 1}
    ax = plt.subplots(figsize=(5.6, 5.6))[1]
    ConfusionMatrixDisplay(share, display_labels=names).plot(ax=ax, **how)
    ax.set(xlabel="predicted", ylabel="true class" if many else "true class, images")
    if many:
        ax.set_title(f"{len(counts)} classes by number; counts are left out", size=9)
        return ax
    supports = zip(class_names, np.sum(counts, axis=1), strict=True)
    ax.set_yticks(range(len(counts)), [f"{name}\n{support:,}" for name, support in supports])
    for text, n, part in zip(ax.texts, np.ravel(counts), share.ravel(), strict=True):
        text.set_text(f"{n:,}\n{100 * part:.1f} %")
    theme.bare(ax)
    return ax


@theme.style()
def plot_tuning(table, published: tuple[float, float]):
    """The grid of Section III-B, a table of :func:`acrlls.tune`: validation loss, darker where
    lower, over the accuracy, with a full frame at the lowest loss and a dashed one at the
    ``published`` alpha and tau."""
    pivot = table.pivot(index="alpha", columns="tau")
    loss, accuracy = (pivot[name].to_numpy() for name in ("val_loss", "val_accuracy"))
    alphas, taus = pivot.index, pivot["val_loss"].columns
    ax = plt.subplots(figsize=(theme.WIDTH, 0.75 + 0.62 * len(loss)))[1]
    shades = ax.imshow(loss, cmap=theme.SEQUENTIAL.reversed(), aspect="auto")
    for (i, j), value in np.ndenumerate(loss):
        how = {"color": "white" if shades.norm(value) < 0.3 else theme.INK, "ha": "center"}
        ax.text(j, i, f"{value:.4f}", va="bottom", **how)
        ax.text(j, i, f"{100 * accuracy[i, j]:.1f} %", va="top", size=8, **how)
    pairs = [(alpha, tau) for alpha in alphas for tau in taus]
    theirs = pairs.index(published) if published in pairs else -1
    theme.frame_pairs(ax, alphas, taus, loss.argmin(), theirs)
    theme.bare(ax)
    ax.set(xlabel="target margin τ", ylabel="strength α")
    ax.set_title("Validation loss, and accuracy below it")
    return ax


@theme.style()
def plot_ece_floors(table):
    """Published ECEs and the noise floor by class (columns), kind (rows) and number of bins, from
    the table of :func:`acrlls.ledger.ece_tests`: a filled band for the first shape of the scores,
    an outlined one for the second."""
    models, classes, shapes = (sorted(set(table.index.get_level_values(i))) for i in range(3))
    models.sort(key=lambda m: m != "Proposed")  # the first is drawn with a full line
    bins = sorted(set(table.index.get_level_values("bins")))
    size, x = (theme.WIDTH, 4.4), range(len(bins))
    axes = plt.subplots(len(KINDS), len(classes), figsize=size, sharex=True, sharey="col")[1]
    pairs = zip(models, STROKES, strict=True)
    key = [plt.Line2D([], [], color=theme.INK, ls=stroke, label=model) for model, stroke in pairs]
    for shape, look in zip(shapes, SHAPES, strict=True):
        key.append(Rectangle((0, 0), 1, 1, label=f"calibrated, {shape}", **look))
    axes[0, 0].figure.legend(
        handles=key, ncols=5, loc="outside lower center", fontsize=8, handlelength=2.4
    )
    for row, kind in zip(axes, KINDS, strict=True):
        for k, (ax, c) in enumerate(zip(row, classes, strict=True)):
            for shape, look in zip(shapes, SHAPES, strict=True):
                rows = table.loc[[(models[0], c, shape, kind, b) for b in bins]]
                ax.fill_between(x, rows.low, rows.high, **look)
            for model, stroke in zip(models, STROKES, strict=True):
                published = table.loc[(model, c, shapes[0], kind, bins[0])].published
                ax.axhline(published, color=theme.colour(k), linestyle=stroke, linewidth=1.6)
            ax.set(ylim=(0, None), xticks=x, xticklabels=bins)
            ax.tick_params(labelsize=7.5)
            if kind == "uniform":
                ax.set_title(c, color=theme.colour(k), size=9)
        row[0].set_ylabel(f"ECE\n{KINDS[kind]}")
    axes[-1][0].set_xlabel("number of bins", loc="left")
    return axes


@theme.style()
def plot_mcnemar(curve, ours: Mapping[str, int]):
    """McNemar's p over the images that exactly one model gets right, with the disagreement of
    recorded runs, from :func:`acrlls.ledger.accuracy_curve`."""
    ax = plt.subplots(figsize=(theme.WIDTH, 2.6))[1]
    ax.axhline(0.05, color=theme.MUTED, linewidth=0.8)
    ax.axvspan(curve.index.min(), curve.index[curve < 0.05].max(), color=theme.FAINT, zorder=0)
    ax.plot(curve.index, curve, color=theme.ACCENT)
    marked = curve[sorted(ours.values())]
    ax.plot(marked.index, marked, "o", color=theme.INK, markersize=5)
    last, how = (marked.index[-1], marked.iloc[-1]), {"textcoords": "offset points", "size": 8}
    ax.annotate("recorded pairs of runs", last, (8, -6), **how)
    ax.set(xlabel="images that exactly one of the two gets right", ylabel="p", ylim=(0, None))
    return ax
