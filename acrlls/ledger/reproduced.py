"""Checks of the paper by the recorded runs.

A published number was measured on a test set of its own, so it is compared with a *prediction
interval*: where a repetition on as many images as the paper tested would fall, were it another test
of our run.  That is the stratified bootstrap interval of our run, widened by
sqrt(1 + n_ours / n_published) [1].  It covers the choice of test images, not of the seed: how far
another seed moves a number is known for Phase 1 alone, from the recorded heads.

References:
    - [1] P. Patil, R. D. Peng, J. T. Leek, "What should researchers expect when they replicate
      studies?  A statistical view of replicability in psychological science", Perspectives on
      Psychological Science 11, 2016.
"""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
from scipy.special import log_softmax, softmax
from scipy.stats import t as student

from acrlls import calibration, runs
from acrlls.config import configure
from acrlls.ledger.facts import COMPATIBLE, DIFFERS, UNCHECKABLE, Facts, listed
from acrlls.paper import CLASSES

COLUMNS = ("Precision", "Recall", "F1")
METRICS = (*COLUMNS, "AUC", "Brier")
TAILS = (0.025, 0.975)


def setting(facts, claim, name: str, index: str = ""):
    """A choice of the authors: is it what the profile `paper` of this book does?"""
    ours = getattr(configure("paper"), name)
    if index:
        values = ours.split("..") if name == "input_range" else ours
        ours = float(values[int(index) - 1])
    if facts.numbers[claim.key].agrees(ours):
        text = "It is a choice and no result; the profile `paper` of this book makes the same."
        return UNCHECKABLE, text
    return DIFFERS, f"It is a choice; the profile `paper` of this book has {ours:g}."


# --- Numbers measured on the recorded runs -----------------------------------------------------


@functools.cache
def measured(facts: Facts, run: runs.Run, phase: int | None = None) -> pd.DataFrame:
    """Everything that is published of one model, for a recorded run.

    Returns:
        Rows such as ``"Recall COVID"``, ``"F1 Macro Avg"``, ``"ECE Normal"`` and ``"accuracy"``;
        columns ``estimate``, ``low`` and ``high``.  The interval is that of the stratified
        bootstrap, and for an ECE that of :func:`acrlls.calibration.ece_interval`, which is of the
        *true* error: the estimate may lie above it.
    """
    test, draws = run.predictions("test", phase), facts.resamples
    p, y = test.probabilities, test.labels
    share, rows = np.bincount(y, minlength=len(CLASSES)) / len(y), {}
    averages = {"Macro Avg": np.full(len(share), 1 / len(share)), "Weighted Avg": share}
    for what in METRICS:
        metric = calibration.METRICS[f"classwise_{what.lower()}"].function
        # Images are resampled within each class, so that averages are those of the draws.
        value, drawn = metric(p, y), calibration.replicates(metric, [p], y, draws, 0)
        ends = np.quantile(drawn, TAILS, axis=0)
        rows |= {f"{what} {c}": row for c, *row in zip(CLASSES, value, *ends, strict=True)}
        if what in COLUMNS:
            for group, weights in averages.items():
                ends = np.quantile(drawn @ weights, TAILS)
                rows[f"{what} {group}"] = [value @ weights, *ends]
    found = calibration.bootstrap(p, y, "accuracy", draws)
    rows["accuracy"] = [found.estimate, found.low, found.high]
    error = calibration.ece_interval(p, y, facts.bins, resamples=draws)
    columns = calibration.classwise_ece(p, y, facts.bins), error.low, error.high
    rows |= {f"ECE {c}": row for c, *row in zip(CLASSES, *columns, strict=True)}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["estimate", "low", "high"])


def repetition(row, own: int, theirs: float) -> tuple[float, float]:
    """Where a repetition on ``theirs`` images would fall, given a run's interval on ``own`` [1]."""
    wider = np.sqrt(1 + own / theirs)
    above = max(row.high - row.estimate, 0)
    return row.estimate - (row.estimate - row.low) * wider, row.estimate + above * wider


def _within(number, low: float, high: float) -> bool:
    return low - number.half_unit <= number.value <= high + number.half_unit


def measure(facts, claim, of: str, variant: str = "proposed", phase: int | None = None):
    """Has the recorded run this value?"""
    variant, number = variant.lower().replace(" ", "_"), facts.numbers[claim.key]
    run = facts.run(variant)
    found = measured(facts, run, phase)
    ece = found.estimate[[f"ECE {c}" for c in CLASSES]]
    of = {"ECE lowest": ece.idxmin(), "ECE highest": ece.idxmax()}.get(of, of)
    row, (kind, _, group) = found.loc[of], of.partition(" ")
    labels = run.predictions("test").labels
    own, theirs = len(labels), facts.test_images
    if kind == "Recall" and group in CLASSES:  # the noise of a recall is that of its class
        own = (labels == CLASSES.index(group)).sum()
        theirs = facts.value(f"table_III.{group}.Support")
    low, high = repetition(row, own, theirs)
    also, last, form = "", "", ".2%" if number.printed.endswith("%") else ".4f"
    if kind == "ECE":
        low, limit = max(low, 0.0), _floor(facts, run)[CLASSES.index(group)]
        last = f" Calibrated perfectly, ours would stay below {limit:.4f} in 95% of test sets."
    if phase:
        tests = [head.predictions("test", phase) for head in facts.heads]
        seeds = [(test.classes == test.labels).mean() for test in tests]
        last = f" Over {len(seeds)} seeds it is {min(seeds):.2%} to {max(seeds):.2%}."
    else:
        for change, other in facts.other_runs(variant).items():
            value = measured(facts, other).estimate[of]
            also += f"; with {change.replace('-', ' ')}, ours is {value:{form}}"
    text = f"Ours is {row.estimate:{form}}; a repetition would fall into "
    return _within(number, low, high), f"{text}{low:{form}} to {high:{form}}{also}.{last}"


@functools.cache
def _floor(facts: Facts, run: runs.Run) -> np.ndarray:
    """95 % quantile of the noise floor of a recorded run, by class."""
    p = run.predictions("test").probabilities
    drawn = calibration.noise_floor(p, bins=facts.bins, resamples=facts.resamples)
    return drawn.quantile(0.95)


def _difference(facts: Facts, first, second, labels) -> calibration.Interval:
    """Mean of ``first`` minus that of ``second``, known image by image, with its interval."""
    means = calibration.bootstrap_means(np.stack([first, second]), labels, facts.resamples)
    low, high = np.quantile(means[0] - means[1], TAILS)
    return calibration.Interval(float(np.mean(first) - np.mean(second)), low, high)


def measured_gain(facts, claim, over: str):
    """Is the gain in accuracy within the paired interval of the recorded runs?"""
    after = facts.run("proposed").predictions("test")
    variant, phase = {"Phase 1": ("proposed", 1), "Baseline": ("baseline", None)}[over]
    before = facts.run(variant).predictions("test", phase)
    right = [test.classes == test.labels for test in (after, before)]
    found = _difference(facts, *right, after.labels)
    low, high = repetition(found, len(after.labels), facts.test_images)
    text = f"Ours is {100 * found.estimate:+.2f} percentage points over {over}; a repetition would"
    text += f" fall into {100 * low:+.2f} to {100 * high:+.2f}."
    return _within(facts.numbers[claim.key], low, high), text


def auc_bound(facts, claim):
    """Has the recorded Proposed every AUC above the bound?"""
    auc = measured(facts, facts.run("proposed")).estimate[[f"AUC {c}" for c in CLASSES]]
    text = f"Ours are {listed(dict(zip(CLASSES, auc, strict=True)), '.4f')}."
    return auc.min() > facts.value("auc.above"), text


def measured_reduction(facts, claim):
    """Is the ECE of the recorded Proposed below that of the recorded Baseline by as much?"""
    pair = [facts.run(variant) for variant in ("baseline", "proposed")]
    base, own = (measured(facts, run).loc[f"ECE {claim.row}"] for run in pair)
    ratio = own.estimate / base.estimate
    # Relative errors of a ratio, taken as independent, from the widths of the intervals.
    relative = np.hypot(*((r.high - r.low) / (2 * 1.96 * r.estimate) for r in (base, own)))
    n = len(pair[1].predictions("test").labels)
    wider = 1.96 * relative * np.sqrt(1 + n / facts.test_images)
    low, high = 1 - ratio * np.exp(wider), 1 - ratio * np.exp(-wider)
    word = "rises" if ratio > 1 else "falls"
    text = f"Ours {word} from {base.estimate:.4f} to {own.estimate:.4f}, by {abs(1 - ratio):.0%}; "
    text += f"the reduction in a repetition would fall into {low:.0%} to {high:.0%}."
    return _within(facts.numbers[claim.key], low, high), text


def scale(facts, claim, name: str, phase: str):
    """Is the scale within the spread over our seeds?"""
    heads = [run.best_scales(1)[name] for run in facts.heads]
    k = len(heads)
    reach = student.ppf(0.975, k - 1) * np.std(heads, ddof=1) * np.sqrt(1 + 1 / k)
    middle, which = np.mean(heads), f"the mean of {k} seeds after Phase 1"
    if phase == "Phase 2":
        middle = facts.run("proposed").best_scales(2)[name]
        which = "from one seed after Phase 2, with the spread of Phase 1"
    low, high = middle - reach, middle + reach
    text = f"Ours is {middle:.4f}, {which}; another seed would fall into {low:.4f} to {high:.4f}."
    inside = _within(facts.numbers[claim.key], low, high)
    if inside and low <= 1 <= high:
        text += " That interval holds 1, the scale that changes nothing, so it confirms no"
        return COMPATIBLE, f"{text} direction."
    return inside, text


# --- Statements --------------------------------------------------------------------------------


def _confusion(facts: Facts) -> pd.DataFrame:
    test = facts.run("proposed").predictions("test")
    counts = calibration.confusion(test.probabilities, test.labels)
    return pd.DataFrame(counts, CLASSES, CLASSES)


def mostly_as_normal(facts, claim):
    """Does the recorded Proposed call most missed Lung Opacities Normal?"""
    row = _confusion(facts).loc["Lung Opacity"].drop("Lung Opacity")
    each = ", ".join(f"{k} as {c}" for c, k in row.items())
    text = f"Ours calls the {row.sum()} missed images {each}."
    return row["Normal"] > row.sum() / 2, text


def viral_as_covid(facts, claim):
    """Does the recorded Proposed call as many Viral Pneumonias COVID as the paper says?"""
    row = _confusion(facts).loc["Viral Pneumonia"]
    text = f"Ours calls {row['COVID']} of {row.sum()} Viral Pneumonias COVID."
    return row["COVID"] == facts.value("errors.viral_as_covid"), text


def negative_logits(facts, claim):
    """How often does the scale of a class meet a negative logit in the recorded Proposed?"""
    run = facts.run("proposed")
    logits, scales = run.predictions("test").logits, run.best_scales(2).to_numpy()
    unscaled = logits / scales
    before, own = softmax(unscaled, axis=1), np.eye(len(scales), dtype=bool)
    after = [softmax(np.where(k, logits, unscaled), axis=1)[:, k][:, 0] for k in own]
    down = scales < 1
    raised = (np.stack(after, axis=1) > before)[:, down].mean()
    names = ", ".join(np.array(CLASSES)[down])
    text = f"In ours, scales below one ({names}) raise the probability of their class in"
    return raised == 0, f"{text} {raised:.0%} of cases."


def posthoc(facts, claim):
    """Does adjusting the recorded Proposed after training still lower its NLL?"""
    run = facts.run("proposed")
    test, held_out = run.predictions("test"), run.predictions("validation")
    methods = {
        "prior correction": calibration.PriorCorrection(runs.training_weights(run)),
        "temperature": calibration.TemperatureScaling().fit(held_out.logits, held_out.labels),
        "vector scaling": calibration.VectorScaling().fit(held_out.logits, held_out.labels),
    }
    texts, better, rows = [], False, np.arange(len(test.labels))
    for name, method in methods.items():
        both = (method.transform(test.logits), test.logits)
        losses = [-log_softmax(z, axis=1)[rows, test.labels] for z in both]
        found = _difference(facts, *losses, test.labels)
        better |= found.high < 0
        interval = f"{found.low:+.4f} to {found.high:+.4f}"
        texts.append(f"{name} changes it by {found.estimate:+.4f} ({interval})")
    text = f"The negative log-likelihood of ours on the test images: {'; '.join(texts)}."
    return not better, text


def lower_ece(facts, claim):
    """Is the ECE of the recorded Proposed below the Baseline's in every class, in every record?"""
    texts, lower = [], []
    for change, pair in facts.pairs("baseline").items():
        tests = [run.predictions("test") for run in pair]
        base, own = (
            calibration.classwise_ece(t.probabilities, t.labels, facts.bins) for t in tests
        )
        lower.append(int((own < base).sum()))
        means = f"the mean goes from {base.mean():.4f} to {own.mean():.4f}"
        texts.append(f"{change}, {means}, and {lower[-1]} of {len(CLASSES)} classes are lower")
    text = f"Ours, from Baseline to Proposed: {'; '.join(texts)}. There is one seed of each; only "
    text += "ACR alone and LLS alone would tell the two apart."
    return min(lower) == len(CLASSES), text
