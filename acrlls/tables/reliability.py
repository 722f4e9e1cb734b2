"""Section 6: noise floor, number of bins, other measures, post-hoc methods, and the truth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from acrlls import calibration, paper
from acrlls.calibration import METHODS
from acrlls.data import batch, load_data
from acrlls.tables import real

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
    return ways | {method.title: real.recalibrate(run, name) for name, method in METHODS.items()}


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


def finding(table: pd.DataFrame, above: int, classes: int, title: str) -> str:
    """The section's finding.

    Args:
        table: :func:`acrlls.tables.real.scores` of each way, a row a way.
        above: how many of the ``classes`` lie above their floor.
    """
    ece = table["ECE"]
    return (
        f"{title} has a mean class-wise ECE of {ece['as trained']:.4f}, where perfect calibration "
        f"would show {table.loc['as trained', 'floor, mean']:.4f} on average; {above} of {classes} "
        f"classes lie above their noise floor (p < 0.05). Prior correction, which estimates "
        f"nothing, leaves {ece['prior correction']:.4f}, temperature scaling "
        f"{ece['temperature']:.4f}. One seed."
    )
