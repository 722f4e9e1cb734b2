"""What changes over the epochs of both phases: loss, accuracy, LLS scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

from acrlls.figures.style import ACCENT, MUTED, WIDTH, colour, panels, spread, styled


@dataclass(frozen=True)
class Curves:
    """Values over the epochs of both phases, numbered through.

    Attributes:
        epoch: ``(epochs,)``, 1, 2, … over both phases.
        phase: ``(epochs,)``.
        values: name of each line and its values ``(epochs,)``.
        best: index of the epoch that each phase kept (lowest validation loss); empty where unknown.
    """

    epoch: np.ndarray
    phase: np.ndarray
    values: dict[str, np.ndarray]
    best: tuple[int, ...] = ()

    @property
    def spans(self) -> list[slice]:
        """The epochs of each phase."""
        cuts = [0, *(np.flatnonzero(np.diff(self.phase)) + 1), len(self.phase)]
        return [slice(a, b) for a, b in zip(cuts, cuts[1:], strict=False) if b > a]


def prepare_curves(table) -> Curves:
    """Arrays from a table with columns phase, epoch (from 1 in each phase) and one column a line.

    Takes the history of a run (its ``seconds`` are left out) and its LLS scales.
    """
    table = table.sort_values(["phase", "epoch"], kind="stable").reset_index(drop=True)
    names = table.columns.difference(["phase", "epoch", "seconds"], sort=False)
    best = ()
    if "val_loss" in names and len(table):
        best = tuple(int(i) for i in table.groupby("phase")["val_loss"].idxmin())
    values = {name: table[name].to_numpy(float) for name in names}
    return Curves(np.arange(1, len(table) + 1), table["phase"].to_numpy(), values, best)


@styled
def plot_learning(curves: Curves, axes=None):
    """Loss and accuracy over the epochs, training and validation, the kept epochs ringed.

    The training loss is the weighted cross-entropy plus ACR; the validation loss is plain, and
    comparable across phases.

    Args:
        axes: two axes, for loss and accuracy.
    """
    axes = panels(2, 2, 2.9) if axes is None else axes
    kept = list(curves.best)
    for ax, what in zip(axes, ("loss", "accuracy"), strict=True):
        training, validation = curves.values[what], curves.values[f"val_{what}"]
        _by_phase(ax, curves, training, color="#9A9A9A", linewidth=1.3)
        _by_phase(ax, curves, validation, color=ACCENT, linewidth=1.8)
        ring = {"mfc": "white", "mec": ACCENT, "mew": 1.6, "zorder": 4}
        ax.plot(curves.epoch[kept], validation[kept], "o", **ring)
        ends = [("training", training[-1], "#7A7A7A"), ("validation", validation[-1], ACCENT)]
        _label(ax, curves, ends)
        ax.set(xlabel="epoch (ring: kept)", title=what.capitalize())
    return axes


@styled
def plot_lls(curves: Curves, published: Mapping[str, Sequence[float]] | None = None, ax=None):
    """Path of the LLS scale of each class from its start at 1.

    Args:
        curves: of the table of scales: one line a class, in the order of the classes.
        published: two values a class, after Phase 1 and after Phase 2 (Table II), dashed over the
            end of each phase.

    Raises:
        ValueError: there is no epoch to show, as for a variant without LLS.
    """
    if not len(curves.epoch):
        raise ValueError("this run has no LLS scales; take a variant with LLS, such as 'proposed'")
    ax = ax or plt.subplots(figsize=(WIDTH, 3.4))[1]
    ax.axhline(1, color=MUTED, linewidth=0.8, zorder=1)
    for k, (name, values) in enumerate(curves.values.items()):
        _by_phase(ax, curves, values, color=colour(k))
        for span, value in zip(curves.spans, (published or {}).get(name, ()), strict=False):
            epochs = curves.epoch[span]
            reach = [epochs[0] + 0.6 * (len(epochs) - 1), epochs[-1]]
            ax.plot(reach, [value, value], color=colour(k), linewidth=1.2, linestyle=(0, (3, 2)))
    last = {name: values[-1] for name, values in curves.values.items()}
    ends = [(f"{name}  {y:.3f}", y, colour(k)) for k, (name, y) in enumerate(last.items())]
    _label(ax, curves, ends)
    ax.set(ylabel="scale", title="LLS scale of each class")
    ax.set_xlabel("epoch (dashed: published)" if published else "epoch")
    return ax


def _by_phase(ax, curves, values, **how):
    """A line for each phase, not joined: between them the weights jump back to the kept epoch."""
    for span in curves.spans:
        one = {"marker": "o", "markersize": 3} if len(values[span]) == 1 else {}
        ax.plot(curves.epoch[span], values[span], solid_capstyle="round", **one, **how)


def _label(ax, curves, ends):
    """Names of the lines at their right ends, without overlap, and of the phases above."""
    ax.xaxis.set_major_locator(plt.MaxNLocator(6, integer=True))
    ax.autoscale_view()
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.08 * (high - low))  # room for the names of the phases
    points = ax.get_position().height * ax.figure.get_size_inches()[1] * 72
    places = spread([y for _, y, _ in ends], (ax.get_ylim()[1] - low) * 13 / points)
    for (text, y, shade), at in zip(ends, places, strict=True):
        line = {"arrowstyle": "-", "color": shade, "linewidth": 0.5, "alpha": 0.6}
        how = {"textcoords": ax.get_yaxis_transform(), "annotation_clip": False, "arrowprops": line}
        ax.annotate(text, (curves.epoch[-1], y), (1.02, at), color=shade, va="center", **how)
    for i, span in enumerate(curves.spans):
        x = curves.epoch[span][0] - 0.5 if i else ax.get_xlim()[0]
        if i:
            ax.axvline(x, color="#B0B0B0", linewidth=0.8, linestyle=":", zorder=0)
        how = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "va": "top"}
        ax.annotate(f"Phase {curves.phase[span][0]}", (x, 1), (4, 1), size=8, color=MUTED, **how)
