"""Tables and computed sentences of the section on the ledger."""

from __future__ import annotations

from html import escape

import pandas as pd

from acrlls.ledger import noise
from acrlls.ledger.facts import MEANING, Facts
from acrlls.ledger.ledger import MAIN, Ledger
from acrlls.ledger.render import anchor
from acrlls.paper import CLASSES, MODELS, NUMBERS, by_class, table


def main_claims(claims: Ledger) -> pd.DataFrame:
    """The ten main claims: ``claim`` in the paper's words, ``where``, ``verdict``, ``evidence`` of
    the check that decides, and ``section`` of the book; a row a key."""
    rows = {}
    for key, given in MAIN.items():
        claim, outcome = claims[key].claim, claims[key].outcomes[given["by"]]
        quote = f"{claim.what}: {claim.text}" if claim.what else f"“{claim.text}”"
        rows[key] = [quote, claim.where, outcome.verdict, outcome.evidence, given["section"]]
    columns = ["claim", "where", "verdict", "evidence", "section"]
    return pd.DataFrame.from_dict(rows, "index", columns=columns)


def main_shown(rows: pd.DataFrame):
    """:func:`main_claims` with links to the section and to the row of the ledger, as a Styler."""
    pairs = zip(rows.index, rows.section, strict=True)
    links = [
        f'<a href="{section}.html">section</a>, <a href="#{anchor(key)}">row</a>'
        for key, section in pairs
    ]
    told = rows.drop(columns="section").map(escape).assign(more=links)
    told.index = range(1, len(told) + 1)
    return told.style.set_properties(**{"text-align": "left", "white-space": "normal"})


def verdicts(claims: Ledger):
    """How many claims each verdict heads, and what the verdict means, as a Styler."""
    counts = claims.counts[claims.counts > 0]
    frame = pd.DataFrame({"claims": counts, "meaning": pd.Series(MEANING).reindex(counts.index)})
    left = {"text-align": "left", "white-space": "normal"}
    return frame.style.set_properties(subset=["meaning"], **left)


def compared(facts: Facts) -> str:
    """What the recorded runs have of the paper's images and epochs."""
    (run,), whole = facts.runs_of("Proposed")[0], by_class("images")
    have = dict(zip(run.class_names, run.manifest["class_counts"], strict=True))
    lacking = [f"{have[c]:,} of {whole[c]:,.0f} {c}" for c in CLASSES if have[c] < whole[c]]
    return (
        f'**What is compared.** "Ours" are the recorded runs `{facts.recorded}` with the published '
        f"settings. They use {run.manifest['images']:,} of the paper's "
        f"{NUMBERS['images.total'].printed} images ({', '.join(lacking) or 'every class in full'}) "
        f"and {run.config.phase2_epochs} epochs of Phase 2 where the paper has "
        f"{NUMBERS['phase2.epochs'].printed}. A published number is compared with what a "
        "repetition would observe: one of our runs on images drawn from its test images, as many "
        "of each class as the paper tested. Two models of ours are compared on our own test images."
    )


def readings(tests: pd.DataFrame):
    """Every published ECE, and the sum of each model's, with its noise floors over the readings, of
    :func:`acrlls.ledger.ece_tests`; as a Styler."""
    rows = tests.assign(lower=tests.below < noise.LEVEL, higher=tests.above < noise.LEVEL)
    frame = rows.groupby(["model", "class"]).agg(
        **{
            "published": ("published", "first"),
            "least mean floor": ("floor", "min"),
            "greatest mean floor": ("floor", "max"),
            "readings": ("floor", "size"),
            "lower": ("lower", "sum"),
            "higher": ("higher", "sum"),
        }
    )
    order = [(m, c) for m in MODELS for c in (*CLASSES, "sum")]
    return frame.loc[order].style.format(precision=4)


def published_gaps() -> pd.DataFrame:
    """Differences in published ECE, a row a class and a column a pair of models."""
    ece = table("V")
    return pd.DataFrame({f"{a} minus {b}": ece.loc[a] - ece.loc[b] for a, b in noise.PAIRS})


def gap_draws(facts: Facts) -> dict:
    """Differences of two calibrated models by class, for 15 equal-width bins and Beta scores."""
    column = noise.BINNINGS.index(("uniform", 15))
    return {c: noise.gap_floors(facts)[c, "Beta"][:, column] for c in CLASSES}


def gaps_that_stand_out(facts: Facts) -> pd.DataFrame:
    """In how many readings each published difference stands out from noise; a row a pair of
    models, a column a class."""
    rows = noise.gap_tests(facts).adjusted < noise.LEVEL
    found = rows.groupby(["first", "second", "class"]).agg(["sum", "size"])
    counts = found["sum"].astype(str) + " of " + found["size"].astype(str)
    return counts.unstack("class").loc[list(noise.PAIRS), list(CLASSES)]


def mcnemar_in_words(curve: pd.Series, ours: dict[str, int]) -> str:
    """What McNemar's test says of the gain in accuracy, for every possible disagreement."""
    low, high, small = curve.index.min(), curve.index.max(), curve.index[curve < noise.LEVEL]
    below = f"below 0.05 up to {small.max()} (shaded)" if len(small) else "never below 0.05"
    p = curve[list(ours.values())]
    return (
        f"The gain is {low} images. How many images exactly one of the two models gets right is "
        f"not published; it lies between {low} and {high}. p is {below}. If Baseline and Proposed "
        f"disagree as often as our recorded pairs do, p is {p.min():.3f} to {p.max():.3f}."
    )
