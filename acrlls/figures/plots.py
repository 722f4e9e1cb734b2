"""The figures: ``prepare_*`` gives arrays, ``plot_*`` draws on the axes it is given, or on new ones.

Curves, tables and calibration are here; pictures and the architecture come from two modules of their own.
Reliability diagrams are prepared by :func:`acrlls.calibration.registry.prepare_reliability`.  Every ``plot_*`` has the
look of :func:`style`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

from acrlls.calibration import noise_floor
from acrlls.config import UserError
from acrlls.figures.architecture import plot_architecture, prepare_architecture
from acrlls.figures.compare import (
    plot_estimators,
    plot_floor,
    plot_growth,
    plot_intervals,
    plot_repeated_intervals,
    plot_truth,
)
from acrlls.figures.images import (
    choose_examples,
    plot_augmentation,
    plot_examples,
    plot_gradcam,
    plot_masks,
    prepare_augmentation,
    prepare_examples,
)
from acrlls.figures.published import plot_ece_floors, plot_gap_floors, plot_mcnemar
from acrlls.figures.reliability import plot_reliability
from acrlls.figures.style import (
    ACCENT,
    COLOURS,
    FAINT,
    INK,
    MUTED,
    SEQUENTIAL,
    WIDTH,
    colour,
    spread,
    style,
    styled,
)

__all__ = [
    "COLOURS",
    "Ablation",
    "Curves",
    "Tuning",
    "choose_examples",
    "plot_ablation",
    "plot_architecture",
    "plot_augmentation",
    "plot_confusion",
    "plot_ece_floors",
    "plot_estimators",
    "plot_examples",
    "plot_floor",
    "plot_gap_floors",
    "plot_gradcam",
    "plot_growth",
    "plot_intervals",
    "plot_learning",
    "plot_lls",
    "plot_masks",
    "plot_mcnemar",
    "plot_reliability",
    "plot_repeated_intervals",
    "plot_truth",
    "plot_tuning",
    "prepare_ablation",
    "prepare_architecture",
    "prepare_augmentation",
    "prepare_curves",
    "prepare_examples",
    "prepare_tuning",
    "style",
]


@dataclass(frozen=True)
class Tuning:
    """The grid of Section III-B as arrays; NaN where a pair was not run.

    Attributes:
        alpha, tau: values of the rows and columns, rising.
        loss: validation loss, ``(alphas, taus)``.
        accuracy: validation accuracy in [0, 1], ``(alphas, taus)``.
        best: row and column of the lowest loss.
    """

    alpha: np.ndarray
    tau: np.ndarray
    loss: np.ndarray
    accuracy: np.ndarray
    best: tuple[int, int]


def prepare_tuning(table) -> Tuning:
    """Arrays from the table of the grid: columns alpha, tau, val_loss, val_accuracy, in any order of rows."""
    alpha, tau = np.unique(table["alpha"]), np.unique(table["tau"])
    loss, accuracy = np.full((2, len(alpha), len(tau)), np.nan)
    where = np.searchsorted(alpha, table["alpha"]), np.searchsorted(tau, table["tau"])
    loss[where], accuracy[where] = table["val_loss"], table["val_accuracy"]
    best = np.unravel_index(np.nanargmin(loss), loss.shape)
    return Tuning(alpha, tau, loss, accuracy, (int(best[0]), int(best[1])))


@styled
def plot_tuning(grid: Tuning, published: tuple[float, float] | None = (0.08, 0.25), ax=None):
    """Heat map of the validation loss, darker where lower, with the accuracy under each value.

    Args:
        published: alpha and tau that the paper chose, framed with dashes; None draws no second frame.
    """
    ax = ax or plt.subplots(figsize=(WIDTH, 0.75 + 0.72 * len(grid.alpha)))[1]
    low, high = np.nanmin(grid.loss), np.nanmax(grid.loss)
    depth = (high - grid.loss) / (high - low) if high > low else np.zeros_like(grid.loss)
    ax.imshow(depth, cmap=SEQUENTIAL, vmin=-0.05, vmax=1.25, aspect="auto")
    inks = np.where(depth > 0.75, "white", INK)
    for (i, j), loss in np.ndenumerate(grid.loss):
        if np.isnan(loss):
            ax.text(j, i, "not run", ha="center", va="center", color=MUTED, size=8)
            continue
        how = {"ha": "center", "va": "center", "color": inks[i, j]}
        ax.text(j, i - 0.02, f"{loss:.4f}", weight="bold" if (i, j) == grid.best else None, **how)
        ax.text(j, i + 0.25, f"{100 * grid.accuracy[i, j]:.1f} %", size=8, **how)
    frames = {grid.best: ("lowest here", "solid")}
    if published is not None and published[0] in grid.alpha and published[1] in grid.tau:
        place = np.searchsorted(grid.alpha, published[0]), np.searchsorted(grid.tau, published[1])
        place = int(place[0]), int(place[1])
        frames[place] = (
            ("lowest, as in the paper", "solid")
            if place == grid.best
            else ("the paper's", "dashed")
        )
    for (i, j), (label, line) in frames.items():
        ax.add_patch(
            Rectangle((j - 0.47, i - 0.44), 0.94, 0.88, fill=False, ec=COLOURS[0], lw=1.8, ls=line)
        )
        ax.text(j, i - 0.29, label, ha="center", va="center", size=7.5, color=inks[i, j])
    ax.set_xticks(range(len(grid.tau)), [f"{t:.2f}" for t in grid.tau])
    ax.set_yticks(range(len(grid.alpha)), [f"{a:.2f}" for a in grid.alpha])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(
        xlabel="target margin τ",
        ylabel="strength α",
        title="Validation loss, and accuracy below it",
    )
    return ax


@dataclass(frozen=True)
class Curves:
    """Values over the epochs of both phases, numbered through.

    Attributes:
        epoch: ``(epochs,)``, 1, 2, … over both phases.
        phase: ``(epochs,)``.
        values: name of each line and its values ``(epochs,)``.
        best: index of the epoch that each phase kept (lowest validation loss); empty where that is unknown.
    """

    epoch: np.ndarray
    phase: np.ndarray
    values: dict[str, np.ndarray]
    best: tuple[int, ...] = ()

    @property
    def starts(self) -> list[int]:
        """Index of the first epoch of each phase."""
        return [0, *(np.flatnonzero(np.diff(self.phase)) + 1)] if len(self.phase) else []


def prepare_curves(table) -> Curves:
    """Arrays from a table with columns phase, epoch (from 1 in each phase) and one column a line.

    Takes both the history of a run (its ``seconds`` are left out) and its LLS scales.
    """
    table = table.sort_values(["phase", "epoch"], kind="stable").reset_index(drop=True)
    names = [c for c in table.columns if c not in ("phase", "epoch", "seconds")]
    best = ()
    if "val_loss" in names and len(table):
        best = tuple(int(i) for i in table.groupby("phase")["val_loss"].idxmin())
    values = {name: table[name].to_numpy(float) for name in names}
    return Curves(np.arange(1, len(table) + 1), table["phase"].to_numpy(), values, best)


@styled
def plot_learning(curves: Curves, axes=None):
    """Loss and accuracy over the epochs, training and validation, the phases apart, the kept epochs ringed.

    The training loss is the weighted cross-entropy plus ACR; the validation loss is plain, and comparable
    across phases.

    Args:
        axes: two axes, for loss and accuracy.
    """
    axes = plt.subplots(1, 2, figsize=(WIDTH, 2.9))[1] if axes is None else axes
    for ax, what in zip(axes, ("loss", "accuracy"), strict=True):
        training, validation = curves.values[what], curves.values[f"val_{what}"]
        _by_phase(ax, curves, training, color="#9A9A9A", linewidth=1.3)
        _by_phase(ax, curves, validation, color=ACCENT, linewidth=1.8)
        kept = list(curves.best)
        ring = {
            "markerfacecolor": "white",
            "markeredgecolor": ACCENT,
            "markeredgewidth": 1.6,
            "zorder": 4,
        }
        ax.plot(curves.epoch[kept], validation[kept], "o", **ring)
        _label_ends(
            ax,
            curves,
            [("training", training[-1], "#7A7A7A"), ("validation", validation[-1], ACCENT)],
        )
        _mark_phases(ax, curves)
        ax.set(xlabel="epoch (ring: kept)", title=what.capitalize())
    return axes


@styled
def plot_lls(curves: Curves, published: Mapping[str, Sequence[float]] | None = None, ax=None):
    """Path of the LLS scale of each class from its start at 1.

    Args:
        curves: of the table of scales: one line a class, in the order of the classes.
        published: two values a class, after Phase 1 and after Phase 2 (Table II), dashed over the end of each
            phase.

    Raises:
        UserError: there is no epoch to show, as for a variant without LLS.
    """
    if not len(curves.epoch):
        raise UserError(
            "this run has no LLS scales to show; take a variant that has LLS, such as 'proposed'"
        )
    ax = ax or plt.subplots(figsize=(WIDTH, 3.4))[1]
    ax.axhline(1, color=MUTED, linewidth=0.8, zorder=1)
    ends = [*curves.starts[1:], len(curves.epoch)]
    for k, (name, values) in enumerate(curves.values.items()):
        _by_phase(ax, curves, values, color=colour(k))
        for start, end, value in zip(
            curves.starts, ends, (published or {}).get(name, ()), strict=False
        ):
            reach = [curves.epoch[start] + 0.6 * (end - 1 - start), curves.epoch[end - 1]]
            ax.plot(
                reach,
                [value, value],
                color=colour(k),
                linewidth=1.2,
                linestyle=(0, (3, 2)),
                alpha=0.9,
            )
    last = [(name, values[-1]) for name, values in curves.values.items()]
    _label_ends(
        ax,
        curves,
        [(f"{name}  {value:.3f}", value, colour(k)) for k, (name, value) in enumerate(last)],
    )
    _mark_phases(ax, curves)
    ax.set(ylabel="scale", title="LLS scale of each class")
    ax.set_xlabel("epoch (dashed: published)" if published else "epoch")
    return ax


def _by_phase(ax, curves, values, **how):
    """A line for each phase, not joined: between them the weights jump back to the kept epoch."""
    for start, end in zip(curves.starts, [*curves.starts[1:], len(values)], strict=True):
        one = {"marker": "o", "markersize": 3} if end - start == 1 else {}
        ax.plot(curves.epoch[start:end], values[start:end], solid_capstyle="round", **one, **how)


def _mark_phases(ax, curves):
    for start in curves.starts:
        if start:
            ax.axvline(
                curves.epoch[start] - 0.5, color="#B0B0B0", linewidth=0.8, linestyle=":", zorder=0
            )
        x = curves.epoch[start] - 0.5 if start else ax.get_xlim()[0]
        ax.annotate(
            f"Phase {curves.phase[start]}",
            (x, 1),
            (4, 1),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            size=7.5,
            color=MUTED,
            va="top",
        )


def _label_ends(ax, curves, labels):
    """Texts at the right ends of lines, moved apart where they would overlap."""
    ax.xaxis.set_major_locator(plt.MaxNLocator(6, integer=True))
    ax.autoscale_view()
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.08 * (high - low))  # room for the names of the phases
    points = ax.get_position().height * ax.figure.get_size_inches()[1] * 72
    gap = (ax.get_ylim()[1] - low) * 13 / points
    for (text, y, shade), at in zip(labels, spread([v for _, v, _ in labels], gap), strict=True):
        leader = {"arrowstyle": "-", "color": shade, "linewidth": 0.5, "alpha": 0.6}
        ax.annotate(
            text,
            (curves.epoch[-1], y),
            (1.02, at),
            textcoords=ax.get_yaxis_transform(),
            color=shade,
            va="center",
            size=8.5,
            annotation_clip=False,
            arrowprops=leader,
        )


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
        ax.text(
            j,
            i - 0.12,
            f"{n:,}",
            ha="center",
            va="center",
            color=ink,
            weight="bold" if i == j else None,
        )
        if n:
            ax.text(
                j,
                i + 0.22,
                f"{100 * share[i, j]:.1f} %",
                ha="center",
                va="center",
                color=ink,
                size=7.5,
            )
    ax.set_xticks(range(len(counts)), [name.replace(" ", "\n") for name in class_names])
    supports = zip(class_names, counts.sum(axis=1), strict=True)
    ax.set_yticks(range(len(counts)), [f"{name}\n{support:,}" for name, support in supports])
    ax.tick_params(length=0, labelcolor=INK)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="predicted", ylabel="true class, images")
    return ax


@dataclass(frozen=True)
class Ablation:
    """Class-wise ECE of several models with the noise floor of each.

    Attributes:
        models, class_names: names of the rows and columns.
        ece: observed, ``(models, classes)``.
        floor_low, floor_mean, floor_high: 5 % quantile, mean and 95 % quantile under perfect calibration, the
            same shape.
    """

    models: tuple[str, ...]
    class_names: tuple[str, ...]
    ece: np.ndarray
    floor_low: np.ndarray
    floor_mean: np.ndarray
    floor_high: np.ndarray


def prepare_ablation(
    predictions: Mapping[str, tuple],
    class_names: Sequence[str],
    bins: int = 15,
    resamples: int = 1000,
    seed: int = 0,
) -> Ablation:
    """Class-wise ECE and its noise floor for each model.

    Args:
        predictions: title of each model and its ``(probabilities, labels)`` of shapes ``(n, classes)`` and
            ``(n,)``.
    """
    floors = [noise_floor(p, y, bins, resamples, seed) for p, y in predictions.values()]
    rows = np.array([[f.observed[:-1], f.quantile(0.05), f.mean, f.quantile(0.95)] for f in floors])
    return Ablation(tuple(predictions), tuple(class_names), *rows.swapaxes(0, 1))


@styled
def plot_ablation(
    data: Ablation, published: Mapping[str, Sequence[float]] | None = None, axes=None
):
    """Dot plot of the class-wise ECE: a panel a class, a row a model, the noise floor as a grey bar.

    Args:
        published: title of a model and its published ECE of each class, drawn as open diamonds.
        axes: one axes a class.
    """
    models, classes = data.ece.shape
    if axes is None:
        axes = plt.subplots(1, classes, figsize=(WIDTH, 1.25 + 0.34 * models), sharey=True)[1]
    rows = np.arange(models)
    for k, ax in enumerate(np.ravel(axes)):
        ax.hlines(rows, 0, data.ece[:, k], color=FAINT, linewidth=0.8, zorder=0)
        ax.barh(
            rows,
            (data.floor_high - data.floor_low)[:, k],
            0.5,
            data.floor_low[:, k],
            color="#D5D5D5",
        )
        ax.vlines(data.floor_mean[:, k], rows - 0.25, rows + 0.25, color="white", linewidth=1.2)
        ax.plot(data.ece[:, k], rows, "o", color=colour(k), markersize=6, zorder=3)
        there = {
            name: values[k] for name, values in (published or {}).items() if name in data.models
        }
        places = [data.models.index(name) for name in there]
        if there:  # no line without points: unclipped, it would upset the layout
            hollow = {
                "mfc": "none",
                "mec": INK,
                "mew": 1,
                "markersize": 5,
                "zorder": 4,
                "clip_on": False,
            }
            ax.plot(list(there.values()), places, "D", **hollow)
        ax.set_xlim(0, 1.1 * np.nanmax([*data.ece[:, k], *data.floor_high[:, k], *there.values()]))
        ax.set_title(data.class_names[k], color=colour(k), size=9)
        ax.set_yticks(rows, data.models)
        ax.set_ylim(models - 0.5, -0.5)
        ax.tick_params(axis="y", length=0, labelcolor=INK, labelleft=k == 0)
        ax.spines["left"].set_visible(False)
        ax.xaxis.set_major_locator(plt.MaxNLocator(3, min_n_ticks=2))
        ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    signs = "● here   ◇ published" if published else "● here"
    note = f"class-wise ECE   {signs}   grey: 90 % of a perfectly calibrated model (white: mean)"
    np.ravel(axes)[0].figure.supxlabel(note, size=8.5, color=MUTED)
    return axes
