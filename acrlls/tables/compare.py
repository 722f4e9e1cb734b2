"""Two networks compared on recorded logits: paired over seeds and test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from acrlls.calibration import mcnemar
from acrlls.tables.networks import Setting, Side, measures, mix_weights, offers, probabilities

MEASURES = ("Accuracy", "NLL", "Brier score", "Mean class-wise ECE")


@dataclass(frozen=True)
class Difference:
    """``second`` minus ``first`` over pairs of runs and test images.

    Attributes:
        table: a row a measure, columns difference, low, high (95 %).
        seeds: how many different seeds the pairs of runs have.
        p_values: exact McNemar p of each pair of runs, in the test images' own mix.
    """

    table: pd.DataFrame
    seeds: int
    p_values: tuple[float, ...]

    @property
    def pairs(self) -> int:
        """How many pairs of runs."""
        return len(self.p_values)

    def shows(self, measure: str) -> int:
        """+1 or -1 where the interval of a measure lies on one side of zero, else 0."""
        low, high = self.table.loc[measure, ["low", "high"]]
        return int(low > 0) - int(high < 0)


def compare(
    setting: Setting,
    first: Side,
    second: Side,
    mix: str = "own",
    bins: int = 15,
    resamples: int = 1000,
    seed: int = 0,
) -> Difference:
    """Paired over the groups of runs that have both sides, and over the test images.

    The interval resamples the groups, where there are several, and the images within each class,
    the same for both sides.

    Raises:
        ValueError: no group has both sides, or two runs were tested on different images.
    """
    groups = common(setting, first, second)
    if not groups:
        raise ValueError(f"no group of {setting.title!r} has both {first} and {second}")
    sides = [[setting.runs[network][g] for g in groups] for network, _ in (first, second)]
    test = sides[0][0].predictions("test")
    tested = [run.predictions("test").names for runs in sides for run in runs]
    if any(not np.array_equal(test.names, names) for names in tested):
        raise ValueError("the runs were tested on different images")
    weights = mix_weights(sides[0][0], mix)
    steps = (first[1], second[1])
    p = np.array(
        [[probabilities(r, s) for r in runs] for runs, s in zip(sides, steps, strict=True)]
    )
    estimate = _gains(p, test.labels, weights, bins)
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(test.labels == k) for k in np.unique(test.labels)]
    drawn = []
    for _ in range(resamples):
        images = np.concatenate([rng.choice(rows, len(rows)) for rows in members])
        chosen = rng.integers(len(groups), size=len(groups))
        drawn.append(_gains(p[:, chosen][:, :, images], test.labels[images], weights[images], bins))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    rows = pd.DataFrame({"difference": estimate, "low": low, "high": high}, index=MEASURES)
    right = p.argmax(axis=3) == test.labels
    seeds = len({run.config.seed for run in sides[0]})
    return Difference(rows, seeds, tuple(_mcnemar(a, b) for a, b in zip(*right, strict=True)))


def common(setting: Setting, *sides: Side) -> list[str]:
    """The groups of runs in which every side can be had."""
    groups = setting.groups(*[network for network, _ in sides])
    return [g for g in groups if all(offers(setting.runs[n][g], step) for n, step in sides)]


def _gains(p, labels, weights, bins) -> np.ndarray:
    """Mean over the seeds of second minus first, a value a measure; ``p`` is `(2, seeds, n,
    classes)`.
    """
    each = [[list(measures(q, labels, weights, bins).values()) for q in side] for side in p]
    return np.mean(np.subtract(each[1], each[0]), axis=0)


def _mcnemar(right_first, right_second) -> float:
    won = int((right_second & ~right_first).sum())
    return mcnemar(won, int((right_second != right_first).sum()))


def differences(
    found: Sequence[Setting], first: Side, second: Side, mix: str = "own", resamples: int = 1000
) -> dict[str, Difference]:
    """:func:`compare` in every setting that has both networks."""
    return {
        s.title: compare(s, first, second, mix, resamples=resamples)
        for s in found
        if common(s, first, second)
    }


def difference_table(found: dict[str, Difference]) -> pd.DataFrame:
    """A row a setting and measure: difference, its 95 % interval, seeds, and the least and largest
    McNemar p-value.
    """
    rows = pd.concat({title: d.table for title, d in found.items()})
    rows["runs"] = [d.pairs for d in found.values() for _ in MEASURES]
    return rows
