"""Section 9: the recorded runs, how far they differ from one another, and how many are needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import norm

from acrlls import figures, paper
from acrlls.method import VARIANTS
from acrlls.paper import CLASSES
from acrlls.runs import Run
from acrlls.tables.compare import ECE, MEASURES, classwise_ece, mean_of
from acrlls.tables.recorded import NETWORKS, Setting
from acrlls.tables.words import number, plural

WAYS = {"": "as trained", "prior": "prior corrected"}


def heads(runs: Iterable[Run]) -> list[Run]:
    """The runs of Phase 1 alone, with augmentation."""
    return [r for r in runs if not r.config.phase2_epochs and r.config.augment]


def every_run(found: Sequence[Setting], bins: int) -> pd.DataFrame:
    """The measures of each run as trained; a row a setting, network and run."""
    rows = {}
    for setting in found:
        for network in NETWORKS:
            for group, run in setting.runs.get(network, {}).items():
                row = dict(zip(MEASURES, mean_of([run], bins=bins), strict=True))
                epoch = run.best_epoch(run.manifest["selected_phase"]).epoch
                row |= {"kept epoch": epoch, "minutes": run.history.seconds.sum() / 60}
                rows[setting.title, VARIANTS[network].title, group] = row
    return pd.DataFrame(rows).T


def twice(every: pd.DataFrame, first: str = "laptop", second: str = "laptop-seed-0") -> str:
    """What the repetition of runs with the same seed, by later code on another processor, changed.

    Args:
        every: of :func:`every_run`.
    """
    ece = every[ECE].unstack()
    if not {first, second} <= set(ece):
        return "No run was recorded twice with the same seed."
    both = ece[[first, second]].dropna()
    said = [
        f"{name}'s mean class-wise ECE went from {number(row[first], 4)} to "
        f"{number(row[second], 4)}"
        for (_, name), row in both.iterrows()
    ]
    return (
        "**The same seed, with later code on another processor, does not give the same network**: "
        f"{', '.join(said)}. Nothing that the paper describes differs between the two."
    )


def plot_validation(found: Sequence[Setting]):
    """Validation loss over Phase 2, a line a run, by setting and network."""
    with figures.style():
        axis = plt.subplots(figsize=(7, 3))[1]
    lines, shades = ("-", "--", ":", "-."), plt.rcParams["axes.prop_cycle"].by_key()["color"]
    for setting, line in zip(found, lines, strict=False):
        for network, shade in zip(NETWORKS, shades, strict=False):
            for k, run in enumerate(setting.of(network)):
                rows = run.history[run.history.phase == 2]
                label = f"{VARIANTS[network].title}, {setting.title}" if not k else None
                axis.plot(rows.epoch, rows.val_loss, line, color=shade, lw=1.2, label=label)
    axis.set(xlabel="epoch of Phase 2", ylabel="validation loss", yscale="log")
    axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return axis


def swing(found: Sequence[Setting]) -> str:
    """By which factor the validation loss of Phase 2 goes up and down, by setting."""
    said = []
    for setting in found:
        runs = [r for n in NETWORKS for r in setting.of(n)]
        losses = [r.history[r.history.phase == 2].val_loss for r in runs]
        factors = [loss.max() / loss.min() for loss in losses]
        if factors:
            said.append(f"{number(np.median(factors), 1)} ({setting.title})")
    return (
        "Within one run of Phase 2, the largest validation loss exceeds the smallest by a factor "
        f"of, in the median, {', '.join(said)}."
    )


def over_seeds(runs: Iterable[Run], bins: int = 15) -> pd.DataFrame:
    """Mean and standard deviation over seeds of the measures; a row a network, training and way."""
    rows = {}
    for run in runs:
        weights = "yes" if run.config.class_weights else "no"
        for step, way in WAYS.items() if weights == "yes" else [("", "as trained")]:
            key = VARIANTS[run.config.variant].title, weights, way
            rows.setdefault(key, []).append(mean_of([run], step, bins=bins))
    columns = {("seeds", ""): {key: len(each) for key, each in rows.items()}}
    for k, name in enumerate(MEASURES):
        columns[name, "mean"] = {key: np.mean(each, axis=0)[k] for key, each in rows.items()}
        columns[name, "sd"] = {
            key: np.std(each, axis=0, ddof=1)[k] if len(each) > 1 else np.nan
            for key, each in rows.items()
        }
    table = pd.DataFrame(columns)
    return table.rename_axis(["network", "class weights", ""])


def seeds_sentence(table: pd.DataFrame) -> str:
    """ECE after Phase 1 over seeds: class weights, prior correction, no class weights."""
    ways = ("yes", "as trained"), ("yes", "prior corrected"), ("no", "as trained")
    ece = [[table[ECE, "mean"][v, *way] for v in ("Baseline", "Proposed")] for way in ways]
    said = [f"{number(a, 4)} for Baseline and {number(b, 4)} for Proposed" for a, b in ece]
    return (
        f"After Phase 1, over {table['seeds', ''].min()} seeds, the mean class-wise ECE with class "
        f"weights is {said[0]}; with the weights divided out, {said[1]}; trained without them, "
        f"{said[2]}. The standard deviation over seeds is at most "
        f"{number(table[ECE, 'sd'].max(), 4)}."
    )


def needed(runs: Iterable[Run], power: float = 0.8, level: float = 0.05) -> pd.DataFrame:
    """How many runs of each network would show the published difference in ECE, by class.

    2 ((z(1 − level/2) + z(power)) · sd / difference)² + z(1 − level/2)² / 4, rounded up (the normal
    approximation to a t-test), where sd is the standard deviation of one run's class-wise ECE from
    seed to seed, pooled over Baseline and Proposed, and the published difference is taken as true.
    """
    drawn = {"baseline": [], "proposed": []}
    for run in runs:
        if run.config.class_weights and run.config.variant in drawn:
            test = run.predictions("test")
            about = test.probabilities, test.labels, np.ones(len(test.labels))
            ece = classwise_ece(*about)
            drawn[run.config.variant].append([*ece, ece.mean()])
    table, names = paper.table("V"), [*CLASSES, "mean of the classes"]
    gap = table.loc["Proposed"] - table.loc["Baseline"]
    gap = np.array([*gap[list(CLASSES)], gap.mean()])
    variances = [np.var(each, axis=0, ddof=1) for each in drawn.values()]
    sd = np.sqrt(np.mean(variances, axis=0))
    z = norm.isf(level / 2)
    count = np.ceil(2 * ((z + norm.ppf(power)) * sd / gap) ** 2 + z**2 / 4)
    rows = {"published difference": gap, "sd of a run": sd, "runs needed": count}
    return pd.DataFrame(rows, index=names)


def needed_sentence(table: pd.DataFrame, seeds: int) -> str:
    """The table of :func:`needed` in words."""
    most = table["runs needed"].drop("mean of the classes")
    return (
        f"**To show the published gain in {most.idxmax()} would take {most.max():.0f} runs of each "
        f"network**, for the mean over the classes "
        f"{table.loc['mean of the classes', 'runs needed']:.0f}; the paper has one. The spread is "
        f"that of {plural(seeds, 'seed')} of Phase 1, itself a rough guide."
    )


def provenance(runs: Iterable[Run]) -> pd.DataFrame:
    """Where each record comes from; a row a folder."""
    rows = {}
    for run in runs:
        manifest = run.manifest
        rows[f"{run.folder.parent.name}/{run.folder.name}"] = {
            "seed": run.config.seed,
            "epochs": f"{run.config.phase1_epochs} + {run.config.phase2_epochs}",
            "images": f"{manifest['images']:,}",
            "backend": manifest["backend"],
            "Keras": manifest["versions"]["keras"],
            "commit": manifest["commit"],
        }
    return pd.DataFrame(rows).T
