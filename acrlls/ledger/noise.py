"""Checks of the paper against chance.  Internal to ``ledger``; the simulations are those of :mod:`acrlls.ledger.chance`.

What the paper leaves open, the kind and number of its bins and the shape of its scores, is a *reading*.  A verdict is
passed only where it holds under every reading in common use (:data:`COMMON` and all shapes); Holm's correction runs
over all classes and models, both tails, within each reading.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import t as student

from acrlls import calibration
from acrlls.ledger import chance
from acrlls.ledger.facts import (
    LOWER,
    NOISE,
    STANDS_OUT,
    UNCHECKABLE,
    Claim,
    Facts,
    Outcome,
    check,
    listed,
)
from acrlls.paper import paper
from acrlls.paper.paper import CLASSES

noise = check("noise")

LEVEL = 0.05
COMMON = tuple((kind, bins) for kind in ("uniform", "quantile") for bins in (10, 15, 20))
PAIRS = (("Baseline", "Proposed"), ("Single Dense", "Proposed"), ("Single Dense", "Baseline"))
SEEDS = "The spread between seeds, which is not published, comes on top."


# --- Simulations and their tests, one table each ------------------------------------------------------------


def shapes(facts: Facts) -> dict[str, dict[str, np.ndarray]]:
    """Shapes of the scores of each class that have its published prevalence and Brier score."""
    if "shapes" not in facts.cache:
        n, found = int(facts.value("split.test")), {}
        for k, c in enumerate(CLASSES):
            share = facts.value(f"table_III.{c}.Support") / n
            brier, auc = facts.value(f"brier.{c}"), facts.value(f"auc.{c}")
            errors = facts.margins.loc[c, ["missed", "false_alarms"]].sum()
            found[c] = {
                "Beta": chance.beta_shape(share, brier),
                "two groups": chance.two_group_shape(share, brier, auc, errors, n),
            }
            for name in ("Baseline", "Proposed"):
                p = facts.run(name.lower()).predictions("test").probabilities[:, k]
                found[c][f"recorded {name}"] = chance.sharpened_shape(p, share, brier)
        facts.cache["shapes"] = found
    return facts.cache["shapes"]


def floors(facts: Facts) -> dict[tuple[str, str], np.ndarray]:
    """ECE under perfect calibration by (class, shape): ``(2 · resamples, binnings)`` over :data:`chance.BINNINGS`."""
    if "floors" not in facts.cache:
        n = int(facts.value("split.test"))
        facts.cache["floors"] = {
            # Holm's correction multiplies by up to 24: small p-values need the more draws.
            (c, name): chance.floors(shape, n, 2 * facts.resamples, [facts.seed, k, i])
            for k, c in enumerate(CLASSES)
            for i, (name, shape) in enumerate(shapes(facts)[c].items())
        }
    return facts.cache["floors"]


def gap_floors(facts: Facts) -> dict[tuple[str, str], np.ndarray]:
    """Difference in ECE of two calibrated models by (class, shape): ``(resamples, binnings)`` over :data:`COMMON`."""
    if "gap floors" not in facts.cache:
        n, found = int(facts.value("split.test")), {}
        for k, c in enumerate(CLASSES):
            some = {
                name: shape
                for name, shape in shapes(facts)[c].items()
                if name != "recorded Baseline"
            }
            draws = chance.gap_floors(
                some, correlations(facts)[c], n, facts.resamples, [facts.seed, k], COMMON
            )
            found |= {(c, name): d for name, d in draws.items()}
        facts.cache["gap floors"] = found
    return facts.cache["gap floors"]


def correlations(facts: Facts) -> dict[str, tuple[float, float]]:
    """How alike the scores of the recorded Baseline and Proposed are, class by class, within the label 0 and 1."""
    a, b = (facts.run(v).predictions("test") for v in ("baseline", "proposed"))
    return {
        c: chance.score_correlations(a.probabilities[:, k], b.probabilities[:, k], a.labels == k)
        for k, c in enumerate(CLASSES)
    }


def ece_tests(facts: Facts) -> pd.DataFrame:
    """Every published ECE against every floor.

    Returns:
        Rows (model, class, shape, kind, bins); columns ``published``, ``floor`` (mean), ``low`` and ``high`` (5 and 95
        % quantile), ``p_below``, ``p_above`` and, adjusted by Holm within (shape, kind, bins), ``below``, ``above``.
    """
    if "ece tests" not in facts.cache:
        rows = {}
        for j, (kind, bins) in enumerate(chance.BINNINGS):
            for shape in shapes(facts)[CLASSES[0]]:
                p = {}
                for model in paper.MODELS:
                    for c, number in facts.ece(model).items():
                        draws = floors(facts)[c, shape][:, j]
                        p[model, c, "below"], p[model, c, "above"] = chance.tails(
                            draws, number.value
                        )
                        rows[model, c, shape, kind, bins] = {
                            "published": number.value,
                            "floor": draws.mean(),
                            "low": np.quantile(draws, 0.05),
                            "high": np.quantile(draws, 0.95),
                            "p_below": p[model, c, "below"],
                            "p_above": p[model, c, "above"],
                        }
                for (model, c, tail), value in zip(p, calibration.holm([*p.values()]), strict=True):
                    rows[model, c, shape, kind, bins][tail] = value
        table = pd.DataFrame.from_dict(rows, orient="index")
        table.index = pd.MultiIndex.from_tuples(
            table.index, names=["model", "class", "shape", "kind", "bins"]
        )
        facts.cache["ece tests"] = table.sort_index()
    return facts.cache["ece tests"]


def gap_tests(facts: Facts) -> pd.DataFrame:
    """Every published difference in ECE of two models against that of two calibrated ones, two-sided.

    Returns:
        Rows (first, second, class, shape, kind, bins); columns ``gap`` (first minus second), ``sd`` of the null,
        ``p`` and, adjusted by Holm within (shape, kind, bins), ``adjusted``.
    """
    if "gap tests" not in facts.cache:
        rows = {}
        for j, (kind, bins) in enumerate(COMMON):
            for shape in dict.fromkeys(name for _, name in gap_floors(facts)):
                p = {}
                for first, second in PAIRS:
                    for c in CLASSES:
                        gap = facts.ece(first)[c].value - facts.ece(second)[c].value
                        draws = gap_floors(facts)[c, shape][:, j]
                        p[first, second, c] = chance.tails(np.abs(draws), abs(gap))[1]
                        rows[first, second, c, shape, kind, bins] = {
                            "gap": gap,
                            "sd": draws.std(),
                            "p": p[first, second, c],
                        }
                for key, value in zip(p, calibration.holm([*p.values()]), strict=True):
                    rows[*key, shape, kind, bins]["adjusted"] = value
        table = pd.DataFrame.from_dict(rows, orient="index")
        table.index = pd.MultiIndex.from_tuples(
            table.index, names=["first", "second", "class", "shape", "kind", "bins"]
        )
        facts.cache["gap tests"] = table.sort_index()
    return facts.cache["gap tests"]


def common(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the readings in common use."""
    kind, bins = (table.index.get_level_values(level) for level in ("kind", "bins"))
    return table[[pair in COMMON for pair in zip(kind, bins, strict=True)]]


def ece_verdict(facts: Facts, model: str, c: str) -> str:
    rows = common(ece_tests(facts)).loc[(model, c)]
    if rows.below.max() < LEVEL:
        return LOWER
    return STANDS_OUT if rows.above.max() < LEVEL else NOISE


def gap_verdict(facts: Facts, first: str, second: str, c: str) -> str:
    return (
        STANDS_OUT
        if common(gap_tests(facts)).loc[(first, second, c)].adjusted.max() < LEVEL
        else NOISE
    )


# --- Checks -------------------------------------------------------------------------------------------------


@noise
def ece_noise(claim: Claim, facts: Facts) -> Outcome:
    """Is this ECE above, within or below what perfect calibration would show?"""
    model, c = (
        (claim.row, claim.column) if claim.key.startswith("table_V.") else ("Proposed", claim.row)
    )
    if claim.row in ("lowest", "highest"):
        pick, values = (min if claim.row == "lowest" else max), facts.ece("Proposed")
        c = pick(values, key=lambda k: values[k].value)
    rows = common(ece_tests(facts)).loc[(model, c)]
    own = ece_tests(facts).loc[(model, c, "Beta", "uniform", 15)]
    below, above = (int((rows[tail] < LEVEL).sum()) for tail in ("below", "above"))
    return Outcome(
        ece_verdict(facts, model, c),
        f"{c}: perfect calibration would show {rows.floor.min():.4f} to {rows.floor.max():.4f} "
        "on average, by the reading. "
        f"Of "
        f"{len(rows)} readings, {own.published} is lower than chance explains in {below} and higher in {above} "
        f"(Holm, 5 %). "
        f"With 15 equal-width bins and Beta scores: p = {own.p_below:.3f} of being so low, "
        f"{own.p_above:.3f} of being so high.",
    )


@noise
def all_ece_noise(claim: Claim, facts: Facts) -> Outcome:
    """Do the four ECEs of Proposed stand out from what perfect calibration would show?"""
    verdicts = {c: ece_verdict(facts, "Proposed", c) for c in CLASSES}
    floor = {c: common(ece_tests(facts)).loc[("Proposed", c)].floor.mean() for c in CLASSES}
    published = {c: n.value for c, n in facts.ece("Proposed").items()}
    found = set(verdicts.values())
    return Outcome(
        found.pop() if len(found) == 1 else NOISE,
        f"Published: {listed(published, '.4f')}; perfect calibration, mean over the readings: {listed(floor, '.4f')}. "
        f"{'; '.join(f'{c}: {v}' for c, v in verdicts.items())}.",
    )


@noise
def gap_noise(claim: Claim, facts: Facts) -> Outcome:
    """Would two calibrated models differ by as much on the same images?"""
    c = claim.row
    if claim.key == "ece.reduction_up_to":
        each = facts.by_class("ece_reduction")
        c = max(each, key=lambda k: each[k].value)
    return Outcome(
        gap_verdict(facts, "Baseline", "Proposed", c),
        _gap_text(facts, "Baseline", "Proposed", c) + f" {SEEDS}",
    )


def _gap_text(facts: Facts, first: str, second: str, c: str) -> str:
    rows = common(gap_tests(facts)).loc[(first, second, c)]
    text = (
        f"{c}: {first} minus {second} is {rows.gap.iloc[0]:+.4f}; two calibrated models differ by "
    )
    text += f"{rows.sd.min():.4f} to"
    text += f" {rows.sd.max():.4f} (standard deviation)"
    return f"{text}; adjusted p {rows.adjusted.min():.3f} to {rows.adjusted.max():.3f} over {len(rows)} readings."


@noise
def all_gap_noise(claim: Claim, facts: Facts) -> Outcome:
    """In which classes would two calibrated models differ by as much?"""
    pairs = {
        "ablation.lowest": PAIRS[:2],
        "ablation.cause": PAIRS[:1],
        "ablation.single_higher": PAIRS[2:],
    }[claim.key]
    out = [gap_verdict(facts, *pair, c) == STANDS_OUT for pair in pairs for c in CLASSES]
    texts = []
    for pair in pairs:
        names = [c for c in CLASSES if gap_verdict(facts, *pair, c) == STANDS_OUT]
        texts.append(f"{pair[0]} minus {pair[1]} stands out for {', '.join(names) or 'no class'}")
    # A cause may show in some classes; "across all classes" must hold in all.
    enough = any(out) if claim.key == "ablation.cause" else all(out)
    return Outcome(STANDS_OUT if enough else NOISE, f"{'; '.join(texts)}. {SEEDS}")


def disagreement(
    facts: Facts, first: tuple[str, int | None], second: tuple[str, int | None]
) -> dict[str, float]:
    """Images that exactly one of two recorded models gets right, as a share of the mistakes of both, by record."""
    found = {}
    for change in ["", *facts.other_runs("proposed")]:
        pair = [facts.runs.get((change, variant)) for variant, _ in (first, second)]
        if None not in pair:
            tests = [
                run.predictions("test", phase)
                for run, (_, phase) in zip(pair, (first, second), strict=True)
            ]
            wrong = [test.classes != test.labels for test in tests]
            found[change.replace("-", " ") or "as published"] = (wrong[0] != wrong[1]).sum() / sum(
                w.sum() for w in wrong
            )
    return found


def accuracy_curve(facts: Facts, before: str) -> tuple[pd.Series, dict[str, int]]:
    """McNemar's p by the unpublished disagreement of Proposed with an accuracy, and that of the recorded runs."""
    n = int(facts.value("split.test"))
    wrong = [n - facts.correct(key) for key in (before, "accuracy.proposed")]
    curve = chance.mcnemar_curve(*wrong)
    first = ("proposed", 1) if before == "accuracy.phase1" else ("baseline", None)
    possible = curve.index.to_numpy()
    shares = disagreement(facts, first, ("proposed", None))
    return curve, {
        k: int(possible[np.abs(possible - share * sum(wrong)).argmin()])
        for k, share in shares.items()
    }


@noise
def accuracy_noise(claim: Claim, facts: Facts) -> Outcome:
    """Would two equally good models differ by as many images?"""
    curve, ours = accuracy_curve(
        facts, "accuracy.baseline" if claim.key == "accuracy.gain" else "accuracy.phase1"
    )
    significant = curve.index[curve < LEVEL]
    crossing = (
        f"p is below {LEVEL} up to {significant.max()}"
        if len(significant)
        else f"p is never below {LEVEL}"
    )
    p = {f"{k} images ({change})": curve[k] for change, k in ours.items()}
    return Outcome(
        STANDS_OUT if all(v < LEVEL for v in p.values()) else NOISE,
        f"Exactly one model is right on {curve.index.min()} to {curve.index.max()} images, and {crossing}. "
        f"Disagreeing as our "
        f"recorded runs do: {', '.join(f'{name}, p = {v:.2g}' for name, v in p.items())}. {SEEDS}",
    )


@noise
def loss_noise(claim: Claim, facts: Facts) -> Outcome:
    """Is the lead of the best pair larger than the spread between seeds?"""
    losses = [facts.value(f"table_I.{rank}.val_loss") for rank in range(1, 6)]
    seeds = [run.best_epoch(1).val_loss for run in facts.heads("proposed")]
    if len(seeds) < 2:
        return Outcome(UNCHECKABLE, "Fewer than two seeds are recorded.")
    sd = np.std(seeds, ddof=1)
    reach = student.ppf(0.975, len(seeds) - 1) * sd * np.sqrt(2)
    lead = losses[1] - losses[0]
    return Outcome(
        STANDS_OUT if lead > reach else NOISE,
        f"It leads by {lead:.4f}, and the fifth by {losses[-1] - losses[0]:.4f}. "
        f"Over {len(seeds)} seeds of one setting, our losses after "
        f"Phase 1 have a standard deviation of {sd:.4f}; two trainings differ by up to {reach:.4f} in 95 % of cases.",
    )


@noise
def scale_noise(claim: Claim, facts: Facts) -> Outcome:
    """Are the changes from Phase 1 to Phase 2 larger than the spread between seeds?"""
    heads = facts.heads("proposed")
    if len(heads) < 2:
        return Outcome(UNCHECKABLE, "Fewer than two seeds are recorded.")
    sd = pd.DataFrame([run.best_scales(1) for run in heads]).std(ddof=1)
    change = {
        c: facts.value(f"table_II.{c}.Phase 2") - facts.value(f"table_II.{c}.Phase 1")
        for c in CLASSES
    }
    factor = student.ppf(0.975, len(heads) - 1) * np.sqrt(2)
    larger = [c for c in CLASSES if abs(change[c]) > factor * sd[c]]
    return Outcome(
        STANDS_OUT if len(larger) == len(CLASSES) else NOISE,
        f"Changes: {listed(change, '+.4f')}. Standard deviation over {len(heads)} seeds after Phase 1: "
        f"{listed(sd, '.4f')}. Larger than two "
        f"seeds differ in 95 % of cases: {', '.join(larger) or 'none'}.",
    )
