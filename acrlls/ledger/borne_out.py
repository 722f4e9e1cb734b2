"""Do the recorded runs on the real images bear out what the paper says in words?

Two models are compared as they were trained and tested, on our images in their own class mix: in
another mix neither would be calibrated.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
from scipy.special import softmax

from acrlls import calibration
from acrlls.ledger.facts import (
    COMPATIBLE,
    DIFFERS,
    NOISE,
    REPRODUCED,
    UNCHECKABLE,
    Facts,
    how_many,
    listed,
)
from acrlls.ledger.reproduced import TAILS, areas, repetitions
from acrlls.paper import CLASSES
from acrlls.tables import recorded, shift

# --- Statements about one model ----------------------------------------------------------------


def areas_above(facts, claim, bound: str):
    """Is every AUC above the bound in the recorded Proposed?"""
    low = dict(zip(CLASSES, np.quantile(areas(facts), TAILS[0], axis=0), strict=True))
    count = how_many(facts.runs_of("Proposed"))
    text = f"In 97.5 % of repetitions ours are above {listed(low, '.4f')} ({count})."
    return min(low.values()) > facts.value(bound), text


def mistaken(facts, claim, name: str, as_: str, at_least: float = 0, at_most: float = 1):
    """What share of the mistakes with one class takes it for this other, in ours?"""
    runs, calls = facts.runs_of("Proposed"), np.zeros(len(CLASSES), int)
    for (run,) in runs:
        test = run.predictions("test")
        calls += calibration.confusion(test.probabilities, test.labels)[CLASSES.index(name)]
    calls = dict(zip(CLASSES, calls, strict=True))
    total = sum(k for c, k in calls.items() if c != name)
    text = f"Ours takes {calls[as_]} of {total} mistaken images of {name} for {as_} "
    return at_least <= calls[as_] / total <= at_most, f"{text}({how_many(runs)})."


def raised(facts, claim):
    """How often does a scale below one raise the probability of its class, in ours?"""
    shares = []
    for (run,) in facts.runs_of("Proposed"):
        logits, scales = run.predictions("test").logits, run.best_scales(2).to_numpy()
        unscaled = logits / scales
        before, own = softmax(unscaled, axis=1), np.eye(len(scales), dtype=bool)
        after = [softmax(np.where(k, logits, unscaled), axis=1)[:, k][:, 0] for k in own]
        shares.append((np.stack(after, axis=1) > before)[:, scales < 1].mean())
    text = (
        f"In ours, scales below one raise the probability of their class in {np.mean(shares):.0%}"
    )
    return not any(shares), f"{text} of cases ({how_many(facts.runs_of('Proposed'))})."


def heat(facts, claim):
    """Do the heat of the recorded Proposed and its answers depend on the middle of the image?"""
    runs = [run for (run,) in facts.runs_of("Proposed") if _has(run, "heat")]
    if not runs:
        return UNCHECKABLE, "It is a figure without numbers, and no heat of ours is recorded."
    shares, said = shift.heat_shares(runs)["middle"], shift.by_source(runs).droplevel(1)
    area, ours, right = shares.iloc[0], shares.iloc[1:], said.accuracy["middle covered"]
    labels = runs[0].predictions("test").labels
    most = np.bincount(labels).max() / len(labels)
    return (DIFFERS if right > most else COMPATIBLE), (
        f"In ours {ours.min():.0%} to {ours.max():.0%} of the heat of a class lies in the middle, "
        f"which is {area:.0%} of the image. With the middle covered, ours is right on {right:.1%} "
        f"of the test images; always to answer the commonest class is right on {most:.1%} "
        f"({how_many(runs)})."
    )


def elsewhere(facts, claim):
    """How often is the recorded Proposed right on images of other collections?"""
    runs = [run for (run,) in facts.runs_of("Proposed") if _has(run, "outside")]
    if not runs:
        return UNCHECKABLE, "The test images are of the same collection as those trained on."
    table = shift.by_source(runs).droplevel(1)
    own, others = table.loc["test"], table.drop(["test", *shift.ALTERED])
    each = listed(others.accuracy, ".1%")
    return others.accuracy.min() >= own.accuracy, (
        "The paper's test images are of the same collection as those trained on. Ours is right on "
        f"{own.accuracy:.1%} of such images, and of images from elsewhere on {each} "
        f"({how_many(runs)})."
    )


def _has(run, file: str) -> bool:
    return (run.folder / f"{file}.csv.gz").exists()


# --- Statements about two models ---------------------------------------------------------------


@cache
def ece_gaps(facts: Facts, first: str, second: str) -> pd.DataFrame:
    """Class-wise ECE of ``first`` minus that of ``second`` in the recorded runs.

    Returns:
        A row a class and a last row ``"mean"``: ``gap``, the mean over pairs of runs; ``least`` and
        ``greatest`` of a pair; ``p``, two-sided and over the classes adjusted by Holm, of a
        permutation that exchanges the two models image by image; ``shown``, +1 or -1 where p is
        below 0.05 and every pair agrees on the sign, else 0.
    """
    pairs = facts.runs_of(first, second)
    y = pairs[0][0].predictions("test").labels
    p = np.array([[run.predictions("test").probabilities for run in pair] for pair in pairs])

    def gaps(swap):
        two = np.where(swap[:, None], p[:, ::-1], p)
        ece = [[calibration.classwise_ece(q, y, facts.bins) for q in pair] for pair in two]
        gap = np.subtract(*np.swapaxes(ece, 0, 1))
        return np.column_stack([gap, gap.mean(axis=1)])

    observed, rng = gaps(np.zeros(len(y), bool)), np.random.default_rng(facts.seed)
    drawn = [gaps(rng.random(len(y)) < 0.5).mean(axis=0) for _ in range(facts.resamples)]
    gap, low, high = observed.mean(axis=0), observed.min(axis=0), observed.max(axis=0)
    p_values = (1 + (np.abs(drawn) >= np.abs(gap) - 1e-12).sum(axis=0)) / (1 + len(drawn))
    p_values[:-1] = calibration.holm(p_values[:-1])
    shown = np.where((p_values < 0.05) & (np.sign(low) == np.sign(high)), np.sign(gap), 0)
    columns = {"gap": gap, "least": low, "greatest": high, "p": p_values}
    return pd.DataFrame(columns, index=[*CLASSES, "mean"]).assign(shown=shown.astype(int))


def tell_gaps(table: pd.DataFrame, first: str, second: str) -> str:
    """Half a sentence of :func:`ece_gaps`."""
    mean, each = table.loc["mean"], table.drop("mean").shown
    up, down = (", ".join(each.index[each == sign]) or "no class" for sign in (1, -1))
    return (
        f"the mean class-wise ECE of {first} minus that of {second} is {mean.gap:+.4f} (runs: "
        f"{mean.least:+.4f} to {mean.greatest:+.4f}; p = {mean.p:.3f}), and {first} is shown to be "
        f"higher in {up} and lower in {down}"
    )


def verdict_of_gaps(tables) -> str:
    """The verdict on "the first is higher in every class", from some tables of
    :func:`ece_gaps`."""
    shown = np.concatenate([table.drop("mean").shown for table in tables])
    return REPRODUCED if (shown == 1).all() else DIFFERS if (shown == -1).any() else NOISE


def higher_ece(facts, claim, pairs: list):
    """Is in each pair the ECE of the first model higher than that of the second, in every class?"""
    tables = {tuple(pair): ece_gaps(facts, *pair) for pair in pairs}
    told = "; ".join(tell_gaps(table, *pair) for pair, table in tables.items())
    counts = {how_many(facts.runs_of(*pair)) for pair in tables}
    return verdict_of_gaps(tables.values()), f"In ours, {told} ({' and '.join(sorted(counts))})."


@cache
def after_training(facts: Facts, base: str, other: str) -> pd.DataFrame:
    """NLL of ``base`` after each post-hoc method, fitted on validation images, minus that of
    ``other`` as trained.

    Returns:
        A row a method of :data:`acrlls.calibration.METHODS`, by its title: ``difference``, the mean
        over pairs of runs, and ``low`` and ``high`` (95 %), over runs and images drawn again.
    """
    pairs, names = facts.runs_of(base, other), calibration.METHODS
    y = pairs[0][0].predictions("test").labels

    def losses(run, step=""):
        p = recorded.probabilities(run, step)[np.arange(len(y)), y]
        return -np.log(p.clip(np.finfo(float).eps))

    each = [[losses(a, name) - losses(b) for name in names] for a, b in pairs]
    shape = len(pairs), len(names), facts.resamples
    means = calibration.bootstrap_means(np.concatenate(each), y, facts.resamples, facts.seed)
    rng = np.random.default_rng(facts.seed)
    chosen = rng.multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), facts.resamples)
    drawn = np.einsum("rms,sr->ms", means.reshape(shape), chosen) / len(pairs)
    low, high = np.quantile(drawn, TAILS, axis=1)
    columns = {"difference": np.mean(each, axis=(0, 2)), "low": low, "high": high}
    return pd.DataFrame(columns, index=[method.title for method in names.values()])


# The post-hoc method that decides, because it contains LLS; the others are only counted.
NAMED = calibration.METHODS[recorded.STEP].title


def tell_methods(table: pd.DataFrame, base: str, other: str) -> str:
    """Half a sentence of :func:`after_training`."""
    row = table.loc[NAMED]
    word = "a lower" if row.high < 0 else "a higher" if row.low > 0 else "no other"
    better, worse = (table.high < 0).sum(), (table.low > 0).sum()
    return (
        f"{base} after {row.name} has {word} NLL than {other} as trained "
        f"({row.difference:+.3f}, 95 % interval {row.low:+.3f} to {row.high:+.3f}); of the "
        f"{len(table)} methods tried, {better} give a lower NLL and {worse} a higher one"
    )


def verdict_of_methods(tables) -> str:
    """The verdict on "no step is needed", from some tables of :func:`after_training`."""
    rows = [table.loc[NAMED] for table in tables]
    if any(row.high < 0 for row in rows):
        return DIFFERS
    return REPRODUCED if all(row.low > 0 for row in rows) else NOISE


def no_better(facts, claim, pairs: list):
    """Does a step after training leave every first model no better than the second as trained?"""
    tables = {tuple(pair): after_training(facts, *pair) for pair in pairs}
    told = "; ".join(tell_methods(table, *pair) for pair, table in tables.items())
    count = how_many(facts.runs_of(*pairs[0]))
    return verdict_of_methods(tables.values()), f"In ours, {told} ({count})."


def better_than(facts, claim, of: str, setting: str):
    """Is the recorded Proposed better in this than under another setting?"""
    ours = repetitions(facts, "Proposed")[of]
    others = repetitions(facts, "Proposed", setting=setting)[of]
    low, high = np.quantile(ours - others, TAILS)
    verdict = REPRODUCED if low > 0 else DIFFERS if high < 0 else NOISE
    return verdict, (
        f"In ours {of} is {ours.mean():.4f}, and {others.mean():.4f} {setting}; the difference in "
        f"95 % of repetitions is {low:+.4f} to {high:+.4f} ({how_many(facts.runs_of('Proposed'))})."
    )
