"""Is it more than noise? The simulations are those of ``chance``.

What the paper leaves open, the kind and number of its bins and the shape of its scores, is a
*reading*; there are 24. The evidence counts those under which a value is more than noise. Holm's
correction runs over all classes and models, both tails, within each reading."""

from functools import cache

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from acrlls import paper
from acrlls.calibration import holm, noise_floor
from acrlls.ledger import chance
from acrlls.ledger import verdicts as V
from acrlls.ledger.chance import BINNINGS
from acrlls.ledger.facts import Facts, how_many, listed, one_a_seed
from acrlls.ledger.follows import sentence, value
from acrlls.paper import CLASSES, MODELS
from acrlls.tables.recorded import mix_weights
from acrlls.tables.seeds import spread

LEVEL = 0.05
PAIRS = (("Baseline", "Proposed"), ("Single Dense", "Proposed"), ("Single Dense", "Baseline"))
READING = ["shape", "kind", "bins"]
SEEDS = "The spread between seeds, which is not published, comes on top."


@cache
def simulated(facts: Facts) -> dict[tuple[str, str], np.ndarray]:
    """ECE of perfectly calibrated models by (class, shape), each ``(models, draws, binnings)``.
    Scores have the published prevalence and Brier score of the class, and those of two models are
    as alike as those of a recorded Baseline and Proposed."""
    a, b = (run.predictions("test") for run in facts.runs_of("Baseline", "Proposed")[0])
    n, found = facts.test_images, {}
    for k, c in enumerate(CLASSES):
        share = facts.value(f"table_III.{c}.Support") / n
        brier, auc = facts.value(f"brier.{c}"), facts.value(f"auc.{c}")
        errors = facts.margins.loc[c, ["missed", "false_alarms"]].sum()
        shapes = {
            "Beta": chance.beta_shape(share, brier),
            "two groups": chance.two_group_shape(share, brier, auc, errors, n),
        }
        scores = a.probabilities[:, k], b.probabilities[:, k]
        alike = chance.score_correlations(*scores, a.labels == k)
        every = chance.simulate(shapes, alike, n, facts.resamples, [facts.seed, k])
        found |= {(c, name): errors for name, errors in every.items()}
    return found


@cache
def floors(facts: Facts) -> dict[tuple[str, str], np.ndarray]:
    """ECE under perfect calibration by (class or ``"sum"``, shape), ``(draws, binnings)``. The
    classes hang together, as an image of one is not of another. How much is not published, so for
    their sum draws are put together in the order of those of a recorded Proposed [Clark 2004]."""
    found = {key: np.concatenate(errors) for key, errors in simulated(facts).items()}
    p = facts.runs_of("Proposed")[0][0].predictions("test").probabilities
    draws = len(next(iter(found.values())))
    ours = noise_floor(p, bins=15, resamples=draws, seed=facts.seed).classwise
    order = rankdata(ours, method="ordinal", axis=0) - 1
    for shape in dict.fromkeys(shape for _, shape in found):
        each = [np.sort(found[c, shape], axis=0)[order[:, k]] for k, c in enumerate(CLASSES)]
        found["sum", shape] = np.sum(each, axis=0)
    return found


@cache
def ece_tests(facts: Facts) -> pd.DataFrame:
    """Every published ECE, and the sum of each model's, against what perfect calibration shows.

    Rows (model, class or ``"sum"``, shape, kind, bins); columns ``published``, ``floor`` (mean),
    ``low`` and ``high`` (5 and 95 % quantile), and ``below`` and ``above``, the p-values of being
    as low and as high; those of the classes are adjusted by Holm within (shape, kind, bins)."""
    rows, ece = [], paper.table("V", facts.numbers).assign(sum=lambda table: table.sum(axis=1))
    for (c, shape), draws in floors(facts).items():
        for binning, floor in zip(BINNINGS, draws.T, strict=True):
            told = [floor.mean(), *np.quantile(floor, [0.05, 0.95])]
            for m in MODELS:
                p = chance.tails(floor, ece.loc[m, c])
                rows.append([m, c, shape, *binning, ece.loc[m, c], *told, *p])
    names = ["model", "class", *READING]
    columns = [*names, "published", "floor", "low", "high", "below", "above"]
    table = pd.DataFrame(rows, columns=columns).set_index(names)
    for _, group in table.drop("sum", level="class").groupby(READING):
        adjusted = holm([*group.below, *group.above])
        table.loc[group.index, ["below", "above"]] = np.reshape(adjusted, (2, -1)).T
    return table.sort_index()


@cache
def gap_tests(facts: Facts) -> pd.Series:
    """P-values, two-sided, of every published difference in ECE of two models against that of two
    calibrated ones, by (first, second, class, shape, kind, bins), adjusted by Holm within (shape,
    kind, bins)."""
    rows, ece = {}, paper.table("V", facts.numbers)
    first, second = np.triu_indices(chance.ALIKE, 1)
    for (c, shape), errors in simulated(facts).items():
        draws = np.concatenate(errors[first] - errors[second])  # of two calibrated models
        for binning, null in zip(BINNINGS, draws.T, strict=True):
            for a, b in PAIRS:
                gap = abs(ece.loc[a, c] - ece.loc[b, c])
                rows[a, b, c, shape, *binning] = chance.tails(np.abs(null), gap)[1]
    table = pd.Series(rows).rename_axis(["first", "second", "class", *READING])
    return table.groupby(READING).transform(holm).sort_index()


def stand_out(facts: Facts) -> pd.Series:
    """Where a p-value of :func:`gap_tests` lies below the level by more than two standard errors of
    the simulation, so that another seed would not turn what is said of it."""
    p = gap_tests(facts)
    # Holm multiplies p by up to 12; pairs of ALIKE models are worth about as many draws as models
    tests, draws = len(PAIRS) * len(CLASSES), chance.ALIKE * facts.resamples
    return p + 2 * np.sqrt(tests * p / draws) < LEVEL


# --- Checks ------------------------------------------------------------------------------------


def verdict_of_readings(below: int, above: int, readings: int) -> str:
    """The verdict on a value that is lower and higher than noise in so many readings."""
    if max(below, above) == readings:
        return V.LOWER if below else V.STANDS_OUT
    return V.DEPENDS if below or above else V.NOISE


def ece_noise(facts, claim, model: str, name: str = "sum"):
    """Is this ECE above, within or below what perfect calibration would show?

    ``name`` is a class, ``"sum"`` of all, or the class with the ``"lowest"`` or ``"highest"`` ECE.
    """
    if name in ("lowest", "highest"):
        values = paper.table("V", facts.numbers).loc[model]
        name = values.idxmin() if name == "lowest" else values.idxmax()
    rows = ece_tests(facts).loc[(model, name)]
    below, above = ((rows[tail] < LEVEL).sum() for tail in ("below", "above"))
    kinds = [
        f"{k} of {len(part)} with bins of equal {'width' if kind == 'uniform' else 'mass'}"
        for kind, part in rows.groupby("kind")
        if (k := (part.below < LEVEL).sum())
    ]
    where = f" ({' and '.join(kinds)})" if below else ""
    own = rows.loc["Beta", "uniform", 15]
    what = "The four ECEs sum to" if name == "sum" else f"The ECE of {name} is"
    return verdict_of_readings(below, above, len(rows)), (
        f"{what} {own.published:.4f} for {model}, lower than sampling noise explains in {below} of "
        f"{len(rows)} readings{where} and higher in {above}. Perfect calibration would show "
        f"{rows.floor.min():.4f} to {rows.floor.max():.4f} on average, depending on the reading. "
        "With 15 bins of equal width and scores of a Beta distribution, p "
        f"{'is' if name == 'sum' else 'after Holm is'} {own.below:.4f} for a value as low and "
        f"{own.above:.4f} for one as high."
    )


def gap_noise(facts, claim, pairs: list, names: list = CLASSES, needs: str = "all"):
    """Would two calibrated models differ by as much on the same images?"""
    if names == "largest":
        names = [max(CLASSES, key=lambda c: facts.value(f"ece_reduction.{c}"))]
    table, out, texts = stand_out(facts), [], []
    for a, b in pairs:
        counts = {c: table.loc[(a, b, c)].sum() for c in names}
        readings = table.loc[(a, b, names[0])].size
        out += counts.values()
        texts.append(
            f"{a} minus {b} stands out in so many of {readings} readings: {listed(counts)}"
        )
    found = verdict_of_readings(0, min(out) if needs == "all" else max(out), readings)
    return found, f"{'; '.join(texts)}. {SEEDS}"


def accuracy_curve(facts: Facts, before: str) -> tuple[pd.Series, dict[str, int]]:
    """McNemar's p by the unpublished disagreement of Proposed with the model of the accuracy
    ``before``, and by run the disagreement of the recorded pairs in the paper's class mix, scaled
    to the paper's mistakes."""
    wrong = [facts.test_images - facts.correct(key) for key in (before, "accuracy.proposed")]
    curve, ours = chance.mcnemar_curve(*wrong), {}
    model, phase = ("Proposed", 1) if before == "accuracy.phase1" else ("Baseline", None)
    for first, second in facts.runs_of(model, "Proposed"):
        tests = [first.predictions("test", phase), second.predictions("test")]
        a, b = (test.classes != test.labels for test in tests)
        weights = mix_weights(second, "paper")
        target = weights @ (a != b) / (weights @ a + weights @ b) * sum(wrong)
        ours[first.folder.parent.name] = int(min(curve.index, key=lambda k: abs(k - target)))
    return curve, ours


def accuracy_noise(facts, claim, before: str):
    """Would two equally good models differ by as many images?"""
    curve, ours = accuracy_curve(facts, before)
    p = curve[list(ours.values())]
    model = "Proposed" if before == "accuracy.phase1" else "Baseline"
    said = f"{p.min():.2g} to {p.max():.2g}" if p.max() >= 1e-4 else "below 0.0001"
    return (p < LEVEL).all(), (
        f"The gain is {curve.index.min()} images. If the two models disagree on as many images as "
        f"ours in the paper's class mix, {min(ours.values())} to {max(ours.values())} of "
        f"{facts.test_images:,}, McNemar's p "
        f"is {said} ({how_many(facts.runs_of(model, 'Proposed'))}). {SEEDS}"
    )


def exceeds_seeds(facts, claim, of: str, changes: list, says: str):
    """Is the change larger than two seeds differ in 95 % of cases?"""
    if of == "loss":
        runs, what = facts.heads, "two seeds of ours after Phase 1 differ"
        reach = spread([[run.best_epoch(1).val_loss] * len(changes) for (run,) in runs])
    else:
        runs, what = one_a_seed(facts.runs_of("Proposed")), "such a change of ours varies"
        names = list(CLASSES)
        moved = [run.best_scales(2)[names] - run.best_scales(1)[names] for (run,) in runs]
        reach = spread(moved) / np.sqrt(2)  # of one run, not of the difference of two
    found = np.array([value(facts, change) for change in changes])
    change, limit = ", ".join(f"{x:+.4f}" for x in found), ", ".join(f"{r:.4f}" for r in reach)
    larger = np.abs(found) > reach
    counted = f"; {larger.sum()} of {len(larger)} changes are larger" if len(larger) > 1 else ""
    return larger.all(), (
        f"{sentence(facts, says)} {change}; {what} by up to {limit} in 95 % of cases "
        f"({how_many(runs)}){counted}."
    )


CHECKS = (ece_noise, gap_noise, accuracy_noise, exceeds_seeds)
