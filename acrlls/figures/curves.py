"""What changes over the epochs of both phases: loss, accuracy, LLS scales."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt

from acrlls.figures.style import ACCENT, MUTED, WIDTH, colour, panels, spread, style


@style()
def plot_learning(history):
    """Loss and accuracy of a run's ``history``, training and validation, the kept epochs ringed.

    The training loss is the weighted cross-entropy plus ACR; the validation loss is plain, and
    comparable across phases.
    """
    axes, table = panels(2, 2, 2.9), history.set_axis(range(1, len(history) + 1))
    kept = table.loc[table.groupby("phase")["val_loss"].idxmin()]
    for ax, what in zip(axes, ("loss", "accuracy"), strict=True):
        validation = f"val_{what}"
        _by_phase(ax, table, what, color="#9A9A9A", linewidth=1.3)
        _by_phase(ax, table, validation, color=ACCENT, linewidth=1.8)
        ring = {"mfc": "white", "mec": ACCENT, "mew": 1.6, "zorder": 4}
        ax.plot(kept.index, kept[validation], "o", **ring)
        last = table.iloc[-1]
        ends = [("training", last[what], "#7A7A7A"), ("validation", last[validation], ACCENT)]
        _label(ax, table, ends)
        ax.set(xlabel="epoch (ring: kept)", title=what.capitalize())
    return axes


@style()
def plot_lls(scales, published: Mapping[str, Sequence[float]]):
    """Path of the LLS scale of each class from its start at 1, from the ``scales`` of a run.

    The ``published`` values of a class, after Phase 1 and after Phase 2 (Table II), are dashed over
    the end of each phase.
    """
    ax, table = plt.subplots(figsize=(WIDTH, 3.4))[1], scales.set_axis(range(1, len(scales) + 1))
    ax.axhline(1, color=MUTED, linewidth=0.8, zorder=1)
    ends = []
    for k, name in enumerate(table.columns.drop(["phase", "epoch"])):
        _by_phase(ax, table, name, color=colour(k))
        phases = table.groupby("phase").groups.values()
        for epochs, value in zip(phases, published.get(name, ()), strict=False):
            reach = [epochs[0] + 0.6 * (len(epochs) - 1), epochs[-1]]
            ax.plot(reach, [value, value], color=colour(k), linewidth=1.2, linestyle=(0, (3, 2)))
        last = table[name].iloc[-1]
        ends.append((f"{name}  {last:.3f}", last, colour(k)))
    _label(ax, table, ends)
    ax.set(ylabel="scale", title="LLS scale of each class", xlabel="epoch (dashed: published)")
    return ax


def _by_phase(ax, table, name, **how):
    """A line for each phase, not joined: between them the weights jump back to the kept epoch."""
    for _, rows in table.groupby("phase"):
        one = {"marker": "o", "markersize": 3} if len(rows) == 1 else {}
        ax.plot(rows.index, rows[name], solid_capstyle="round", **one, **how)


def _label(ax, table, ends):
    ax.xaxis.set_major_locator(plt.MaxNLocator(6, integer=True))
    ax.autoscale_view()
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.08 * (high - low))  # room for the names of the phases
    points = ax.get_position().height * ax.figure.get_size_inches()[1] * 72
    places = spread([y for _, y, _ in ends], (ax.get_ylim()[1] - low) * 13 / points)
    for (text, y, shade), at in zip(ends, places, strict=True):
        line = {"arrowstyle": "-", "color": shade, "linewidth": 0.5, "alpha": 0.6}
        how = {"textcoords": ax.get_yaxis_transform(), "annotation_clip": False, "arrowprops": line}
        ax.annotate(text, (len(table), y), (1.02, at), color=shade, va="center", **how)
    for i, (phase, rows) in enumerate(table.groupby("phase")):
        x = rows.index[0] - 0.5 if i else ax.get_xlim()[0]
        if i:
            ax.axvline(x, color="#B0B0B0", linewidth=0.8, linestyle=":", zorder=0)
        how = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "va": "top"}
        ax.annotate(f"Phase {phase}", (x, 1), (4, 1), size=8, color=MUTED, **how)
