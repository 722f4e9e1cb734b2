"""Section 9: recorded runs on the real images, beside the paper and the phantom.

Every table needs logits alone, so it takes recorded runs as well as kept ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product

import numpy as np
import pandas as pd

from acrlls import VARIANTS, calibration, paper
from acrlls.calibration import METHODS, mcnemar
from acrlls.runs import training_weights

SHOWN = ["accuracy", "NLL", "ECE", "floor, 95 %", "low", "high"]


def titled(every: Mapping) -> tuple[dict, dict]:
    """Records by title: those with both phases, and those of Phase 1 alone."""
    both, heads = {}, {}
    for (change, variant), run in every.items():
        title = ", ".join(filter(None, [VARIANTS[variant].title, change.replace("-", " ")]))
        (both if run.config.phase2_epochs else heads)[title] = run
    return both, heads


def signed(estimate: float, low: float, high: float, digits: int = 4) -> str:
    """A difference with its interval: ``+0.015 (+0.000 to +0.032)``."""
    text = f"{estimate:+z.{digits}f} ({low:+z.{digits}f} to {high:+z.{digits}f})"
    return text.replace("-", "−")


def recalibrate(run, method: str) -> np.ndarray:
    """Test probabilities ``(n, classes)`` after one of ``METHODS`` fitted on validation images."""
    fitted = METHODS[method].make(training_weights(run)).fit(run.predictions("validation"))
    return fitted.predict_proba(run.predictions("test"))


def published() -> pd.Series:
    """The paper's numbers for Proposed: index (quantity, class), ``""`` for all classes."""
    columns = {
        "images": paper.by_class("images"),
        "test images": paper.table("III").Support,
        "AUC": paper.by_class("auc"),
        "Brier score": paper.by_class("brier"),
        "class-wise ECE": paper.by_class("ece"),
    }
    columns |= {f"LLS scale, {name}": column for name, column in paper.table("II").items()}
    overall = {
        ("accuracy, Phase 1", ""): paper.NUMBERS["accuracy.phase1"].value,
        ("accuracy, Phase 2", ""): paper.NUMBERS["accuracy.proposed"].value,
        ("macro F1", ""): paper.table("IV").loc["Proposed", "F1"],
    }
    by_class = pd.DataFrame(columns).loc[list(paper.CLASSES)].unstack()
    return pd.concat([by_class, pd.Series(overall)]).rename_axis(["", "class"])


def summary(run, bins: int = 15) -> pd.Series:
    """What the paper publishes, for one run, indexed like :func:`published`."""
    test, first = run.predictions("test"), run.predictions("test", 1)
    p, y, names = test.probabilities, test.labels, list(run.class_names)
    columns = {
        "images": run.manifest["class_counts"],
        "test images": np.bincount(y, minlength=len(names)),
        "AUC": calibration.classwise_auc(p, y),
        "Brier score": calibration.classwise_brier(p, y),
        "class-wise ECE": calibration.classwise_ece(p, y, bins),
    }
    for phase in (1, 2) if len(run.scales) else ():
        columns[f"LLS scale, Phase {phase}"] = run.best_scales(phase)
    overall = {
        ("accuracy, Phase 1", ""): (first.classes == first.labels).mean(),
        ("accuracy, Phase 2", ""): calibration.accuracy(p, y),
        ("macro F1", ""): calibration.f1(p, y),
    }
    return pd.concat([pd.DataFrame(columns, names).unstack(), pd.Series(overall)])


def scores(p, labels, bins: int = 15, resamples: int = 1000) -> dict[str, float]:
    """Accuracy, NLL, Brier score, ECE with its noise floor and interval.

    ``ECE`` is the mean over the classes; ``low`` and ``high`` are the ends of the 95 % interval
    of the true one, above which the ECE itself may lie.
    """
    floor = calibration.noise_floor(p, labels, bins, resamples)
    true = calibration.ece_interval(p, labels, bins, of="mean", resamples=resamples)
    return {
        "accuracy": calibration.accuracy(p, labels),
        "macro F1": calibration.f1(p, labels),
        "NLL": calibration.nll(p, labels),
        "Brier": calibration.brier_score(p, labels),
        "top-label ECE": floor.observed[-1],
        "ECE": floor.observed[:-1].mean(),
        "floor, mean": floor.mean.mean(),
        "floor, 95 %": np.quantile(floor.classwise.mean(axis=1), 0.95),
        "low": true.low,
        "high": true.high,
    }


def calibration_table(runs: Mapping, bins: int = 15, resamples: int = 1000) -> pd.DataFrame:
    """:func:`scores` of each run as trained and, if it had class weights, prior corrected."""
    rows = {}
    for title, run in runs.items():
        p, labels = _test(run)
        rows[title, "as trained"] = scores(p, labels, bins, resamples)
        if run.config.class_weights:
            p = recalibrate(run, "prior")
            rows[title, "prior corrected"] = scores(p, labels, bins, resamples)
    return pd.DataFrame(rows).T


def over_seeds(
    runs: Iterable, bins: int = 15, resamples: int = 200, by=("variant", "class_weights")
) -> pd.DataFrame:
    """Mean and standard deviation over seeds of :func:`calibration_table`.

    Rows are (values of ``by``, way); columns ``("seeds", "")`` and (quantity, mean or sd).

    Raises:
        ValueError: two runs of one seed differ in nothing that is among ``by``.
    """
    members = {}
    for run in runs:
        key = *(_setting(run.config, name) for name in by), run.config.seed
        if key in members:
            raise ValueError(f"two runs have {dict(zip((*by, 'seed'), key, strict=True))}")
        members[key] = run
    table = calibration_table(members, bins, resamples)
    table.index = pd.MultiIndex.from_tuples([(*key, way) for key, way in table.index])
    groups = table.groupby(level=[*range(len(by)), len(by) + 1], sort=False)
    spread = groups.agg(["mean", "std"]).rename(columns={"std": "sd"})
    spread.insert(0, ("seeds", ""), groups.size())
    return spread.rename_axis([*(name.replace("_", " ") for name in by), ""])


def _setting(config, name: str) -> str:
    value = getattr(config, name)
    if name == "variant":
        return VARIANTS[value].title
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "one an epoch" if value is None else str(value)


def paired(first, second, resamples: int = 1000, bins: int = 15) -> pd.DataFrame:
    """Run ``second`` minus run ``first``, as in :func:`paired_scores`.

    Raises:
        ValueError: the runs were tested on different images.
    """
    a, b = first.predictions("test"), second.predictions("test")
    if not np.array_equal(a.names, b.names):
        raise ValueError("the runs were tested on different images")
    return paired_scores(a.probabilities, b.probabilities, a.labels, resamples, bins)


def paired_scores(first, second, labels, resamples: int = 1000, bins: int = 15) -> pd.DataFrame:
    """Probabilities ``second`` minus ``first``, each ``(n, classes)``, with 95 % paired intervals.

    Returns:
        Rows accuracy, NLL, Brier and miscalibration, the part of the Brier score that the bins
        see as such (:func:`acrlls.calibration.calibration_difference`); columns ``estimate``,
        ``low``, ``high``, and ``McNemar p`` of the accuracy.
    """
    found = {"accuracy": "accuracy", "NLL": "nll", "Brier": "brier"}
    for title, metric in found.items():
        found[title] = calibration.bootstrap(second, labels, metric, resamples, p2=first)
    found["miscalibration"] = calibration.calibration_difference(
        second, labels, first, bins, resamples=resamples
    )
    table = pd.DataFrame({k: [v.estimate, v.low, v.high] for k, v in found.items()}).T
    before, now = (p.argmax(axis=1) == labels for p in (first, second))
    p_value = mcnemar(int((now & ~before).sum()), int((now != before).sum()))
    table["McNemar p"] = [p_value, np.nan, np.nan, np.nan]
    return table.set_axis(["estimate", "low", "high", "McNemar p"], axis=1)


def pairs(every: Mapping, bins: int, resamples: int) -> dict[str, pd.DataFrame]:
    """Proposed minus Baseline for every setting under which both went through both phases."""
    found = {}
    for change in sorted({change for change, _ in every}):
        both = [every.get((change, v)) for v in ("baseline", "proposed")]
        if all(run and run.config.phase2_epochs for run in both):
            found[change.replace("-", " ") or "as published"] = paired(*both, resamples, bins)
    return found


def pairs_sentence(pairs: Mapping[str, pd.DataFrame], calibrated: pd.DataFrame) -> str:
    """In which :func:`pairs` Proposed differs beyond sampling noise, and the run of lowest NLL."""
    parts = []
    for row, sign, what in (("accuracy", 1, "accuracy"), ("miscalibration", -1, "calibration")):
        groups = {"better": [], "worse": [], "not clearly different": []}
        for name, table in pairs.items():
            low, high = sorted(sign * table.loc[row, ["low", "high"]])
            word = "better" if low > 0 else "worse" if high < 0 else "not clearly different"
            groups[word].append(f"*{name}*")
        said = [f"{word} in {', '.join(names)}" for word, names in groups.items() if names]
        parts.append(f"By {what}, Proposed is {'; '.join(said)}.")
    trained = calibrated.xs("as trained", level=1)
    row = trained.loc[best := trained.NLL.idxmin()]
    return " ".join(parts) + (
        f" As trained, *{best}* has the lowest NLL, {row.NLL:.4f}, with an accuracy of "
        f"{row.accuracy:.4f} and a mean class-wise ECE of {row.ECE:.4f}. One seed each."
    )


def sides(runs: Mapping, bins: int, resamples: int) -> pd.DataFrame:
    """Over- and underconfidence of the predicted class, each with the p-value of one as large."""
    rows = {title: {} for title in runs}
    for (title, run), name in product(runs.items(), ("overconfidence", "underconfidence")):
        floor = calibration.noise_floor(*_test(run), bins, resamples, metric=name)
        row = floor.table(run.class_names).loc["Top label"]
        rows[title] |= {(name, "observed"): row.observed, (name, "p"): row.p_above}
    return pd.DataFrame(rows).T


def sides_sentence(table: pd.DataFrame) -> str:
    """Which runs are shown to be too confident, and which not confident enough (p < 0.05)."""
    said = {"overconfidence": "Too confident", "underconfidence": "Not confident enough"}
    groups = {word: list(table.index[table[name, "p"] < 0.05]) for name, word in said.items()}
    parts = [f"{word} (p < 0.05): {'; '.join(g)}." for word, g in groups.items() if g]
    return " ".join(parts) or "No run is shown to err on either side."


def near(runs: Mapping, confidence: float = 0.97, bins: int = 50) -> pd.DataFrame:
    """Images whose predicted class got about this confidence, and the share that were right."""
    rows = {}
    for title, run in runs.items():
        top = calibration.prepare_reliability(*_test(run), bins, of="top_label", resamples=10)
        k = int(np.flatnonzero(top.edges[0] < confidence)[-1])
        arrays = top.count, top.confidence, top.frequency, top.low, top.high
        rows[title] = [array[0, k] for array in arrays]
    return pd.DataFrame(rows, ["images", "mean confidence", "right", "low", "high"]).T


def _test(run):
    test = run.predictions("test")
    return test.probabilities, test.labels


def finding(calibrated: pd.DataFrame, pair: pd.DataFrame, images: int) -> str:
    """The section's finding: Proposed and Baseline as published, on the real images."""
    rows = {way: calibrated.xs(way, level=1) for way in ("as trained", "prior corrected")}
    base, ours = (rows["as trained"].loc[name] for name in ("Baseline", "Proposed"))
    after = rows["prior corrected"]["ECE"]
    accuracy = pair.loc["accuracy"]
    return (
        f"On {images:,} real images Proposed has a mean class-wise ECE of {ours.ECE:.4f}, "
        f"{'above' if ours.ECE > base.ECE else 'below'} Baseline's {base.ECE:.4f}; perfect "
        f"calibration would stay below {max(ours['floor, 95 %'], base['floor, 95 %']):.4f} in "
        f"95 % of test sets. After prior correction they have {after['Proposed']:.4f} and "
        f"{after['Baseline']:.4f}. Proposed's accuracy is {ours.accuracy:.4f}, and its difference "
        f"from Baseline's is {signed(accuracy.estimate, accuracy.low, accuracy.high)}, McNemar's "
        f"p = {accuracy['McNemar p']:.2f}. One seed."
    )


def seeds_sentence(table: pd.DataFrame) -> str:
    """ECE after Phase 1 over seeds: class weights, prior correction, no class weights."""
    ways = ("yes", "as trained"), ("yes", "prior corrected"), ("no", "as trained")
    ece = [[table["ECE", "mean"][v, *way] for v in ("Baseline", "Proposed")] for way in ways]
    said = [f"{base:.4f} for Baseline and {ours:.4f} for Proposed" for base, ours in ece]
    return (
        f"After Phase 1, over {table['seeds', ''].min()} seeds, the mean class-wise ECE with class "
        f"weights is {said[0]}; with the weights divided out, {said[1]}; trained without them, "
        f"{said[2]}. The standard deviation over seeds is at most {table['ECE', 'sd'].max():.4f}."
    )


def grid_sentence(grid: pd.DataFrame | None) -> str:
    """Rank of the published pair in a recorded grid, a table of :func:`acrlls.tune`."""
    if grid is None:
        return "No grid is recorded; `acrlls reproduce --profile laptop --tune` records one."
    alpha, tau = paper.table("I").loc[1, ["alpha", "tau"]]
    place = np.flatnonzero((grid.alpha == alpha) & (grid.tau == tau))
    rank = f"has rank {place[0] + 1} of {len(grid)}" if len(place) else "is not in the grid"
    return (
        f"The pair that the paper chose, α {alpha:.2f} and τ {tau:.2f}, {rank} on the real images; "
        f"the best is α {grid.alpha[0]:.2f}, τ {grid.tau[0]:.2f}. The losses spread over "
        f"{grid.val_loss.max() - grid.val_loss.min():.3f}. One seed."
    )
