"""Tables and computed sentences of the section on the ledger."""

from __future__ import annotations

import pandas as pd

from acrlls import ledger
from acrlls.paper import CLASSES, NUMBERS, by_class, table

MEANING = {
    "follows": "The paper's own other numbers give it, rounding taken into account.",
    "does not follow": "No numbers that round to the printed ones give it.",
    "reproduced": "It lies where a repetition of our run, on as many images as the paper tested, "
    "would fall in 95 % of cases.",
    "compatible": "It lies there as well, but so does the value that would mean no effect.",
    "differs": "It lies outside. Our run differs from the paper's, on other images and after a "
    "shorter training; that is no error of the paper.",
    "stands out from noise": "It is larger than sampling noise explains, under every common "
    "reading of what the paper leaves open.",
    "cannot be told from noise": "Under at least one common reading, sampling noise alone gives "
    "as much.",
    "lower than perfect calibration would show": "It is smaller than the ECE of a perfectly "
    "calibrated model, under every common reading.",
    "not checkable": "It is a choice of the authors, a figure without numbers, or rests on "
    "something that is not published; the row says which.",
}
LEVEL = 0.05


def verdicts(claims: ledger.Ledger):
    """How many claims each verdict heads, and what the verdict means, as a Styler."""
    counts = claims.counts[claims.counts > 0]
    frame = pd.DataFrame({"claims": counts, "meaning": pd.Series(MEANING).reindex(counts.index)})
    left = {"text-align": "left", "white-space": "normal"}
    return frame.style.set_properties(subset=["meaning"], **left)


def compared(facts: ledger.Facts) -> str:
    """What the recorded run has of the paper's images and epochs."""
    run, whole = facts.run("proposed"), by_class("images")
    have = dict(zip(run.class_names, run.manifest["class_counts"], strict=True))
    lacking = [f"{have[c]:,} of {whole[c]:,.0f} {c}" for c in CLASSES if have[c] < whole[c]]
    images = ", ".join(lacking) or "every class in full"
    return (
        f'**What is compared.** "Ours" is the recorded run `{facts.recorded}`. It uses '
        f"{run.manifest['images']:,} of the paper's {NUMBERS['images.total'].printed} images "
        f"({images}), {len(run.predictions('test').labels):,} test images where the paper has "
        f"{NUMBERS['split.test'].printed}, and {run.config.phase2_epochs} epochs of Phase 2 where "
        f"the paper has {NUMBERS['phase2.epochs'].printed}. The interval is that of the bootstrap "
        "over test images, for an ECE that of the true error. It is widened because the published "
        "number was measured on other images. How far another seed moves a number is known for "
        "Phase 1 alone."
    )


def readings(tests: pd.DataFrame) -> pd.DataFrame:
    """Every published ECE with its floors over the common readings, of :func:`ledger.ece_tests`."""
    rows = ledger.common(tests)
    rows = rows.assign(lower=rows.below < LEVEL, higher=rows.above < LEVEL)
    return rows.groupby(["model", "class"], sort=False).agg(
        **{
            "published": ("published", "first"),
            "least mean floor": ("floor", "min"),
            "greatest mean floor": ("floor", "max"),
            "readings": ("floor", "size"),
            "lower": ("lower", "sum"),
            "higher": ("higher", "sum"),
        }
    )


def readings_shown(tests: pd.DataFrame):
    """:func:`readings` as a Styler."""
    return readings(tests).style.format(precision=4)


def floors_in_words(tests: pd.DataFrame) -> str:
    """In how many readings Proposed and Baseline lie above or below the noise floor."""
    parts = []
    for model in ("Proposed", "Baseline"):
        of = readings(tests).loc[model].sum()
        lower = f" and lower in {of.lower:.0f}" if of.lower else ""
        parts.append(
            f"{model} is higher than the noise floor explains in {of.higher:.0f} of "
            f"{of.readings:.0f} readings{lower}."
        )
    return " ".join(parts)


def published_gaps() -> pd.DataFrame:
    """Differences in published ECE, a row a class and a column a pair of models."""
    ece = table("V")
    return pd.DataFrame({f"{a} minus {b}": ece.loc[a] - ece.loc[b] for a, b in ledger.PAIRS})


def gap_draws(facts: ledger.Facts) -> dict:
    """Differences of two calibrated models by class, for 15 equal-width bins and Beta scores."""
    column = ledger.COMMON.index(("uniform", 15))
    return {c: ledger.gap_floors(facts)[c, "Beta"][:, column] for c in CLASSES}


def greatest_p(facts: ledger.Facts):
    """Greatest adjusted p of each published difference over the common readings, as a Styler."""
    pairs = ledger.common(ledger.gap_tests(facts)).groupby(["first", "second", "class"], sort=False)
    frame = pairs.adjusted.max().unstack("class")[list(CLASSES)]
    caption = "Greatest p over the readings, two-sided, adjusted by Holm over all twelve"
    return frame.style.format("{:.3f}").set_caption(caption)


def mcnemar_in_words(curve: pd.Series, ours: dict[str, int]) -> str:
    """What McNemar's test says of the gain in accuracy, for every possible disagreement."""
    low, high, small = curve.index.min(), curve.index.max(), curve.index[curve < LEVEL]
    below = f"below 0.05 up to {small.max()} (shaded)" if len(small) else "never below 0.05"
    text = (
        f"The gain is {low} images. How many images exactly one of the two models gets right is "
        f"not published; it lies between {low} and {high}. p is {below}."
    )
    p = " or ".join(f"{curve[k]:.3f}" for k in ours.values())
    return f"{text} If Baseline and Proposed disagree as often as our recorded pairs do, p is {p}."
