"""What changes over the epochs of both phases: loss, accuracy, LLS scales."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt

from acrlls.figures.style import ACCENT, MOST, MUTED, WIDTH, colour, note, panels, style


@style()
def plot_learning(history):
    """Loss and accuracy of a run's ``history``, training and validation, the kept epochs ringed.

    The training loss is the weighted cross-entropy plus ACR; the validation loss is plain, and
    comparable across phases."""
    axes, table = panels(2, 2, 2.9), history.set_axis(range(1, len(history) + 1))
    kept = table.loc[table.groupby("phase")["val_loss"].idxmin()]
    for ax, what in zip(axes, ("loss", "accuracy"), strict=True):
        _by_phase(ax, table, what, "training", color="#9A9A9A", linewidth=1.3)
        _by_phase(ax, table, f"val_{what}", "validation", color=ACCENT, linewidth=1.8)
        ring = {"mfc": "white", "mec": ACCENT, "mew": 1.6, "zorder": 4}
        ax.plot(kept.index, kept[f"val_{what}"], "o", **ring)
        _name_phases(ax, table)
        ax.set(xlabel="epoch, over both phases (ring: kept)", title=what.capitalize())
    axes[0].legend()
    return axes


@style()
def plot_lls(scales, published: Mapping[str, Sequence[float]]):
    """Path of the LLS scale of each class from its start at 1, from the ``scales`` of a run.

    The ``published`` values of a class, after Phase 1 and after Phase 2 (Table II), are dashed over
    the end of each phase."""
    ax, table = plt.subplots(figsize=(WIDTH, 3.4))[1], scales.set_axis(range(1, len(scales) + 1))
    ax.axhline(1, color=MUTED, linewidth=0.8, zorder=1)
    names = table.columns.drop(["phase", "epoch"])
    note(ax, classes=len(names))
    for k, name in enumerate(names[:MOST]):
        _by_phase(ax, table, name, f"{name}  {table[name].iloc[-1]:.3f}", color=colour(k))
        phases = table.groupby("phase").groups.values()
        for epochs, value in zip(phases, published.get(name, ()), strict=False):
            start = epochs[0] + 0.6 * (len(epochs) - 1)
            ax.hlines(value, start, epochs[-1], colour(k), linewidth=1.2, linestyle=(0, (3, 2)))
    _name_phases(ax, table)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    ax.set(ylabel="scale", title="LLS scale of each class", xlabel="epoch (dashed: published)")
    return ax


def _by_phase(ax, table, name, label, **how):
    """A line for each phase, not joined: between them the weights jump back to the kept epoch."""
    for _, rows in table.groupby("phase"):
        one = {"marker": "o", "markersize": 3} if len(rows) == 1 else {}
        ax.plot(rows.index, rows[name], label=label, **one, **how)
        label = None  # once in the legend


def _name_phases(ax, table):
    ax.xaxis.set_major_locator(plt.MaxNLocator(6, integer=True))
    ax.margins(y=0.12)  # room for the names
    ax.set_xlim(left=0.5)
    for phase, rows in table.groupby("phase"):
        start = rows.index[0] - 0.5
        ax.axvline(start, color="#B0B0B0", linewidth=0.8, linestyle=":", zorder=0)
        how = {"textcoords": "offset points", "va": "top", "size": 8, "color": MUTED}
        ax.annotate(f"Phase {phase}", (start, 1), (4, 0), ax.get_xaxis_transform(), **how)
