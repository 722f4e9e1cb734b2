"""Section 2: Table I, the whole grid, and the noise of images and seeds."""

import numpy as np
import pandas as pd

from acrlls.calibration import bootstrap_means
from acrlls.config import Config
from acrlls.paper import NUMBERS, show, table
from acrlls.runs import Run, grid
from acrlls.tables.words import number, percent

Pair = tuple[float, float]
TITLES = {"val_accuracy": "accuracy", "val_loss": "loss"}


def name(pair: Pair | float) -> str:
    """How a pair of alpha and tau, or an alpha alone, is written."""
    values = zip("ατ", np.atleast_1d(pair), strict=False)
    return ", ".join(f"{sign} {value:.2f}" for sign, value in values)


def table_1(grids: dict[str, pd.DataFrame | None], published: bool = True):
    """The pairs of Table I with their rank and validation loss, published and in some grids.

    Args:
        grids: tables of :func:`acrlls.tune` by title; None where there is none.
        published: whether the images are the paper's; if not, the five best pairs of the first.
    """
    first = {"published": table("I")} if published else {}
    grids = first | {k: g for k, g in grids.items() if g is not None}
    columns = {}
    for title, grid_ in grids.items():
        ranked = grid_.assign(rank=np.arange(1.0, len(grid_) + 1)).set_index(["alpha", "tau"])
        columns[title] = ranked[["rank", "val_loss", "val_accuracy"]].rename(columns=TITLES)
    both = pd.concat(columns, axis=1).reindex(next(iter(columns.values())).index[:5])
    both.index = [name(pair) for pair in both.index]
    which = "published" if published else "five best"
    styled = show(both, 4, f"The {which} pairs, by their rank and validation loss")
    return styled.format("{:.0f}", subset=[(title, "rank") for title in columns], na_rep="–")


def grid_sentence(grid: pd.DataFrame | None) -> str:
    """Rank of the published pair in a recorded grid on the real images."""
    if grid is None:
        return (
            "No recorded grid belongs beside this one; `acrlls reproduce --profile laptop --tune` "
            "records one."
        )
    alpha, tau = table("I").loc[1, ["alpha", "tau"]]
    place = np.flatnonzero((grid.alpha == alpha) & (grid.tau == tau))
    rank = f"has rank {place[0] + 1} of {len(grid)}" if len(place) else "is not in the grid"
    return (
        f"**The pair that the paper chose, {name((alpha, tau))}, {rank} on the real images.** The "
        f"best there is {name((grid.alpha[0], grid.tau[0]))}. The losses of the pairs spread over "
        f"{number(grid.val_loss.max() - grid.val_loss.min())}. One seed."
    )


def image_losses(runs: dict[Pair, Run], pairs: list[Pair]) -> tuple[pd.DataFrame, np.ndarray]:
    """Loss of each pair for each validation image, ``(pairs, n)``, and the labels ``(n,)``."""
    predictions = [runs[pair].predictions("validation", phase=1) for pair in pairs]
    labels = predictions[0].labels
    rows = [-np.log(p.probabilities[range(len(labels)), labels]) for p in predictions]
    return pd.DataFrame(rows, index=pd.MultiIndex.from_tuples(pairs, names=["α", "τ"])), labels


def against_first(losses: pd.DataFrame, labels, resamples: int) -> pd.DataFrame:
    """Mean loss of each row of losses but the first, minus that of the first row.

    ``low`` and ``high`` are its 95 % interval over validation images drawn again within each class,
    ``wins`` is the share of draws in which the row has the lowest loss.
    """
    means = bootstrap_means(losses.to_numpy(), labels, resamples)
    low, high = np.quantile(means - means[0], [0.025, 0.975], axis=1)
    wins = np.bincount(means.argmin(axis=0), minlength=len(means)) / means.shape[1]
    gap = losses.mean(axis=1) - losses.iloc[0].mean()
    rows = pd.DataFrame({"estimate": gap, "low": low, "high": high, "wins": wins})
    return rows.set_axis([name(pair) for pair in losses.index]).iloc[1:]


def finding(noise: pd.DataFrame, best: str, n: int) -> str:
    """How many pairs cannot be told from the best one, of one training of each."""
    alike, first = (noise.low <= 0).sum(), 1 - noise.wins.sum()
    verdict = f"**{alike} of the other {len(noise)} pairs cannot be told from the best one**"
    if not alike:
        verdict = f"**The best pair can be told from each of the other {len(noise)}**"
    return (
        f"{verdict} on these {n:,} images and with one seed: for such a pair, the 95 % interval of "
        f"the difference holds zero. The best one, {best}, wins in {percent(first)} of the redrawn "
        "validation sets."
    )


def over_seeds(config: Config, pairs: list[Pair], repeats: int) -> pd.DataFrame:
    """Validation loss of the best and the worst pair, trained from ``repeats`` other seeds as well:
    one row a seed, that of the grid first.
    """
    seeds = range(config.seed, config.seed + repeats + 1)
    table = pd.DataFrame(index=[f"seed {seed}" for seed in seeds])
    for end, (alpha, tau) in (("best", pairs[0]), ("worst", pairs[-1])):
        one = config.replace(grid_alpha=alpha, grid_tau=tau)
        runs = [grid(one.replace(seed=seed))[alpha, tau] for seed in seeds]
        table[end] = [run.best_epoch(1).val_loss for run in runs]
    return table.assign(**{"worst − best": table.worst - table.best})


def seed_finding(again: pd.DataFrame, tuned: pd.DataFrame) -> str:
    """Whether the best pair stays ahead of the worst one from other seeds."""
    if len(again) < 3:
        return "With fewer than two other seeds, nothing can be said about the noise of seeds."
    new, first = again["worst − best"].iloc[1:], again["worst − best"].iloc[0]
    return (
        f"From {len(new)} other seeds, the grid's best pair stays ahead of its worst in "
        f"**{int((new > 0).sum())} of {len(new)}** trainings. The worst pair's loss minus the best "
        f"pair's is {number(new.mean(), 4)} on average, after {number(first, 4)} in the grid. "
        f"The loss of the best pair spreads over {number(np.ptp(again.best), 4)} from seed to "
        f"seed; the losses of the {len(tuned)} pairs of one seed spread over "
        f"{number(np.ptp(tuned.val_loss), 4)}."
    )


def published_noise(losses: pd.DataFrame, again: pd.DataFrame) -> str:
    """The published gaps against a guide to their noise, borrowed from our own runs."""
    n = int(NUMBERS["split.validation"].value)
    spread = np.std(losses.iloc[1:] - losses.iloc[0], axis=1, ddof=1).mean()
    error = spread / np.sqrt(n)
    gaps = table("I")["val_loss"].iloc[1:] - table("I")["val_loss"].iloc[0]
    seeds = again["worst − best"].iloc[1:].std()
    within = int((gaps < 1.96 * error).sum())
    return (
        f"**{within or 'None'} of the {len(gaps)} published gaps would lie within the sampling "
        f"noise of {n:,} images.** The gaps are {number(gaps.min(), 4)} to "
        f"{number(gaps.max(), 4)}. If two published runs differ, image by image, as much as ours "
        f"do (standard deviation {number(spread)}), the standard error of a difference is "
        f"{number(error, 4)}, and noise reaches 1.96 times as far. The noise of seeds comes on "
        "top: in our trainings, the difference of two pairs had a standard deviation of "
        f"{number(seeds, 4)} over {len(again) - 1} seeds."
    )
