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


def statistics(p, y, bins: int) -> dict[str, float]:
    """Everything that is published of one model, such as ``"Recall COVID"`` and ``"accuracy"``."""
    found = {"accuracy": calibration.accuracy(p, y)}
    share = np.bincount(y, minlength=len(CLASSES)) / len(y)
    for what in ("Precision", "Recall", "F1", "AUC", "Brier"):
        each = calibration.METRICS[f"classwise_{what.lower()}"].function(p, y)
        found |= {f"{what} {c}": v for c, v in zip(CLASSES, each, strict=True)}
        found |= {f"{what} Macro Avg": each.mean(), f"{what} Weighted Avg": each @ share}
    each = calibration.classwise_ece(p, y, bins)
    found |= {f"ECE {c}": v for c, v in zip(CLASSES, each, strict=True)}
    return found | {"ECE lowest": each.min(), "ECE highest": each.max()}


@cache
def repetitions(
    facts: Facts, model: str, beside: str, phase: int | None = None, setting: str = PUBLISHED
) -> pd.DataFrame:
    """What repetitions of the recorded runs of a model would observe, a row each.

    Every repetition takes one of the runs, of a group that has the model ``beside`` too, and the
    same images for both, so that two models may be compared row by row.
    """
    found = [pair[0] for pair in facts.runs_of(model, beside, setting=setting)]
    tests = [(t.probabilities, t.labels) for t in (r.predictions("test", phase) for r in found)]
    wanted = [int(facts.value(f"table_III.{c}.Support")) for c in CLASSES]
    rows = []
    for k in range(facts.resamples):
        rng = np.random.default_rng([facts.seed, k])
        p, y = tests[k % len(tests)]
        members = [np.flatnonzero(y == c) for c in range(len(CLASSES))]
        sample = [rng.choice(m, len(m)) for m in members]
        images = np.concatenate([rng.choice(s, n) for s, n in zip(sample, wanted, strict=True)])
        row = statistics(p[images], y[images], facts.bins)
        once = np.concatenate([rng.choice(m, n) for m, n in zip(members, wanted, strict=True)])
        each = calibration.classwise_ece(p[once], y[once], facts.bins)
        row |= {f"ECE {c}": v for c, v in zip(CLASSES, each, strict=True)}
        rows.append(row | {"ECE lowest": each.min(), "ECE highest": each.max()})
    return pd.DataFrame(rows)


def measure(facts, claim, of: str, model: str = "Proposed", phase: int | None = None):
    """Would a repetition of the recorded runs observe this value?"""
    drawn = repetitions(facts, model, model, phase)[of]
    return _within(facts, claim, drawn, facts.runs_of(model))


def measured_gain(
    facts, claim, of: str, before: str = "Baseline", phase: int | None = None, number: str = ""
):
    """Would a repetition of the recorded runs observe this gain of Proposed?"""
    first = repetitions(facts, before, "Proposed", phase)[of]
    last = repetitions(facts, "Proposed", before)[of]
    drawn = 1 - last / first if of.startswith("ECE") else last - first
    return _within(facts, claim, drawn, facts.runs_of(before, "Proposed"), 0, number)


def _within(facts, claim, drawn, found, null: float | None = None, key: str = ""):
    number, (low, high) = facts.number(key or claim.key), np.quantile(drawn, TAILS)
    form = ".2%" if number.printed.endswith("%") else ".4f"
    text = (
        f"In the paper's class mix ours is {drawn.mean():{form}} on average ({how_many(found)}); "
        f"95 % of repetitions would observe {low:{form}} to {high:{form}}."
    )
    if not low - number.half_unit <= number.value <= high + number.half_unit:
        same = null is not None and low > null and number.value > null
        return DIFFERS, f"{text} The sign is the same." if same else text
    if null is not None and low <= null <= high:
        return COMPATIBLE, f"{text} That interval holds {null:g}, which would mean no effect."
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
    if not low <= facts.value(claim.key) <= high:
        return DIFFERS, text
    if low <= 1 <= high:
        return COMPATIBLE, f"{text} That interval holds 1, the scale that changes nothing."
    return REPRODUCED, text
