"""Checks of the paper against sampling noise; the simulations are those of ``chance``.

What the paper leaves open, the kind and number of its bins and the shape of its scores, is a
*reading*.  A verdict is passed only where it holds under every reading in common use
(:data:`COMMON` and all shapes); Holm's correction runs over all classes and models, both tails,
within each reading.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
from scipy.stats import t as student

from acrlls.calibration import holm
from acrlls.ledger import chance
from acrlls.ledger.facts import LOWER, NOISE, STANDS_OUT, Facts, listed
from acrlls.paper import CLASSES, MODELS

LEVEL = 0.05
COMMON = tuple((kind, bins) for kind in ("uniform", "quantile") for bins in (10, 15, 20))
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
    """ECE under perfect calibration by (class, shape): ``(2 · resamples, binnings)`` over
    :data:`chance.BINNINGS`."""
    return {
        # Holm's correction multiplies by up to 24: small p-values need the more draws.
        (c, name): chance.floors(shape, facts.test_images, 2 * facts.resamples, [0, k, i])
        for k, c in enumerate(CLASSES)
        for i, (name, shape) in enumerate(shapes(facts)[c].items())
    }


@cache
def gap_floors(facts: Facts) -> dict[tuple[str, str], np.ndarray]:
    """Difference in ECE of two calibrated models by (class, shape): ``(resamples, binnings)``
    over :data:`COMMON`.

    The scores of the two are as alike as those of the recorded Baseline and Proposed.
    """
    a, b = (facts.run(v).predictions("test") for v in ("baseline", "proposed"))
    n, draws, found = facts.test_images, facts.resamples, {}
    for k, c in enumerate(CLASSES):
        scores = a.probabilities[:, k], b.probabilities[:, k]
        alike = chance.score_correlations(*scores, a.labels == k)
        gaps = chance.gap_floors(shapes(facts)[c], alike, n, draws, [0, k], COMMON)
        found |= {(c, name): d for name, d in gaps.items()}
    return found


@cache
def ece_tests(facts: Facts) -> pd.DataFrame:
    """Every published ECE against every floor.

    Returns:
        Rows (model, class, shape, kind, bins); columns ``published``, ``floor`` (mean), ``low``
        and ``high`` (5 and 95 % quantile), ``p_below``, ``p_above`` and, adjusted by Holm within
        (shape, kind, bins), ``below`` and ``above``.
    """
    rows = []
    for (c, shape), draws in floors(facts).items():
        for (kind, bins), floor in zip(chance.BINNINGS, draws.T, strict=True):
            spread = [floor.mean(), *np.quantile(floor, [0.05, 0.95])]
            for m in MODELS:
                value = facts.value(f"table_V.{m}.{c}")
                p = chance.tails(floor, value)
                rows.append([m, c, shape, kind, bins, value, *spread, *p])
    names = ["model", "class", *READING]
    columns = [*names, "published", "floor", "low", "high", "p_below", "p_above"]
    table = pd.DataFrame(rows, columns=columns).set_index(names)
    for _, group in table.groupby(READING):
        adjusted = holm([*group.p_below, *group.p_above])
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
        for (kind, bins), null in zip(COMMON, draws.T, strict=True):
            for a, b in PAIRS:
                gap = facts.value(f"table_V.{a}.{c}") - facts.value(f"table_V.{b}.{c}")
                p = chance.tails(np.abs(null), abs(gap))[1]
                rows.append([a, b, c, shape, kind, bins, gap, null.std(), p])
    names = ["first", "second", "class", *READING]
    table = pd.DataFrame(rows, columns=[*names, "gap", "sd", "p"]).set_index(names)
    table["adjusted"] = table.groupby(READING).p.transform(holm)
    return table.sort_index()


def common(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the readings in common use."""
    kind, bins = (table.index.get_level_values(level) for level in ("kind", "bins"))
    return table[[pair in COMMON for pair in zip(kind, bins, strict=True)]]


def _ece_verdict(facts: Facts, model: str, c: str) -> str:
    rows = common(ece_tests(facts)).loc[(model, c)]
    if rows.below.max() < LEVEL:
        return LOWER
    return STANDS_OUT if rows.above.max() < LEVEL else NOISE


# --- Checks ------------------------------------------------------------------------------------


def ece_noise(facts, claim, of: str):
    """Is this ECE above, within or below what perfect calibration would show?"""
    _, model, c = of.split(".")
    values = facts.table("V").loc["Proposed"]
    c = {"lowest": values.idxmin(), "highest": values.idxmax()}.get(c, c)
    rows = common(ece_tests(facts)).loc[(model, c)]
    own = ece_tests(facts).loc[(model, c, "Beta", "uniform", 15)]
    below, above = (int((rows[tail] < LEVEL).sum()) for tail in ("below", "above"))
    return _ece_verdict(facts, model, c), (
        f"{c}: perfect calibration would show {rows.floor.min():.4f} to {rows.floor.max():.4f} "
        f"on average, depending on the reading. In {below} of {len(rows)} readings, "
        f"{own.published} is lower than sampling noise explains, and in {above} it is higher "
        "(Holm, 5%). With 15 equal-width bins and Beta scores, the probability of a value as low "
        f"is p = {own.p_below:.3f}, that of one as high p = {own.p_above:.3f}."
    )


def all_ece_noise(facts, claim):
    """Do the four ECEs of Proposed stand out from what perfect calibration would show?"""
    verdicts = {c: _ece_verdict(facts, "Proposed", c) for c in CLASSES}
    floor = {c: common(ece_tests(facts)).loc[("Proposed", c)].floor.mean() for c in CLASSES}
    found = set(verdicts.values())
    return found.pop() if len(found) == 1 else NOISE, (
        f"Published are {listed(facts.values('table_V.Proposed.*'), '.4f')}. Perfect calibration "
        f"would show, as a mean over the readings, {listed(floor, '.4f')}. "
        f"{'; '.join(f'{c}: {v}' for c, v in verdicts.items())}."
    )


def gap_noise(facts, claim):
    """Would two calibrated models differ by as much on the same images?"""
    each = facts.values("ece_reduction.*")
    c = claim.row if claim.row in CLASSES else max(each, key=each.get)
    rows = common(gap_tests(facts)).loc[("Baseline", "Proposed", c)]
    return rows.adjusted.max() < LEVEL, (
        f"{c}: Baseline minus Proposed is {rows.gap.iloc[0]:+.4f}; the difference of two "
        f"calibrated models has a standard deviation of {rows.sd.min():.4f} to "
        f"{rows.sd.max():.4f}. The adjusted p is {rows.adjusted.min():.3f} to "
        f"{rows.adjusted.max():.3f} over {len(rows)} readings. {SEEDS}"
    )


def all_gap_noise(facts, claim, pairs: list, needs: str = "all"):
    """In which classes would two calibrated models differ by as much?"""
    greatest = common(gap_tests(facts)).groupby(["first", "second", "class"]).adjusted.max()
    out = {(a, b): greatest[a, b] < LEVEL for a, b in pairs}
    texts = [
        f"{a} minus {b} stands out for {', '.join(stands.index[stands]) or 'no class'}"
        for (a, b), stands in out.items()
    ]
    return pd.concat(out.values()).agg(needs), f"{'; '.join(texts)}. {SEEDS}"


def accuracy_curve(facts: Facts, before: str) -> tuple[pd.Series, dict[str, int]]:
    """McNemar's p by the unpublished disagreement of Proposed with the model of the accuracy
    ``before``, and the disagreement of the recorded runs, scaled to the paper's mistakes."""
    wrong = [facts.test_images - facts.correct(key) for key in (before, "accuracy.proposed")]
    curve = chance.mcnemar_curve(*wrong)
    variant, phase = ("proposed", 1) if before == "accuracy.phase1" else ("baseline", None)
    possible, ours = curve.index.to_numpy(), {}
    for change, (first, second) in facts.pairs(variant).items():
        tests = [first.predictions("test", phase), second.predictions("test")]
        first, second = (test.classes != test.labels for test in tests)
        share = (first != second).sum() / (first.sum() + second.sum())
        ours[change] = int(possible[np.abs(possible - share * sum(wrong)).argmin()])
    return curve, ours


def accuracy_noise(facts, claim, before: str):
    """Would two equally good models differ by as many images?"""
    curve, ours = accuracy_curve(facts, before)
    low = curve.index[curve < LEVEL]
    crossing = f"p is below {LEVEL} up to {low.max()}" if len(low) else f"p is never below {LEVEL}"
    p = [f"{k} images ({change}), p = {curve[k]:.2g}" for change, k in ours.items()]
    return all(curve[k] < LEVEL for k in ours.values()), (
        f"Exactly one model is right on {curve.index.min()} to {curve.index.max()} images, and "
        f"{crossing}. With the disagreement of the recorded runs: {', '.join(p)}. {SEEDS}"
    )


def loss_noise(facts, claim):
    """Is the lead of the best pair larger than the spread between seeds?"""
    losses = [*facts.values("table_I.*.val_loss").values()]
    seeds = [run.best_epoch(1).val_loss for run in facts.heads]
    sd = np.std(seeds, ddof=1)
    reach = student.ppf(0.975, len(seeds) - 1) * sd * np.sqrt(2)
    lead, last = losses[1] - losses[0], losses[-1] - losses[0]
    return lead > reach, (
        f"The best pair leads the second by {lead:.4f} and the fifth by {last:.4f}. Over "
        f"{len(seeds)} seeds of one setting, our losses after Phase 1 have a standard deviation of "
        f"{sd:.4f}; two seeds differ by up to {reach:.4f} in 95% of cases."
    )


def scale_noise(facts, claim):
    """Are the changes from Phase 1 to Phase 2 larger than the spread between seeds?"""
    heads = facts.heads
    sd = pd.DataFrame([run.best_scales(1) for run in heads]).std(ddof=1)
    first, second = (facts.values(f"table_II.*.Phase {k}") for k in (1, 2))
    change = {c: second[c] - first[c] for c in CLASSES}
    factor = student.ppf(0.975, len(heads) - 1) * np.sqrt(2)
    larger = [c for c in CLASSES if abs(change[c]) > factor * sd[c]]
    return len(larger) == len(CLASSES), (
        f"The changes are {listed(change, '+.4f')}. The standard deviation over {len(heads)} seeds "
        f"after Phase 1 is {listed(sd, '.4f')}. The change is larger than two seeds differ in 95% "
        f"of cases for {', '.join(larger) or 'no class'}."
    )
