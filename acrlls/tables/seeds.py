"""Section 9: the recorded runs, how far they differ from one another, and how many are needed."""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import chi2, f, norm
from scipy.stats import t as student

from acrlls import figures, paper
from acrlls.method import VARIANTS
from acrlls.paper import CLASSES
from acrlls.runs import Run
from acrlls.tables.compare import ECE, MEASURES, classwise_ece, mean_of
from acrlls.tables.recorded import LONGER, NETWORKS, Setting, mix_weights, readings
from acrlls.tables.words import error, number, plural, span

WAYS = {"": "as trained", "prior": "prior corrected"}
ALL = "mean of the classes"


def spread(values) -> np.ndarray:
    """How far two runs differ in 95 % of cases, if some gave these values, ``(runs, …)``."""
    return student.ppf(0.975, len(values) - 1) * np.sqrt(2) * np.std(values, axis=0, ddof=1)


def every_run(found: Sequence[Setting], bins: int) -> pd.DataFrame:
    """The measures of each run as trained; a row a setting, network and seed, which is there again
    where another run has the same one."""
    rows = {}
    for setting, network in product(found, NETWORKS):
        for run in setting.of(network):
            row = dict(zip(MEASURES, mean_of([run], bins=bins), strict=True))
            row |= {"kept epoch": _kept(run), "minutes": run.history.seconds.sum() / 60}
            key = setting.title, VARIANTS[network].title, str(run.config.seed)
            while key in rows:
                key = *key[:-1], f"{key[-1]} again"
            rows[key] = row
    return pd.DataFrame(rows).T.rename_axis(["setting", "network", "seed"])


def _kept(run: Run) -> str:
    phase = run.manifest["selected_phase"]
    return f"{run.best_epoch(phase).epoch:.0f} of Phase {phase}"


def longer(found: Sequence[Setting], bins: int = 15) -> pd.DataFrame:
    """Runs of the settings that differ from the first one in the epochs of Phase 2 alone, beside
    its last run of the same network and seed; a row a network and seed, a column a measure and
    number of epochs."""
    rows = {}
    for setting, network in product(found[1:], NETWORKS):
        for run in setting.of(network) if setting.title.partition(" ")[2] == LONGER else ():
            seed = run.config.seed
            first = [each for each in found[0].of(network) if each.config.seed == seed][-1]
            row = rows.setdefault((VARIANTS[network].title, str(seed)), {})
            values = [mean_of([each], bins=bins) for each in (first, run)]
            epochs = [f"{each.config.phase2_epochs} epochs" for each in (first, run)]
            row |= dict(zip(product(MEASURES, epochs), np.transpose(values).flat, strict=True))
    table = pd.DataFrame.from_dict(rows, "index")
    return table.rename_axis(["network", "seed"]) if rows else table


def longer_sentence(table: pd.DataFrame) -> str:
    """The table of :func:`longer` in words."""
    if table.empty:
        return "More epochs of Phase 2 were not tried."
    few, many = table["NLL"].columns
    nll, ece = (table[name][many] - table[name][few] for name in ("NLL", ECE))
    seeds = plural(table.index.get_level_values("seed").nunique(), "seed")
    return (
        f"**With {many} of Phase 2 in place of {few.split()[0]}, the NLL is lower in "
        f"{(nll < 0).sum()} of {plural(len(nll), 'run')} and the mean class-wise ECE in "
        f"{(ece < 0).sum()}** ({seeds}, our class mix). The NLL changes by "
        f"{span(nll, partial(error, signed=True))}, the ECE by "
        f"{span(ece, partial(error, signed=True))}."
    )


def plot_validation(found: Sequence[Setting], reading: str = "reestimated"):
    """Validation loss over Phase 2: a column a network, a line a run, with a ring at its least;
    grey in the first setting, dashed in another colour in each that follows. Below it, the
    trainings that have it by another reading of BatchNorm's statistics."""
    with figures.style():
        axes = plt.subplots(2, len(NETWORKS), figsize=(7, 5), sharex=True, sharey=True)[1]
    for (axis, below), network in zip(axes.T, NETWORKS, strict=True):
        axis.set(title=VARIANTS[network].title, yscale="log")
        below.set_xlabel("epoch of Phase 2")
        for k, (setting, dashes) in enumerate(zip(found, ("-", "--", "-.", ":"), strict=False)):
            line = {"color": f"C{k - 1}" if k else "0.6", "ls": dashes, "lw": 1.6 if k else 1}
            axis.plot([], label=setting.title, **line)
            for run in setting.of(network):
                _curve(axis, run.history[run.history.phase == 2], line)
                if len(readings(run)) > 1:
                    every = pd.read_csv(run.folder / "statistics.csv")
                    _curve(below, every[every.statistics == reading], line)
    axes[0, 0].set_yticks(ticks := [0.2, 0.3, 0.5, 1.0], map(str, ticks))
    axes[0, 0].minorticks_off()
    axes[0, 0].set_ylabel("validation loss")
    axes[1, 0].set_ylabel("with recomputed statistics")
    handles = axes[0, 0].get_legend_handles_labels()
    axes[0, 0].figure.legend(*handles, loc="outside upper center", ncol=3)
    return axes


def _curve(axis, rows: pd.DataFrame, line: dict) -> None:
    loss = rows.set_index("epoch").val_loss
    axis.plot(loss, **line)
    ring = {"mfc": "white", "mec": line["color"], "ms": 5, "zorder": 9}
    axis.plot(loss.idxmin(), loss.min(), "o", **ring)


def swings(found: Sequence[Setting], reading: str = "reestimated") -> str:
    """By what factor the validation loss changes from one epoch of Phase 2 to the next, on average
    by run, with BatchNorm's statistics as they are and, on the same trainings, by another reading:
    of the first setting, and of those that differ from it in the learning rate, with the lowest
    loss of each of their phases."""
    own, other, how_many = _swings(found[0], reading)
    told = []
    for setting in (one for one in found if "learning rate" in one.title):
        ours, theirs, count = _swings(setting, reading)
        runs = [run for network in NETWORKS for run in setting.of(network)]
        first, second = (pd.DataFrame(run.best_epoch(k) for run in runs) for k in (1, 2))
        told.append(
            f"With the {setting.title} in Phase 2 it is {ours}, and {theirs} with recomputed "
            f"statistics ({count}). The lowest loss of Phase 2 is then {span(second.val_loss)}, in "
            f"epoch {span(second.epoch, '{:.0f}'.format)} of {runs[0].config.phase2_epochs}; Phase "
            f"1 had reached {span(first.val_loss)}."
        )
    return (
        "From one epoch of Phase 2 to the next the validation loss changes by a factor of "
        f"{own} on average, by run ({how_many} {found[0].title}); with statistics recomputed "
        f"from training images before each validation, on the same trainings, by {other}. "
        f"{' '.join(told) or 'Another learning rate of Phase 2 was not tried.'}"
    )


def _swings(setting: Setting, reading: str) -> tuple[str, str, str]:
    factors = []
    for run in (r for n in NETWORKS for r in setting.of(n) if len(readings(r)) > 1):
        every = pd.read_csv(run.folder / "statistics.csv")
        losses = run.history[run.history.phase == 2], every[every.statistics == reading]
        each = (np.log(loss.sort_values("epoch").val_loss.to_numpy()) for loss in losses)
        factors.append([np.exp(np.abs(np.diff(one)).mean()) for one in each])
    own, other = (span(each, lambda x: number(x, 2)) for each in np.transpose(factors))
    return own, other, plural(len(factors), "run")


def repeats_sentence(networks: Iterable[Sequence[Run]], level: float = 0.05) -> str:
    """Whether runs of one network and seed are closer to one another than runs of different seeds:
    their pooled variances of the NLL by an F-test at a level; the first run of each seed counts."""
    squares, freedom, pairs = np.zeros(2), np.zeros(2, int), 0
    for runs in networks:
        values = pd.Series([mean_of([run])[MEASURES.index("NLL")] for run in runs])
        seeds = values.groupby([run.config.seed for run in runs])
        pairs += (seeds.size() > 1).sum()
        for k, groups in enumerate([[each for _, each in seeds], [seeds.first()]]):
            squares[k] += sum(((each - each.mean()) ** 2).sum() for each in groups)
            freedom[k] += sum(len(each) - 1 for each in groups)
    same, other = np.sqrt(squares / freedom)
    closer = f.cdf((same / other) ** 2, *freedom) < level
    verdict = "is closer" if closer else "is not shown to be closer"
    return (
        f"**A run repeated elsewhere with the same seed {verdict} to the first one than a run with "
        f"another seed**: the NLL has a standard deviation of {number(same)} between runs of one "
        f"seed ({plural(int(pairs), 'repetition')}), and of {number(other)} between seeds "
        f"({freedom[1]} degrees of freedom)."
    )


def over_seeds(runs: Iterable[Run], bins: int = 15) -> pd.DataFrame:
    """Mean and standard deviation over seeds of the measures; a row a network, training and way."""
    rows = []
    for run in runs:
        c = run.config
        for step, way in list(WAYS.items())[: 1 + c.class_weights]:
            key = VARIANTS[c.variant].title, "yes" if c.class_weights else "no", way
            rows.append([*key, *mean_of([run], step, bins=bins)])
    names = ["network", "class weights", ""]
    groups = pd.DataFrame(rows, columns=[*names, *MEASURES]).groupby(names, sort=False)
    table = groups.agg(["mean", "std"]).rename(columns={"std": "sd"}, level=1)
    table.insert(0, ("seeds", ""), groups.size())
    return table


def needed(runs: Iterable[Run], power: float = 0.8, level: float = 0.05) -> pd.DataFrame:
    """How many runs of each network, two independent groups, would show the published difference in
    ECE on the same test images, in the paper's class mix, by class:
    2 ((z(1 − level/2) + z(power)) · sd / difference)² + z(1 − level/2)² / 4, rounded up (the normal
    approximation to a t-test), where sd is the standard deviation of one run's class-wise ECE from
    seed to seed, pooled over Baseline and Proposed, and the published difference is taken as true;
    ``low`` and ``high``, by the 95 % interval of sd. One run a seed counts; ``seeds`` is how many.
    """
    drawn = {"baseline": {}, "proposed": {}}
    for run in runs:
        if run.config.class_weights and run.config.variant in drawn:
            test = run.predictions("test")
            ece = classwise_ece(test.probabilities, test.labels, mix_weights(run, "paper"))
            drawn[run.config.variant][run.config.seed] = [*ece, ece.mean()]
    gap = paper.table("V").loc[["Baseline", "Proposed"], list(CLASSES)].diff().iloc[-1]
    gap[ALL] = gap.mean()
    each = [pd.DataFrame(found).T for found in drawn.values()]
    freedom = sum(len(found) - 1 for found in each)
    squares = sum(found.var() * (len(found) - 1) for found in each).to_numpy()
    z = norm.isf(level / 2)
    low, high = chi2.ppf([0.975, 0.025], freedom)
    count = {
        name: np.ceil(2 * (z + norm.ppf(power)) ** 2 * squares / n / gap**2 + z**2 / 4)
        for name, n in {"runs needed": freedom, "low": low, "high": high}.items()
    }
    sd = {"published difference": gap, "sd of a run": np.sqrt(squares / freedom)}
    return pd.DataFrame(sd | count | {"seeds": min(map(len, each))})


def needed_sentence(heads: pd.DataFrame, both: pd.DataFrame) -> str:
    """The tables of :func:`needed` after Phase 1 alone and after both phases in words."""
    name, told = heads["runs needed"].drop(ALL).idxmax(), []
    for table in (heads, both):
        one, mean = (
            f"{row['runs needed']:,.0f} ({row.low:,.0f} to {row.high:,.0f})"
            for row in (table.loc[name], table.loc[ALL])
        )
        told.append((plural(int(table.seeds.iloc[0]), "seed"), one, mean))
    (few, one, mean), (more, one_both, mean_both) = told
    return (
        f"**To show the published drop in the ECE of {name}, {one} runs of each network would be "
        f"needed, by the spread of {few} after Phase 1**; for the drop in the mean over the "
        f"classes, {mean}. By the spread of {more} after both phases, {one_both} and {mean_both} "
        "would be needed. In parentheses are 95 % intervals; the spread is that in the paper's "
        "class mix. The paper has one run of each."
    )
