"""Section 6: noise floor, number of bins, other measures, post-hoc methods, and the truth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from acrlls import calibration, paper
from acrlls.calibration import METHODS
from acrlls.data import batch, load_data
from acrlls.tables.recorded import probabilities, titles
from acrlls.tables.words import number, plural

ALPHA = 0.05
HEADINGS = {
    "published": "published",
    "observed": "ECE",
    "mean": "floor, mean",
    "q05": "floor, 5 %",
    "q95": "floor, 95 %",
    "p_above": "p, larger",
    "p_below": "p, smaller",
}
MEASURES = ["ece", "ece_quantile", "overconfidence", "underconfidence", "mce", "debiased_ece"]
SLOW = ("smooth_ece", "brier_reliability")  # fitted anew to every drawing of the labels


def floor_shown(table: pd.DataFrame, caption: str):
    """A table of :meth:`acrlls.calibration.NoiseFloor.table` under headings for a reader."""
    named = table[[c for c in HEADINGS if c in table]].rename(columns=HEADINGS)
    return paper.show(named, {"p, larger": 3, "p, smaller": 3}, caption)


def published_floor(bins: int, resamples: int) -> pd.DataFrame:
    """The published ECEs against a floor for their prevalence and Brier score, a row a class."""
    support = paper.table("III").loc[list(paper.CLASSES), "Support"]
    draws = calibration.matched_floor(
        support / support.sum(), paper.by_class("brier"), int(support.sum()), bins, resamples
    )
    return calibration.floor_table(draws, paper.by_class("ece"), paper.CLASSES)


def published_sentence(table: pd.DataFrame, bins: int) -> str:
    """Where the published ECEs lie against their floor (:func:`published_floor`)."""
    beneath = (table.observed < table["mean"]).sum()
    groups = {"Below its 2.5 % quantile": "p_below", "Above its 97.5 % quantile": "p_above"}
    text = f"With {bins} bins, {beneath} of {len(table)} published ECEs lie below this floor's mean"
    for where, p in groups.items():
        names = table.index[table[p] < ALPHA / 2]
        text += f". {where}: {', '.join(names)}" if len(names) else ""
    return text + "."


def larger(tables: dict) -> pd.DataFrame:
    """P-value of an error at least as large, a row a key of ``tables``, a column a class."""
    return pd.DataFrame({key: table["p_above"] for key, table in tables.items()}).T


def bins_sentence(p_values: pd.DataFrame) -> str:
    """For which columns of :func:`larger` the verdict does not depend on the number of bins."""
    small = p_values < ALPHA
    groups = {
        "Above the floor (p < 0.05) with every number of bins": small.all(),
        "With no number of bins": ~small.any(),
        "Depending on the number of bins": small.any() & ~small.all(),
    }
    return " ".join(f"{what}: {', '.join(g.index[g])}." for what, g in groups.items() if g.any())


def measures(p, labels, classes, bins: int, resamples: int) -> pd.DataFrame:
    """P-value of each measure of calibration, a row a measure, a column a class and the top label.

    The smooth error and the reliability of the Brier score get at most 200 drawings.
    """
    tables = {}
    for name in (*MEASURES, *SLOW):
        drawings = min(resamples, 200) if name in SLOW else resamples
        floor = calibration.noise_floor(p, labels, bins, drawings, metric=name)
        title = calibration.METRICS[name].title.removeprefix("Top-label ")
        tables[title[0].upper() + title[1:]] = floor.table(classes)
    return larger(tables)


def post_hoc(run) -> dict[str, np.ndarray]:
    """Test probabilities ``(n, classes)`` of a run as trained and after each post-hoc method."""
    ways = {"as trained": run.predictions("test").probabilities}
    return ways | {method.title: probabilities(run, name) for name, method in METHODS.items()}


def scores(p, labels, bins: int = 15, resamples: int = 1000) -> dict[str, float]:
    """Accuracy, NLL, Brier score, ECE with its noise floor and interval.

    ``ECE`` is the mean over the classes; ``low`` and ``high`` are the ends of the 95 % interval
    of the true one, above which the ECE itself may lie.
    """
    floor = calibration.noise_floor(p, labels, bins, resamples)
    true = calibration.ece_interval(p, labels, bins, of="mean", resamples=resamples)
    return {
        "accuracy": calibration.accuracy(p, labels),
        "NLL": calibration.nll(p, labels),
        "Brier score": calibration.brier_score(p, labels),
        "top-label ECE": floor.observed[-1],
        "ECE": floor.observed[:-1].mean(),
        "floor, mean": floor.mean.mean(),
        "floor, 95 %": np.quantile(floor.classwise.mean(axis=1), 0.95),
        "low": true.low,
        "high": true.high,
    }


def sides(runs, bins: int, resamples: int) -> pd.DataFrame:
    """Over- and underconfidence of the predicted class, each with the p-value of one as large; a
    row a run."""
    rows = {}
    for title, run in zip(titles(runs), runs, strict=True):
        row = rows.setdefault(title, {})
        test = run.predictions("test")
        for name in ("overconfidence", "underconfidence"):
            about = test.probabilities, test.labels, bins, resamples
            floor = calibration.noise_floor(*about, metric=name).table(test.class_names)
            row |= {(name, "observed"): floor.observed["Top label"]}
            row |= {(name, "p"): floor.p_above["Top label"]}
    return pd.DataFrame(rows).T


def near(runs, confidence: float = 0.97, bins: int = 50) -> pd.DataFrame:
    """Images whose predicted class got about this confidence, and the share that were right, with
    its Wilson interval; a row a run."""
    rows = {}
    for title, run in zip(titles(runs), runs, strict=True):
        test = run.predictions("test")
        about = test.probabilities, test.labels, bins
        top = calibration.prepare_reliability(*about, of="top_label", resamples=10)
        k = int(np.flatnonzero(top.edges[0] < confidence)[-1])
        arrays = top.count, top.confidence, top.frequency, top.low, top.high
        rows[title] = [array[0, k] for array in arrays]
    return pd.DataFrame(rows, ["images", "mean confidence", "right", "low", "high"]).T


def near_sentence(table: pd.DataFrame, confidence: float = 0.97) -> str:
    """Whether a confidence is to be believed, from :func:`near`."""
    if not table.images.any():
        return f"No image has a confidence of about {confidence}."
    believed = ((table.low <= confidence) & (confidence <= table.high)).sum()
    right = (table.right * table.images).sum() / table.images.sum()
    return (
        f"**Of {table.images.sum():,.0f} images with a confidence of about {confidence}, "
        f"{100 * right:.1f} % were classified rightly**, over {plural(len(table), 'run')}; in "
        f"{believed} of {len(table)} the interval holds {confidence}."
    )


def nll_changes(ways: dict, labels, resamples: int) -> pd.DataFrame:
    """Change of the NLL by each way of :func:`post_hoc`, with its 95 % paired interval."""
    first, *others = ways.values()
    rows = [calibration.bootstrap(q, labels, "nll", resamples, p2=first) for q in others]
    return pd.DataFrame(rows, index=list(ways)[1:], dtype=float)


def post_hoc_sentence(nll: pd.DataFrame, ways: dict, labels) -> str:
    """Which ways improve the NLL, and which gave a test image's class a probability of 0."""
    groups = {
        "improved": nll.high < 0,
        "worsened": nll.low > 0,
        "not clearly changed": (nll.low <= 0) & (nll.high >= 0),
    }
    names = {verb: ", ".join(f"*{way}*" for way in nll.index[g]) for verb, g in groups.items()}
    parts = [f"**{verb}** by {said}" for verb, said in names.items() if said]
    zeros = {way: (q[np.arange(len(labels)), labels] == 0).sum() for way, q in ways.items()}
    zero = ", ".join(f"*{way}* ({count})" for way, count in zeros.items() if count)
    return f"Judged by NLL, a proper score, the model is {'; '.join(parts)}." + (
        f" Test images whose class got a probability of exactly 0, which ruins the NLL: {zero}."
        if zero
        else ""
    )


def temperature_sentence(temperature: float, class_weights: bool) -> str:
    """What the fitted temperature says, and whether there are class weights to divide out."""
    side = "too confident" if temperature > 1 else "not confident enough"
    text = f"The fitted temperature is {temperature:.3f}: the model is {side} on validation images."
    plain = " It was trained without class weights, so prior correction changes nothing."
    return text + ("" if class_weights else plain)


def known_truth(run, config, fresh_images: int | None) -> dict[str, tuple]:
    """Probabilities and true probabilities ``(n, classes)`` of test and fresh images.

    Args:
        fresh_images: number of new phantoms; None takes half as many as the dataset has, 0 none.

    Returns:
        Nothing where the true probabilities are not known.
    """
    dataset, test = load_data(config), run.predictions("test")
    if dataset.eta is None:
        return {}
    places = pd.Series(range(len(dataset)), dataset.names)[test.names]
    known = {"test images": (test.probabilities, dataset.eta[places])}
    if n := len(dataset) // 2 if fresh_images is None else fresh_images:
        seed = config.phantom_seed + 1
        fresh = load_data(config.replace(phantom_images=n, phantom_seed=seed))
        model, parts = run.model(), np.array_split(np.arange(n), -(-n // 500))
        said = [np.asarray(model.predict(batch(fresh, k, config), verbose=0)) for k in parts]
        known["fresh images"] = (np.concatenate(said), fresh.eta)
    return known


def true_errors(q, eta, bins: int) -> list[float]:
    """True calibration error of each class and, last, of the top label."""
    top_label = calibration.true_calibration_error(q, eta, bins, of="top_label")
    return [*calibration.true_calibration_error(q, eta, bins), top_label]


def truth_table(floor, known: dict, classes, bins: int) -> pd.DataFrame:
    """ECE and noise floor from labels beside the true error, a row a class and the top label."""
    columns = {"ECE from labels": floor.observed}
    columns["floor, mean"] = [*floor.mean, floor.top_label.mean()]
    for source, (q, eta) in known.items():
        columns[f"true error, {len(q):,} {source}"] = true_errors(q, eta, bins)
    return pd.DataFrame(columns, index=[*classes, "Top label"])


def finding(table: pd.DataFrame, above: int, classes: int, title: str, seed: int) -> str:
    """The section's finding.

    Args:
        table: :func:`scores` of each way, a row a way.
        above: how many of the ``classes`` lie above their floor.
        title: of the network and its images.
    """
    ece = table["ECE"]
    best = ece.idxmin()
    return (
        f"{title} has a mean class-wise ECE of {number(ece['as trained'], 4)}, where perfect "
        f"calibration would show {number(table.loc['as trained', 'floor, mean'], 4)} on average; "
        f"{above} of {classes} classes lie above their noise floor (p < 0.05). The lowest, "
        f"{number(ece[best], 4)}, has the network {_way(best)}. One run, seed {seed}."
    )


def _way(title: str) -> str:
    return title if title == "as trained" else f"after {title}"
