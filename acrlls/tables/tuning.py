"""Section 2: Table I, the whole grid, and the noise of seeds."""

import numpy as np
import pandas as pd

from acrlls.paper import show, table
from acrlls.tables.recorded import first_phase
from acrlls.tables.seeds import spread
from acrlls.tables.words import number, plural, span

Pair = tuple[float, float]
TITLES = {"rank": "rank", "val_loss": "loss", "val_accuracy": "accuracy"}


def name(pair: Pair) -> str:
    """How a pair of alpha and tau is written."""
    return "α {:.2f}, τ {:.2f}".format(*pair)


def table_1(grids: dict[str, pd.DataFrame | None], published: bool = True):
    """The pairs of Table I with their rank and validation loss, published and in some grids, tables
    of :func:`acrlls.tune` by title or None; the five best pairs of the first where the images are
    not the paper's."""
    grids = ({"published": table("I")} if published else {}) | grids
    ranked = {
        title: found.assign(rank=np.arange(1.0, len(found) + 1)).set_index(["alpha", "tau"])
        for title, found in grids.items()
        if found is not None
    }
    both = pd.concat({t: rows[list(TITLES)] for t, rows in ranked.items()}, axis=1)
    both = both.loc[next(iter(ranked.values())).index[:5]].rename(columns=TITLES, level=1)
    both.index = [name(pair) for pair in both.index]
    which = "published" if published else "five best"
    styled = show(both, 4, f"The {which} pairs, by their rank and validation loss")
    return styled.format("{:.0f}", subset=[(title, "rank") for title in ranked], na_rep="–")


def seed_losses(recorded: str) -> list[float]:
    """Validation losses of the recorded runs of Phase 1 with the published pair, a seed each."""
    return [run.best_epoch(1).val_loss for run in first_phase(recorded).of("proposed")]


def grid_sentence(grid: pd.DataFrame, again: list[float]) -> str:
    """How many pairs of a recorded grid on the real images lie as close to the best one as seeds
    alone put two runs of one pair, whose losses are ``again``; the rank of the published pair."""
    alpha, tau = table("I").loc[1, ["alpha", "tau"]]
    rank = 1 + np.flatnonzero((grid.alpha == alpha) & (grid.tau == tau))[0]
    text = (
        f"The pair that the paper chose, {name((alpha, tau))}, has rank {rank} of {len(grid)} on "
        f"the real images, with one seed; the best is {name((grid.alpha[0], grid.tau[0]))}."
    )
    if len(again) < 2:
        return text
    reach = spread(again)
    close = (grid.val_loss[1:] - grid.val_loss[0] < reach).sum()
    return (
        f"**On the real images, {close} of the other {len(grid) - 1} pairs of ACR's α and τ come "
        f"as close to the best one as two seeds of one pair may come to each other.** {text} Two "
        f"seeds differ by up to {number(reach)} in validation loss in 95 % of cases, by the "
        f"standard deviation of {len(again)} seeds of runs of Phase 1 alone, "
        f"{number(np.std(again, ddof=1))}; the losses of the {len(grid)} pairs, after fewer "
        f"epochs, spread over {number(np.ptp(grid.val_loss))}. {_stopped(grid, (alpha, tau))}"
    )


def _stopped(grid: pd.DataFrame, published: Pair) -> str:
    """Whether the pairs that early stopping ended first are the worst of a grid."""
    first = (grid.epochs == grid.epochs.min()).sum()
    if first == len(grid) or (grid.epochs[-first:] > grid.epochs.min()).any():
        return ""
    ended = {*zip(grid.alpha[-first:], grid.tau[-first:], strict=True)}
    return (
        f"Early stopping decides much of the order: {plural(first, 'pair')} that it ended first, "
        f"after epoch {grid.epochs.min()}, have the {first} highest losses"
        f"{', the published one among them' * (published in ended)}; the losses of the others "
        f"spread over {number(np.ptp(grid.val_loss[:-first]))}."
    )


def alpha_sentence(grid: pd.DataFrame, where: str) -> str:
    """Whether the largest α has the highest mean loss of a grid, as the paper says of its own."""
    means = grid.groupby("alpha").val_loss.mean().sort_index()
    return (
        f"**{where} the largest α, {means.index[-1]:.2f}, has rank {means.rank().iloc[-1]:.0f} of "
        f"{len(means)} by its mean loss**, where 1 is the lowest: {number(means.iloc[-1])}, of "
        f"{span(means)} over all α (one seed a pair)."
    )
