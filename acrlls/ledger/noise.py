"""Is it more than noise?  The simulations are those of ``chance``.

What the paper leaves open, the kind and number of its bins and the shape of its scores, is a
*reading*; there are 24.  The evidence counts those under which a value is more than noise.  Holm's
correction runs over all classes and models, both tails, within each reading.

References:
    - [1] M. Clark et al., "The Schaake shuffle: a method for reconstructing space-time variability
      in forecasted precipitation and temperature fields", Journal of Hydrometeorology 5, 2004.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from acrlls.calibration import holm, noise_floor
from acrlls.ledger import chance
from acrlls.ledger.chance import BINNINGS
from acrlls.ledger.facts import DEPENDS, LOWER, NOISE, STANDS_OUT, Facts, how_many, spread
from acrlls.ledger.formula import sentence, value
from acrlls.paper import CLASSES, MODELS

LEVEL = 0.05
PAIRS = (("Baseline", "Proposed"), ("Single Dense", "Proposed"), ("Single Dense", "Baseline"))
READING = ["shape", "kind", "bins"]
SEEDS = "The spread between seeds, which is not published, comes on top."


@cache
def shapes(facts: Facts) -> dict[str, dict[str, np.ndarray]]:
    """By class, shapes of scores that have its published prevalence and Brier score."""
    found = {}
    for c in CLASSES:
        share = facts.value(f"table_III.{c}.Support") / facts.test_images
        brier, auc = facts.value(f"brier.{c}"), facts.value(f"auc.{c}")
        errors = facts.margins.loc[c, ["missed", "false_alarms"]].sum()
        two = chance.two_group_shape(share, brier, auc, errors, facts.test_images)
        found[c] = {"Beta": chance.beta_shape(share, brier), "two groups": two}
    return found


@cache
def floors(facts: Facts) -> dict[tuple[str, str], np.ndarray]:
    """ECE under perfect calibration by (class, shape), ``(draws, binnings)``."""
    # Holm's correction multiplies by up to 24: small p-values need many draws.
    n, size, parts = facts.test_images, facts.resamples, range(5)
    return {
        (c, name): np.vstack(
            [chance.floors(shape, n, size, [facts.seed, k, i, part]) for part in parts]
        )
        for k, c in enumerate(CLASSES)
        for i, (name, shape) in enumerate(shapes(facts)[c].items())
    }


@cache
def sums_of_floors(facts: Facts) -> dict[str, np.ndarray]:
    """Sum over the classes of the ECE under perfect calibration by shape, ``(draws, binnings)``.

    The classes hang together, as an image of one is not of another.  How much is not published, so
    the draws of the classes are put together in the order of those of a recorded Proposed [1].
    """
    p, draws = facts.runs_of("Proposed")[0][0].predictions("test").probabilities, floors(facts)
    size, found = len(draws[CLASSES[0], "Beta"]), {}
    for column, (kind, bins) in enumerate(BINNINGS):
        ours = noise_floor(p, bins=bins, resamples=size, seed=facts.seed, strategy=kind).classwise
        order = rankdata(ours, method="ordinal", axis=0) - 1
        for shape in ("Beta", "two groups"):
            each = [np.sort(draws[c, shape][:, column])[order[:, k]] for k, c in enumerate(CLASSES)]
            found.setdefault(shape, []).append(np.sum(each, axis=0))
    return {shape: np.column_stack(columns) for shape, columns in found.items()}


@cache
def gap_floors(facts: Facts) -> dict[tuple[str, str], np.ndarray]:
    """Difference in ECE of two calibrated models by (class, shape), ``(draws, binnings)``.

    The scores of the two are as alike as those of a recorded Baseline and Proposed.
    """
    a, b = (run.predictions("test") for run in facts.runs_of("Baseline", "Proposed")[0])
    n, draws, found = facts.test_images, 2 * facts.resamples, {}
    for k, c in enumerate(CLASSES):
        scores = a.probabilities[:, k], b.probabilities[:, k]
        alike = chance.score_correlations(*scores, a.labels == k)
        gaps = chance.gap_floors(shapes(facts)[c], alike, n, draws, [facts.seed, k])
        found |= {(c, name): d for name, d in gaps.items()}
    return found


@cache
def ece_tests(facts: Facts) -> pd.DataFrame:
    """Every published ECE, and the sum of each model's, against what perfect calibration shows.

    Returns:
        Rows (model, class or ``"sum"``, shape, kind, bins); columns ``published``, ``floor``
        (mean), ``low`` and ``high`` (5 and 95 % quantile), and ``below`` and ``above``, the
        p-values of being as low and as high; those of the classes are adjusted by Holm within
        (shape, kind, bins).
    """
    rows, ece = [], facts.table("V").assign(sum=lambda table: table.sum(axis=1))
    every = floors(facts) | {("sum", s): draws for s, draws in sums_of_floors(facts).items()}
    for (c, shape), draws in every.items():
        for (kind, bins), floor in zip(BINNINGS, draws.T, strict=True):
            told = [floor.mean(), *np.quantile(floor, [0.05, 0.95])]
            for m in MODELS:
                p = chance.tails(floor, ece.loc[m, c])
                rows.append([m, c, shape, kind, bins, ece.loc[m, c], *told, *p])
    names = ["model", "class", *READING]
    columns = [*names, "published", "floor", "low", "high", "below", "above"]
    table = pd.DataFrame(rows, columns=columns).set_index(names)
    for _, group in table.drop("sum", level="class").groupby(READING):
        adjusted = holm([*group.below, *group.above])
        table.loc[group.index, ["below", "above"]] = np.reshape(adjusted, (2, -1)).T
    return table.sort_index()


@cache
def gap_tests(facts: Facts) -> pd.DataFrame:
    """Every published difference in ECE of two models against that of two calibrated ones,
    two-sided.

    Returns:
        Rows (first, second, class, shape, kind, bins); columns ``gap`` (first minus second),
        ``sd`` under perfect calibration, ``p`` and, adjusted by Holm within (shape, kind, bins),
        ``adjusted``.
    """
    rows = []
    for (c, shape), draws in gap_floors(facts).items():
        for (kind, bins), null in zip(BINNINGS, draws.T, strict=True):
            for a, b in PAIRS:
                gap = facts.value(f"table_V.{a}.{c}") - facts.value(f"table_V.{b}.{c}")
                p = chance.tails(np.abs(null), abs(gap))[1]
                rows.append([a, b, c, shape, kind, bins, gap, null.std(), p])
    names = ["first", "second", "class", *READING]
    table = pd.DataFrame(rows, columns=[*names, "gap", "sd", "p"]).set_index(names)
    table["adjusted"] = table.groupby(READING).p.transform(holm)
    return table.sort_index()


# --- Checks ------------------------------------------------------------------------------------


def verdict_of_readings(below: int, above: int, readings: int) -> str:
    """The verdict on a value that is lower and higher than noise in so many readings."""
    if max(below, above) == readings:
        return LOWER if below else STANDS_OUT
    return DEPENDS if below or above else NOISE


def ece_noise(facts, claim, of: str, pick: str | None = None):
    """Is this ECE above, within or below what perfect calibration would show?"""
    _, model, c = of.split(".")
    if pick:
        values = facts.table("V").loc[model]
        c = values.idxmin() if pick == "least" else values.idxmax()
    return _ece_verdict(facts, model, c)


def joint_ece_noise(facts, claim, model: str):
    """Are the four ECEs together above, within or below what perfect calibration would show?"""
    return _ece_verdict(facts, model, "sum")


def _ece_verdict(facts, model: str, c: str):
    rows = ece_tests(facts).loc[(model, c)]
    below, above = (int((rows[tail] < LEVEL).sum()) for tail in ("below", "above"))
    kinds = [
        f"{k} of {len(part)} with bins of equal {'width' if kind == 'uniform' else 'mass'}"
        for kind, part in rows.groupby("kind")
        if (k := (part.below < LEVEL).sum())
    ]
    where = f" ({' and '.join(kinds)})" if below else ""
    own = rows.loc["Beta", "uniform", 15]
    what = "The four ECEs sum to" if c == "sum" else f"The ECE of {c} is"
    return verdict_of_readings(below, above, len(rows)), (
        f"{what} {own.published:.4f} for {model}; perfect calibration would show "
        f"{rows.floor.min():.4f} to {rows.floor.max():.4f} on average, depending on the reading. "
        f"It is lower than sampling noise explains in {below} of {len(rows)} readings{where} and "
        f"higher in {above}. With 15 bins of equal width and Beta scores p is {own.below:.4f} for "
        f"a value as low and {own.above:.4f} for one as high."
    )


def gap_noise(facts, claim, pairs: list, names: list = CLASSES, needs: str = "all"):
    """Would two calibrated models differ by as much on the same images?"""
    if names == "largest":
        each = {c: facts.value(f"ece_reduction.{c}") for c in CLASSES}
        names = [max(each, key=each.get)]
    table, out, texts = gap_tests(facts), [], []
    for a, b in pairs:
        rows = [table.loc[(a, b, c)].adjusted < LEVEL for c in names]
        out += [int(r.sum()) for r in rows]
        each = ", ".join(f"{c} {k}" for c, k in zip(names, out[-len(rows) :], strict=True))
        texts.append(f"{a} minus {b} stands out in so many of {len(rows[0])} readings: {each}")
    found = verdict_of_readings(0, min(out) if needs == "all" else max(out), len(rows[0]))
    return found, f"{'; '.join(texts)}. {SEEDS}"


def accuracy_curve(facts: Facts, before: str) -> tuple[pd.Series, dict[str, int]]:
    """McNemar's p by the unpublished disagreement of Proposed with the model of the accuracy
    ``before``, and by run the disagreement of the recorded pairs, scaled to the
    paper's mistakes."""
    wrong = [facts.test_images - facts.correct(key) for key in (before, "accuracy.proposed")]
    curve = chance.mcnemar_curve(*wrong)
    model, phase = ("Proposed", 1) if before == "accuracy.phase1" else ("Baseline", None)
    possible, ours = curve.index.to_numpy(), {}
    for first, second in facts.runs_of(model, "Proposed"):
        tests = [first.predictions("test", phase), second.predictions("test")]
        a, b = (test.classes != test.labels for test in tests)
        share = (a != b).sum() / (a.sum() + b.sum())
        ours[first.folder.parent.name] = int(
            possible[np.abs(possible - share * sum(wrong)).argmin()]
        )
    return curve, ours


def accuracy_noise(facts, claim, before: str):
    """Would two equally good models differ by as many images?"""
    curve, ours = accuracy_curve(facts, before)
    p = curve[list(ours.values())]
    model = "Proposed" if before == "accuracy.phase1" else "Baseline"
    return (p < LEVEL).all(), (
        f"The gain is {curve.index.min()} images. If the two models disagree on as many images as "
        f"ours, {min(ours.values())} to {max(ours.values())} of {facts.test_images:,}, McNemar's p "
        f"is {p.min():.2g} to {p.max():.2g} ({how_many(facts.runs_of(model, 'Proposed'))}). {SEEDS}"
    )


def exceeds_seeds(facts, claim, of: str, changes: list, says: str):
    """Is the change larger than two seeds differ in 95 % of cases?"""
    heads = facts.heads
    if of == "loss":
        reach = np.full(len(changes), spread([run.best_epoch(1).val_loss for run in heads]))
    else:
        reach = spread([run.best_scales(1)[list(CLASSES)] for run in heads])
    found = np.array([value(facts, change) for change in changes])
    change = ", ".join(f"{x:+.4f}" for x in found)
    limit = ", ".join(f"{r:.4f}" for r in reach)
    return (np.abs(found) > reach).all(), (
        f"{sentence(facts, says)} {change}; two seeds of ours differ by up to "
        f"{limit} in 95 % of cases ({how_many(heads)} after Phase 1)."
    )
