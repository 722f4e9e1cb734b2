"""Checks of the paper by the recorded runs.  Internal to ``ledger``.

A published number was measured on a test set of its own, so it is compared with a *prediction interval*: where a
repetition on as many images as the paper tested would fall, were it another test of our run.  That is the
stratified bootstrap interval of our run, widened by sqrt(1 + n_ours / n_published) [1].  It covers the choice of
test images, not of the seed: how far another training moves a number is known for Phase 1 alone, from the
recorded heads.

References:
    - [1] P. Patil, R. D. Peng, J. T. Leek, "What should researchers expect when they replicate studies?  A
      statistical view of replicability in psychological science", Perspectives on Psychological Science 11, 2016.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import log_softmax, softmax
from scipy.stats import t as student

from acrlls import calibration, paper, records
from acrlls._facts import DIFFERS, REPRODUCED, UNCHECKABLE, Claim, Facts, Outcome, check
from acrlls.config import configure
from acrlls.paper import CLASSES
from acrlls.recalibration import PriorCorrection, TemperatureScaling

reproduced = check("reproduced")

VARIANTS = {"Baseline": "baseline", "Single Dense": "single_dense", "Proposed": "proposed"}
COLUMNS = ("Precision", "Recall", "F1")


@reproduced
def setting(claim: Claim, facts: Facts) -> Outcome:
    """A choice of the authors: is it what the profile `paper` of this book does?"""
    c = configure("paper")
    low, high = (float(end) for end in c.input_range.split(".."))
    ours = {
        "image.size": c.image_size, "image.lowest": low, "image.highest": high, "acr.alpha": c.alpha, "acr.tau": c.tau,
        "phase1.epochs": c.phase1_epochs, "phase1.learning_rate": c.phase1_learning_rate,
        "phase2.epochs": c.phase2_epochs, "phase2.learning_rate": c.phase2_learning_rate,
        "phase2.unfrozen_layers": c.unfrozen_layers, "split.train_share": c.train_fraction,
        "split.validation_share": c.validation_fraction, "augmentation.rotation": c.rotation,
        "augmentation.flip": c.flip, "augmentation.shift": c.shift, "augmentation.shear": c.shear,
        "augmentation.zoom": c.zoom, "grid.points": len(c.grid_alpha) * len(c.grid_tau),
        "grid.epochs": c.grid_epochs, "grid.patience": c.grid_patience,
        **{f"grid.alpha.{i}": a for i, a in enumerate(c.grid_alpha, 1)},
        **{f"grid.tau.{i}": t for i, t in enumerate(c.grid_tau, 1)},
    }[claim.key]  # fmt: skip
    if facts.numbers[claim.key].agrees(ours):
        return Outcome(UNCHECKABLE, "A choice and no result; the profile `paper` of this book makes the same.")
    return Outcome(DIFFERS, f"A choice; the profile `paper` of this book has {ours:g}.")


# --- Measured on the recorded runs --------------------------------------------------------------------------


def _names() -> list[str]:
    return [
        *(f"{column} {c}" for column in COLUMNS for c in CLASSES),
        *(f"{column} {row}" for row in ("Macro Avg", "Weighted Avg") for column in COLUMNS),
        *(f"{what} {c}" for what in ("AUC", "Brier", "ECE") for c in CLASSES),
        "accuracy",
    ]


def _scores(p, y, bins: int, weights=None) -> np.ndarray:
    """Everything that is published of one model, ``(resamples, names)`` in the order of :func:`_names`.

    Args:
        weights: how often each image counts, ``(resamples, n)``; None counts each once.
    """
    w = np.ones((1, len(y))) if weights is None else weights
    n, hits = w.sum(axis=1, keepdims=True), np.eye(p.shape[1])[y]
    called = np.eye(p.shape[1])[p.argmax(axis=1)]
    right, support, all_called = w @ (hits * called), w @ hits, np.maximum(w @ called, 1)
    columns = [right / all_called, right / support, 2 * right / (support + all_called)]
    ece, auc = np.empty_like(support), np.empty_like(support)
    for k in range(p.shape[1]):
        place = np.ceil(p[:, k] * bins).clip(1).astype(int) - 1
        residual = (hits - p)[:, k, None] * np.eye(bins)[place]
        ece[:, k] = np.abs(w @ residual).sum(axis=1) / n[:, 0]
        _, value = np.unique(p[:, k], return_inverse=True)  # ranks, with ties in common
        order = np.argsort(value, kind="stable")
        first = np.flatnonzero(np.diff(value[order], prepend=-1))
        positive, negative = (np.add.reduceat((w * h)[:, order], first, axis=1) for h in (hits[:, k], 1 - hits[:, k]))
        below = negative.cumsum(axis=1) - negative / 2
        auc[:, k] = (positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1))
    return np.hstack([
        *columns, *(c.mean(axis=1, keepdims=True) for c in columns),
        *((c * support).sum(axis=1, keepdims=True) / n for c in columns),
        auc, w @ (p - hits) ** 2 / n, ece, right.sum(axis=1, keepdims=True) / n,
    ])  # fmt: skip


def measured(facts: Facts, variant: str, phase: int | None = None) -> pd.DataFrame:
    """What the recorded run of a variant has for each of :func:`_names`.

    Returns:
        Columns ``estimate``, and ``low`` and ``high`` of the bootstrap, stratified by class.
    """
    if (variant, phase) not in facts.cache:
        test = facts.run(variant).predictions("test", phase)
        p, y = calibration.check(test.probabilities, test.labels)
        rng, weights = np.random.default_rng(facts.seed), np.empty((facts.resamples, len(y)))
        for k in np.unique(y):
            members = np.flatnonzero(y == k)
            weights[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), facts.resamples)
        low, high = np.quantile(_scores(p, y, facts.bins, weights), [0.025, 0.975], axis=0)
        estimate = _scores(p, y, facts.bins)[0]
        facts.cache[variant, phase] = pd.DataFrame({"estimate": estimate, "low": low, "high": high}, index=_names())
    return facts.cache[variant, phase]


def _compare(claim: Claim, facts: Facts, variant: str, name: str, percent: bool = False) -> Outcome:
    """A published number beside the same quantity of the recorded run of a variant."""
    run = facts.run(variant)
    if run is None:
        return Outcome(UNCHECKABLE, f"No run of {variant.replace('_', ' ')} on the real images is recorded.")
    row = measured(facts, variant).loc[name]
    kind, _, group = name.partition(" ")
    labels = run.predictions("test").labels
    own, theirs = len(labels), facts.value("split.test")
    if kind == "Recall" and group in CLASSES:  # the noise of a recall is that of its class
        own, theirs = (labels == CLASSES.index(group)).sum(), facts.value(f"table_III.{group}.Support")
    below, above = row.estimate - row.low, row.high - row.estimate
    floor = ""
    if kind == "ECE":  # a bootstrap of an ECE lies too high, but is about as wide as it should be
        below = above = (row.high - row.low) / 2
        floor = f" Perfectly calibrated, ours would stay below {_floor(facts, variant)[CLASSES.index(group)]:.4f} in 95 %."
    wider = np.sqrt(1 + own / theirs)
    low, high = row.estimate - below * wider, row.estimate + above * wider
    others = {
        change: _scores(test.probabilities, test.labels, facts.bins)[0, _names().index(name)]
        for change, other in facts.other_runs(variant).items()
        for test in [other.predictions("test")]
    }
    form = ".2%" if percent else ".4f"
    also = "".join(f"; with {change.replace('-', ' ')}, {value:{form}}" for change, value in others.items())
    return _within(
        facts.numbers[claim.key].value, facts.numbers[claim.key].half_unit, low, high,
        f"Ours {row.estimate:{form}}; a repetition would fall into {low:{form}} to {high:{form}}{also}.{floor}",
    )  # fmt: skip


def _floor(facts: Facts, variant: str) -> np.ndarray:
    """95 % quantile of the noise floor of a recorded run, by class."""
    if ("floor", variant) not in facts.cache:
        p = facts.run(variant).predictions("test").probabilities
        drawn = calibration.noise_floor(p, bins=facts.bins, resamples=facts.resamples, seed=facts.seed)
        facts.cache["floor", variant] = drawn.quantile(0.95)
    return facts.cache["floor", variant]


def _difference(facts: Facts, first, second, labels) -> calibration.Interval:
    """Mean of ``first`` minus that of ``second``, known image by image, with the paired bootstrap interval."""
    means = calibration.bootstrap_means(np.stack([first, second]), labels, facts.resamples, facts.seed)
    low, high = np.quantile(means[0] - means[1], [0.025, 0.975])
    return calibration.Interval(float(np.mean(first) - np.mean(second)), low, high)


def _nll(logits, labels) -> np.ndarray:
    return -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]


def _within(value: float, slack: float, low: float, high: float, text: str) -> Outcome:
    return Outcome(REPRODUCED if low - slack <= value <= high + slack else DIFFERS, text)


@reproduced
def run_report(claim: Claim, facts: Facts) -> Outcome:
    """Has the recorded Proposed this cell of Table III?"""
    name = "accuracy" if claim.row == "Accuracy" else f"{claim.column} {claim.row}"
    return _compare(claim, facts, "proposed", name)


@reproduced
def run_accuracy(claim: Claim, facts: Facts) -> Outcome:
    """Has the recorded run this accuracy?"""
    if claim.key != "accuracy.phase1":
        model = claim.row if claim.row in VARIANTS else claim.row.title()
        return _compare(claim, facts, VARIANTS[model], "accuracy", percent=True)
    found = measured(facts, "proposed", 1).loc["accuracy"]
    wider = np.sqrt(1 + len(facts.run("proposed").predictions("test").labels) / facts.value("split.test"))
    low, high = (found.estimate + (end - found.estimate) * wider for end in (found.low, found.high))
    seeds = [(h.classes == h.labels).mean() for h in (r.predictions("test", 1) for r in facts.heads("proposed"))]
    spread = f" Over {len(seeds)} seeds: {min(seeds):.2%} to {max(seeds):.2%}." if seeds else ""
    number = facts.numbers[claim.key]
    text = f"Ours {found.estimate:.2%}; a repetition would fall into {low:.2%} to {high:.2%}.{spread}"
    return _within(number.value, number.half_unit, low, high, text)


@reproduced
def run_macro_f1(claim: Claim, facts: Facts) -> Outcome:
    """Has the recorded run this macro F1?"""
    return _compare(claim, facts, VARIANTS[claim.row], "F1 Macro Avg")


@reproduced
def run_auc(claim: Claim, facts: Facts) -> Outcome:
    """Has the recorded Proposed this AUC?"""
    if claim.key in facts.numbers:
        return _compare(claim, facts, "proposed", f"AUC {claim.row}")
    values = measured(facts, "proposed").estimate[[f"AUC {c}" for c in CLASSES]]
    bound = facts.value("auc.above")
    text = ", ".join(f"{name.removeprefix('AUC ')} {v:.4f}" for name, v in values.items())
    return Outcome(REPRODUCED if values.min() > bound else DIFFERS, f"Ours: {text}.")


@reproduced
def run_brier(claim: Claim, facts: Facts) -> Outcome:
    """Has the recorded Proposed this Brier score?"""
    return _compare(claim, facts, "proposed", f"Brier {claim.row}")


@reproduced
def run_ece(claim: Claim, facts: Facts) -> Outcome:
    """Has the recorded run this ECE, or its lowest and highest class?"""
    variant = VARIANTS[claim.row] if claim.row in VARIANTS else "proposed"
    group = claim.column
    if claim.row in ("lowest", "highest"):
        pick = min if claim.row == "lowest" else max
        group = pick(CLASSES, key=lambda c: measured(facts, variant).estimate[f"ECE {c}"])
    return _compare(claim, facts, variant, f"ECE {group}")


@reproduced
def run_gain(claim: Claim, facts: Facts) -> Outcome:
    """Is the gain in accuracy within the paired interval of the recorded runs?"""
    after = facts.run("proposed").predictions("test")
    first, before = ("Phase 1", facts.run("proposed").predictions("test", 1))
    if claim.key == "accuracy.gain":
        first, before = "Baseline", facts.run("baseline").predictions("test")
    right = [run.classes == run.labels for run in (after, before)]
    found = _difference(facts, *right, after.labels)
    wider = np.sqrt(1 + len(after.labels) / facts.value("split.test"))
    low, high = (100 * (found.estimate + (end - found.estimate) * wider) for end in (found.low, found.high))
    number = facts.numbers[claim.key]
    text = f"Ours: {100 * found.estimate:+.2f} points over {first}; a repetition would fall into {low:+.2f} to {high:+.2f}."
    return _within(100 * number.value, 100 * number.half_unit, low, high, text)


@reproduced
def run_reduction(claim: Claim, facts: Facts) -> Outcome:
    """Is the ECE of the recorded Proposed below that of the recorded Baseline by as much?"""
    name = f"ECE {claim.row}"
    base, own = (measured(facts, variant).loc[name] for variant in ("baseline", "proposed"))
    ratio = own.estimate / base.estimate
    # Relative errors of a ratio, taken as independent; a bootstrap of an ECE is about as wide as it should be.
    relative = np.hypot(*((r.high - r.low) / (2 * 1.96 * r.estimate) for r in (base, own)))
    wider = 1.96 * relative * np.sqrt(1 + len(facts.run("proposed").predictions("test").labels) / facts.value("split.test"))
    low, high = 1 - ratio * np.exp(wider), 1 - ratio * np.exp(-wider)
    number = facts.numbers[claim.key]
    text = f"Ours: from {base.estimate:.4f} to {own.estimate:.4f}, {1 - ratio:.0%}; a repetition would fall into {low:.0%} to {high:.0%}."
    return _within(number.value, number.half_unit, low, high, text)


@reproduced
def run_scale(claim: Claim, facts: Facts) -> Outcome:
    """Is the scale within the spread over our seeds?"""
    group, phase = (claim.row, int(claim.column[-1])) if claim.key.startswith("table_II.") else ("Lung Opacity", 2)
    heads = [run.best_scales(1)[group] for run in facts.heads("proposed")]
    if len(heads) < 2:
        return Outcome(UNCHECKABLE, "Fewer than two seeds are recorded.")
    number, sd, k = facts.numbers[claim.key], np.std(heads, ddof=1), len(heads)
    reach = student.ppf(0.975, k - 1) * sd * np.sqrt(1 + 1 / k)
    middle, which = np.mean(heads), f"mean of {k} seeds after Phase 1"
    if phase == 2:
        middle, which = facts.run("proposed").best_scales(2)[group], "one seed after Phase 2, with the spread of Phase 1"
    low, high = middle - reach, middle + reach
    text = f"Ours {middle:.4f}, {which}; another seed would fall into {low:.4f} to {high:.4f}."
    return _within(number.value, number.half_unit, low, high, text)


# --- Statements ---------------------------------------------------------------------------------------------


@reproduced
def run_cell(claim: Claim, facts: Facts) -> Outcome:
    """Does the recorded Proposed confuse these two classes as the paper says?"""
    test = facts.run("proposed").predictions("test")
    counts = pd.DataFrame(calibration.confusion(test.probabilities, test.labels), CLASSES, CLASSES)
    if claim.key == "report.mostly_normal":
        row = counts.loc["Lung Opacity"].drop("Lung Opacity")
        text = ", ".join(f"{k} as {c}" for c, k in row.items())
        return Outcome(REPRODUCED if row["Normal"] > row.sum() / 2 else DIFFERS, f"Ours, of {row.sum()} missed: {text}.")
    said, seen = facts.value("errors.viral_as_covid"), counts.loc["Viral Pneumonia", "COVID"]
    of = counts.loc["Viral Pneumonia"].sum()
    return Outcome(REPRODUCED if seen == said else DIFFERS, f"Ours: {seen} of {of} Viral Pneumonias called COVID.")


@reproduced
def run_negative_logits(claim: Claim, facts: Facts) -> Outcome:
    """How often does the scale of a class meet a negative logit in the recorded Proposed?"""
    run = facts.run("proposed")
    logits, scales = run.predictions("test").logits, run.best_scales(2).to_numpy()
    unscaled = logits / scales
    before, after = softmax(unscaled, axis=1), np.stack(
        [softmax(np.where(np.arange(len(scales)) == k, logits, unscaled), axis=1)[:, k] for k in range(len(scales))], axis=1
    )
    down = scales < 1
    raised = (after > before)[:, down].mean()
    names = ", ".join(np.array(CLASSES)[down])
    text = f"Ours: scales below one ({names}) raise the probability of their class in {raised:.0%} of cases."
    return Outcome(REPRODUCED if raised == 0 else DIFFERS, text)


@reproduced
def run_posthoc(claim: Claim, facts: Facts) -> Outcome:
    """Does adjusting the recorded Proposed after training still lower its negative log-likelihood?"""
    run = facts.run("proposed")
    test, held_out = run.predictions("test"), run.predictions("validation")
    methods = {
        "prior correction": PriorCorrection(records.training_weights(run)),
        "temperature": TemperatureScaling().fit(held_out.logits, held_out.labels),
    }
    texts, better = [], False
    for name, method in methods.items():
        losses = [_nll(z, test.labels) for z in (method.transform(test.logits), test.logits)]
        found = _difference(facts, *losses, test.labels)
        better |= found.high < 0
        texts.append(f"{name} changes it by {found.estimate:+.4f} ({found.low:+.4f} to {found.high:+.4f})")
    return Outcome(DIFFERS if better else REPRODUCED, f"Ours: {'; '.join(texts)}.")


@reproduced
def run_gap(claim: Claim, facts: Facts) -> Outcome:
    """Is the ECE of the recorded Proposed below that of the recorded Baseline in every class, under every record?"""
    texts, lower = [], []
    for change in ["", *facts.other_runs("proposed")]:
        pair = [facts.runs.get((change, v)) for v in ("baseline", "proposed")]
        if None in pair:
            continue
        eces = [
            calibration.classwise_ece(test.probabilities, test.labels, facts.bins)
            for test in (run.predictions("test") for run in pair)
        ]
        lower.append(int((eces[1] < eces[0]).sum()))
        texts.append(
            f"{change.replace('-', ' ') or 'as published'}: mean {eces[0].mean():.4f} to {eces[1].mean():.4f}, lower in "
            f"{lower[-1]} of {len(CLASSES)} classes"
        )
    return Outcome(
        REPRODUCED if min(lower) == len(CLASSES) else DIFFERS,
        f"Ours, Baseline to Proposed, {'; '.join(texts)}. One seed each; ACR alone and LLS alone would tell the two apart.",
    )
