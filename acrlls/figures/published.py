"""Published numbers against chance."""

from collections.abc import Mapping

import matplotlib.pyplot as plt

from acrlls.figures.style import ACCENT, BAND, FAINT, INK, MUTED, WIDTH, colour, style

KINDS = {"uniform": "equal width", "quantile": "equal mass"}
STROKES = ("-", (0, (5, 2)), (0, (1, 1.5)))


@style()
def plot_ece_floors(table):
    """Published ECEs and the noise floor by class (columns), kind (rows) and number of bins, from
    the table of :func:`acrlls.ledger.ece_tests`.
    """
    models, classes, shapes = (sorted(set(table.index.get_level_values(i))) for i in range(3))
    models.sort(key=lambda m: m != "Proposed")  # the first is drawn with a full line
    bins = sorted(set(table.index.get_level_values("bins")))
    size, x = (WIDTH, 4.4), range(len(bins))
    axes = plt.subplots(len(KINDS), len(classes), figsize=size, sharex=True, sharey="col")[1]
    pairs, band = zip(models, STROKES, strict=True), "90 % of calibrated models, a band a shape"
    lines = [plt.Line2D([], [], color=INK, ls=stroke, label=model) for model, stroke in pairs]
    lines.append(plt.Rectangle((0, 0), 1, 1, color=BAND, label=band))
    axes[0, 0].figure.legend(handles=lines, ncols=4, loc="outside lower center", fontsize=8)
    for row, kind in zip(axes, KINDS, strict=True):
        for k, (ax, c) in enumerate(zip(row, classes, strict=True)):
            for shape in shapes:
                rows = table.loc[[(models[0], c, shape, kind, b) for b in bins]]
                ax.fill_between(x, rows.low, rows.high, color="#8A8A8A", alpha=0.16, linewidth=0)
                ax.plot(x, rows.floor, color="white", linewidth=0.9)
            for model, stroke in zip(models, STROKES, strict=True):
                published = table.loc[(model, c, shapes[0], kind, bins[0])].published
                ax.axhline(published, color=colour(k), linestyle=stroke, linewidth=1.4)
            ax.set(ylim=(0, None), xticks=x, xticklabels=bins)
            ax.tick_params(labelsize=7.5)
            if kind == "uniform":
                ax.set_title(c, color=colour(k), size=9)
        row[0].set_ylabel(f"ECE\n{KINDS[kind]}")
    axes[-1][0].set_xlabel("number of bins", loc="left")
    return axes


@style()
def plot_mcnemar(curve, ours: Mapping[str, int]):
    """McNemar's p over the images that exactly one model gets right, with the disagreement of
    recorded runs, from :func:`acrlls.ledger.accuracy_curve`.
    """
    ax = plt.subplots(figsize=(WIDTH, 2.6))[1]
    ax.axhline(0.05, color=MUTED, linewidth=0.8)
    ax.axvspan(curve.index.min(), curve.index[curve < 0.05].max(), color=FAINT, zorder=0)
    ax.plot(curve.index, curve, color=ACCENT)
    marked = curve[sorted(ours.values())]
    ax.plot(marked.index, marked, "o", color=INK, markersize=5)
    last, how = (marked.index[-1], marked.iloc[-1]), {"textcoords": "offset points", "size": 8}
    ax.annotate("recorded pairs of runs", last, (8, -6), **how)
    ax.set(xlabel="images that exactly one of the two gets right", ylabel="p", ylim=(0, None))
    return ax
