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

from acrlls import calibration
from acrlls.calibration import PriorCorrection, TemperatureScaling, replicates
from acrlls.config import configure
from acrlls.ledger.facts import DIFFERS, REPRODUCED, UNCHECKABLE, Claim, Facts, Outcome, check
from acrlls.paper.paper import CLASSES
from acrlls.runs import recorded as records

reproduced = check("reproduced")

VARIANTS = {"Baseline": "baseline", "Single Dense": "single_dense", "Proposed": "proposed"}
COLUMNS = ("Precision", "Recall", "F1")
METRICS = {
    **{column: f"classwise_{column.lower()}" for column in COLUMNS},
    "AUC": "classwise_auc",
    "Brier": "classwise_brier",
}
TAILS = (0.025, 0.975)


@reproduced
def setting(claim: Claim, facts: Facts) -> Outcome:
    """A choice of the authors: is it what the profile `paper` of this book does?"""
    c = configure("paper")
    low, high = (float(end) for end in c.input_range.split(".."))
    ours = {
        "image.size": c.image_size,
        "image.lowest": low,
        "image.highest": high,
        "acr.alpha": c.alpha,
        "acr.tau": c.tau,
        "phase1.epochs": c.phase1_epochs,
        "phase1.learning_rate": c.phase1_learning_rate,
        "phase2.epochs": c.phase2_epochs,
        "phase2.learning_rate": c.phase2_learning_rate,
        "phase2.unfrozen_layers": c.unfrozen_layers,
        "split.train_share": c.train_fraction,
        "split.validation_share": c.validation_fraction,
        "augmentation.rotation": c.rotation,
        "augmentation.flip": c.flip,
        "augmentation.shift": c.shift,
        "augmentation.shear": c.shear,
        "augmentation.zoom": c.zoom,
        "grid.points": len(c.grid_alpha) * len(c.grid_tau),
        "grid.epochs": c.grid_epochs,
        "grid.patience": c.grid_patience,
        **{f"grid.alpha.{i}": a for i, a in enumerate(c.grid_alpha, 1)},
        **{f"grid.tau.{i}": t for i, t in enumerate(c.grid_tau, 1)},
    }[claim.key]
    if facts.numbers[claim.key].agrees(ours):
        return Outcome(
            UNCHECKABLE, "A choice and no result; the profile `paper` of this book makes the same."
        )
    return Outcome(DIFFERS, f"A choice; the profile `paper` of this book has {ours:g}.")


# --- Measured on the recorded runs --------------------------------------------------------------------------


def measured(facts: Facts, run: records.Run, phase: int | None = None) -> pd.DataFrame:
    """Everything that is published of one model, for a recorded run.

    Returns:
        Rows such as ``"Recall COVID"``, ``"F1 Macro Avg"``, ``"ECE Normal"`` and ``"accuracy"``; columns ``estimate``,
        ``low`` and ``high``.  The interval is that of the stratified bootstrap, and for an ECE that of
        :func:`acrlls.calibration.registry.ece_interval`, which is of the *true* error: the estimate may lie above it.
    """
    if (run.folder, phase) not in facts.cache:
        test = run.predictions("test", phase)
        p, y = test.probabilities, test.labels
        share, rows = np.bincount(y, minlength=len(CLASSES)) / len(y), {}
        for what, name in METRICS.items():
            metric = calibration.METRICS[name].function
            # Support does not change when images are resampled within each class, so averages are those of the draws.
            value, drawn = metric(p, y), replicates(metric, [p], y, facts.resamples, facts.seed)
            low, high = np.quantile(drawn, TAILS, axis=0)
            rows |= {
                f"{what} {c}": ends for c, *ends in zip(CLASSES, value, low, high, strict=True)
            }
            if what in COLUMNS:
                for row, weights in (
                    ("Macro Avg", np.full(len(share), 1 / len(share))),
                    ("Weighted Avg", share),
                ):
                    rows[f"{what} {row}"] = [value @ weights, *np.quantile(drawn @ weights, TAILS)]
        found = calibration.bootstrap(p, y, "accuracy", facts.resamples, facts.seed)
        rows["accuracy"] = [found.estimate, found.low, found.high]
        error = calibration.ece_interval(
            p, y, facts.bins, resamples=facts.resamples, seed=facts.seed
        )
        ece = calibration.classwise_ece(p, y, facts.bins)
        rows |= {
            f"ECE {c}": ends for c, *ends in zip(CLASSES, ece, error.low, error.high, strict=True)
        }
        columns = ["estimate", "low", "high"]
        facts.cache[run.folder, phase] = pd.DataFrame.from_dict(
            rows, orient="index", columns=columns
        )
    return facts.cache[run.folder, phase]


def _repetition(row: pd.Series, own: int, theirs: float) -> tuple[float, float]:
    """Where a repetition on ``theirs`` images would fall, from the interval of a run on ``own`` images [1]."""
    wider = np.sqrt(1 + own / theirs)
    return row.estimate - (row.estimate - row.low) * wider, row.estimate + max(
        row.high - row.estimate, 0
    ) * wider


def _compare(claim: Claim, facts: Facts, variant: str, name: str, percent: bool = False) -> Outcome:
    """A published number beside the same quantity of the recorded run of a variant."""
    run = facts.run(variant)
    if run is None:
        return Outcome(
            UNCHECKABLE, f"No run of {variant.replace('_', ' ')} on the real images is recorded."
        )
    row = measured(facts, run).loc[name]
    kind, _, group = name.partition(" ")
    labels = run.predictions("test").labels
    own, theirs = len(labels), facts.value("split.test")
    if kind == "Recall" and group in CLASSES:  # the noise of a recall is that of its class
        own, theirs = (
            (labels == CLASSES.index(group)).sum(),
            facts.value(f"table_III.{group}.Support"),
        )
    low, high = _repetition(row, own, theirs)
    floor = ""
    if kind == "ECE":
        low = max(low, 0.0)
        floor = f" Perfectly calibrated, ours would stay below {_floor(facts, run)[CLASSES.index(group)]:.4f} in 95 %."
    others = {
        change: measured(facts, other).loc[name, "estimate"]
        for change, other in facts.other_runs(variant).items()
    }
    form = ".2%" if percent else ".4f"
    also = "".join(
        f"; with {change.replace('-', ' ')}, {value:{form}}" for change, value in others.items()
    )
    return _within(
        facts.numbers[claim.key].value,
        facts.numbers[claim.key].half_unit,
        low,
        high,
        f"Ours {row.estimate:{form}}; a repetition would fall into {low:{form}} to {high:{form}}{also}.{floor}",
    )


def _floor(facts: Facts, run: records.Run) -> np.ndarray:
    """95 % quantile of the noise floor of a recorded run, by class."""
    if ("floor", run.folder) not in facts.cache:
        p = run.predictions("test").probabilities
        drawn = calibration.noise_floor(
            p, bins=facts.bins, resamples=facts.resamples, seed=facts.seed
        )
        facts.cache["floor", run.folder] = drawn.quantile(0.95)
    return facts.cache["floor", run.folder]


def _difference(facts: Facts, first, second, labels) -> calibration.Interval:
    """Mean of ``first`` minus that of ``second``, known image by image, with the paired bootstrap interval."""
    means = calibration.bootstrap_means(
        np.stack([first, second]), labels, facts.resamples, facts.seed
    )
    low, high = np.quantile(means[0] - means[1], TAILS)
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
    run = facts.run("proposed")
    found = measured(facts, run, 1).loc["accuracy"]
    low, high = _repetition(
        found, len(run.predictions("test", 1).labels), facts.value("split.test")
    )
    seeds = [
        (h.classes == h.labels).mean()
        for h in (r.predictions("test", 1) for r in facts.heads("proposed"))
    ]
    spread = f" Over {len(seeds)} seeds: {min(seeds):.2%} to {max(seeds):.2%}." if seeds else ""
    number = facts.numbers[claim.key]
    text = (
        f"Ours {found.estimate:.2%}; a repetition would fall into {low:.2%} to {high:.2%}.{spread}"
    )
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
    values = measured(facts, facts.run("proposed")).estimate[[f"AUC {c}" for c in CLASSES]]
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
        group = pick(
            CLASSES, key=lambda c: measured(facts, facts.run(variant)).estimate[f"ECE {c}"]
        )
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
    low, high = (
        100 * end for end in _repetition(found, len(after.labels), facts.value("split.test"))
    )
    number = facts.numbers[claim.key]
    text = f"Ours: {100 * found.estimate:+.2f} points over {first}; a repetition would fall into "
    text += f"{low:+.2f} to {high:+.2f}."
    return _within(100 * number.value, 100 * number.half_unit, low, high, text)


@reproduced
def run_reduction(claim: Claim, facts: Facts) -> Outcome:
    """Is the ECE of the recorded Proposed below that of the recorded Baseline by as much?"""
    name = f"ECE {claim.row}"
    base, own = (
        measured(facts, facts.run(variant)).loc[name] for variant in ("baseline", "proposed")
    )
    ratio = own.estimate / base.estimate
    # Relative errors of a ratio, taken as independent, from the widths of the intervals.
    relative = np.hypot(*((r.high - r.low) / (2 * 1.96 * r.estimate) for r in (base, own)))
    wider = (
        1.96
        * relative
        * np.sqrt(
            1 + len(facts.run("proposed").predictions("test").labels) / facts.value("split.test")
        )
    )
    low, high = 1 - ratio * np.exp(wider), 1 - ratio * np.exp(-wider)
    number = facts.numbers[claim.key]
    text = f"Ours: from {base.estimate:.4f} to {own.estimate:.4f}, {1 - ratio:.0%}; "
    text += f"a repetition would fall into {low:.0%} to {high:.0%}."
    return _within(number.value, number.half_unit, low, high, text)


@reproduced
def run_scale(claim: Claim, facts: Facts) -> Outcome:
    """Is the scale within the spread over our seeds?"""
    group, phase = (
        (claim.row, int(claim.column[-1]))
        if claim.key.startswith("table_II.")
        else ("Lung Opacity", 2)
    )
    heads = [run.best_scales(1)[group] for run in facts.heads("proposed")]
    if len(heads) < 2:
        return Outcome(UNCHECKABLE, "Fewer than two seeds are recorded.")
    number, sd, k = facts.numbers[claim.key], np.std(heads, ddof=1), len(heads)
    reach = student.ppf(0.975, k - 1) * sd * np.sqrt(1 + 1 / k)
    middle, which = np.mean(heads), f"mean of {k} seeds after Phase 1"
    if phase == 2:
        middle, which = (
            facts.run("proposed").best_scales(2)[group],
            "one seed after Phase 2, with the spread of Phase 1",
        )
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
        return Outcome(
            REPRODUCED if row["Normal"] > row.sum() / 2 else DIFFERS,
            f"Ours, of {row.sum()} missed: {text}.",
        )
    said, seen = facts.value("errors.viral_as_covid"), counts.loc["Viral Pneumonia", "COVID"]
    of = counts.loc["Viral Pneumonia"].sum()
    return Outcome(
        REPRODUCED if seen == said else DIFFERS,
        f"Ours: {seen} of {of} Viral Pneumonias called COVID.",
    )


@reproduced
def run_negative_logits(claim: Claim, facts: Facts) -> Outcome:
    """How often does the scale of a class meet a negative logit in the recorded Proposed?"""
    run = facts.run("proposed")
    logits, scales = run.predictions("test").logits, run.best_scales(2).to_numpy()
    unscaled = logits / scales
    before, after = (
        softmax(unscaled, axis=1),
        np.stack(
            [
                softmax(np.where(np.arange(len(scales)) == k, logits, unscaled), axis=1)[:, k]
                for k in range(len(scales))
            ],
            axis=1,
        ),
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
        texts.append(
            f"{name} changes it by {found.estimate:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
        )
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
            f"{change.replace('-', ' ') or 'as published'}: mean {eces[0].mean():.4f} to {eces[1].mean():.4f}, "
            f"lower in "
            f"{lower[-1]} of {len(CLASSES)} classes"
        )
    return Outcome(
        REPRODUCED if min(lower) == len(CLASSES) else DIFFERS,
        f"Ours, Baseline to Proposed, {'; '.join(texts)}. One seed each; "
        "ACR alone and LLS alone would tell the two apart.",
    )
