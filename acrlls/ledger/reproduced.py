"""Do the recorded runs on the real images show what the paper says?

A published number was measured on a test set of its own, so it is compared with what a *repetition*
would observe [1]: one of our runs, on images drawn from its test images within each class to the
published number of the class.  So every number is compared in the paper's class mix.  Where a
number has no bias, our images are first drawn again themselves, because they are a sample too.  An
ECE has one: the observed value already holds the sampling noise of our images, and a second drawing
would add it once more.

References:
    - [1] P. Patil, R. D. Peng, J. T. Leek, "What should researchers expect when they replicate
      studies?  A statistical view of replicability in psychological science", Perspectives on
      Psychological Science 11, 2016.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from acrlls import calibration
from acrlls.config import configure
from acrlls.ledger.facts import (
    COMPATIBLE,
    DIFFERS,
    PUBLISHED,
    REPRODUCED,
    UNCHECKABLE,
    Facts,
    how_many,
    spread,
)
from acrlls.paper import CLASSES
from acrlls.runs import load_run

TAILS = (0.025, 0.975)


def setting(facts, claim, name: str, index: str = ""):
    """A choice of the authors: is it what the profile `paper` of this book does?"""
    ours = getattr(configure("paper"), name)
    if index:
        values = ours.split("..") if name == "input_range" else ours
        ours = float(values[int(index) - 1])
    if facts.number(claim.key).agrees(ours):
        text = "It is a choice and no result; the profile `paper` of this book makes the same."
        return UNCHECKABLE, text
    return DIFFERS, f"It is a choice; the profile `paper` of this book has {ours:g}."


# --- Numbers -----------------------------------------------------------------------------------


def statistics(p, y) -> dict[str, float]:
    """What is published of one model but its AUC and ECE, such as ``"Recall COVID"``."""
    counts = calibration.confusion(p, y)
    right, support, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    each = {
        "Precision": right / np.maximum(predicted, 1),
        "Recall": right / support,
        "F1": 2 * right / (support + predicted),
    }
    found = {"accuracy": right.sum() / len(y)}
    for what, values in each.items():
        found[f"{what} Macro Avg"] = values.mean()
        found[f"{what} Weighted Avg"] = values @ support / len(y)
    each["Brier"] = calibration.classwise_brier(p, y)
    pairs = (
        (f"{what} {c}", v) for what, vs in each.items() for c, v in zip(CLASSES, vs, strict=True)
    )
    return found | dict(pairs)


def observed_ece(p, y, bins: int) -> dict[str, float]:
    """ECE of each class, such as ``"ECE COVID"``, and ``"ECE lowest"`` and ``"ECE highest"``."""
    each = calibration.classwise_ece(p, y, bins)
    found = dict(zip((f"ECE {c}" for c in CLASSES), each, strict=True))
    return found | {"ECE lowest": each.min(), "ECE highest": each.max()}


def drawn_images(facts: Facts, y, rng) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the images of a repetition, of each class as many as the paper tested: drawn
    from a sample of ours, and drawn from ours."""
    members = [np.flatnonzero(y == c) for c in range(len(CLASSES))]
    counts = [int(facts.value(f"table_III.{c}.Support")) for c in CLASSES]
    once, twice = [], []
    for m, n in zip(members, counts, strict=True):
        once.append(rng.choice(m, n))
        twice.append(rng.choice(rng.choice(m, len(m)), n))
    return np.concatenate(twice), np.concatenate(once)


def repetitions(
    facts: Facts, model: str, beside: str = "", phase: int | None = None, setting: str = PUBLISHED
) -> pd.DataFrame:
    """What repetitions of the recorded runs of a model would observe, a row each.

    Every repetition takes one of the runs, of a group that has the model ``beside`` too, and the
    same images for both, so that two models may be compared row by row.
    """
    pairs = facts.runs_of(model, beside or model, setting=setting)
    return _repetitions(facts, tuple(run.folder for run, _ in pairs), phase)


@cache
def _repetitions(facts: Facts, folders: tuple, phase: int | None) -> pd.DataFrame:
    tests = [load_run(folder).predictions("test", phase) for folder in folders]
    tests = [(test.probabilities, test.labels) for test in tests]
    rng, rows = np.random.default_rng(facts.seed), []
    for k in range(4 * facts.resamples):
        p, y = tests[k % len(tests)]
        twice, once = drawn_images(facts, y, rng)
        rows.append(statistics(p[twice], y[twice]) | observed_ece(p[once], y[once], facts.bins))
    return pd.DataFrame(rows)


@cache
def areas(facts: Facts) -> pd.DataFrame:
    """AUC of each class, such as ``"AUC COVID"``, that repetitions of Proposed would observe."""
    tests = [run.predictions("test") for (run,) in facts.runs_of("Proposed")]
    rng, rows = np.random.default_rng(facts.seed), []
    for k in range(facts.resamples):
        test = tests[k % len(tests)]
        images = drawn_images(facts, test.labels, rng)[0]
        rows.append(calibration.classwise_auc(test.probabilities[images], test.labels[images]))
    return pd.DataFrame(rows, columns=[f"AUC {c}" for c in CLASSES])


def measure(facts, claim, of: str, model: str = "Proposed", phase: int | None = None):
    """Would a repetition of the recorded runs observe this value?"""
    drawn = areas(facts) if of.startswith("AUC") else repetitions(facts, model, phase=phase)
    return _within(facts, claim, drawn[of], facts.runs_of(model))


def measured_gain(
    facts, claim, of: str, before: str = "Baseline", phase: int | None = None, number: str = ""
):
    """Would a repetition of the recorded runs observe this gain of Proposed?"""
    first = repetitions(facts, before, "Proposed", phase)[of]
    last = repetitions(facts, "Proposed", before)[of]
    drawn, unit = (1 - last / first, "%") if of.startswith("ECE") else (last - first, "points")
    found = facts.runs_of(before, "Proposed")
    return _within(facts, claim, drawn, found, 0, number, unit)


def _within(facts, claim, drawn, found, null: float | None = None, key: str = "", unit: str = ""):
    number, (low, high) = facts.number(key or claim.key), np.quantile(drawn, TAILS)
    unit = unit or "%" * number.printed.endswith("%")
    mean, low_, high_ = (
        f"{100 * x:.2f} {unit}" if unit else f"{x:.4f}" for x in (drawn.mean(), low, high)
    )
    text = (
        f"In the paper's class mix ours is {mean} on average ({how_many(found)}); 95 % of "
        f"repetitions would observe {low_} to {high_}."
    )
    return placed(number, low, high, null, text)


def placed(number, low: float, high: float, null: float | None, text: str):
    """The verdict on a published number by where repetitions fall, and by whether the value that
    means no effect, ``null``, lies there as well."""
    if not low - number.half_unit <= number.value <= high + number.half_unit:
        same = (
            null is not None and not low <= null <= high and (low > null) == (number.value > null)
        )
        return DIFFERS, f"{text} The sign is the same." if same else text
    if null is not None and low <= null <= high:
        return COMPATIBLE, f"{text} That interval holds {null:g}, which means no effect."
    return REPRODUCED, text


def scale(facts, claim, name: str, phase: str):
    """Is the scale within the spread over our seeds?"""
    k = int(phase[-1])
    runs = facts.heads if k == 1 else [run for (run,) in facts.runs_of("Proposed")]
    ours = [run.best_scales(k)[name] for run in runs]
    others = ours if k == 1 else [run.best_scales(1)[name] for run in facts.heads]
    # of two seeds to that of a mean of several and a new one
    reach = spread(others) * np.sqrt((1 + 1 / len(ours)) / 2)
    low, high = np.mean(ours) - reach, np.mean(ours) + reach
    text = (
        f"Ours is {np.mean(ours):.4f} after {phase} ({how_many(runs)}); with the spread of "
        f"{how_many(facts.heads)} after Phase 1, another would fall into {low:.4f} to {high:.4f}."
    )
    return placed(facts.number(claim.key), low, high, 1, text)
