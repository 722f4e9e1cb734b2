"""Section 5: Table III, the confusion matrix, and AUC, Brier score and ECE of each class."""

from __future__ import annotations

import numpy as np
import pandas as pd

from acrlls import calibration, paper
from acrlls.paper import confusion_bounds, confusion_margins

SCORES = ["Precision", "Recall", "F1"]


def score_intervals(p, labels, classes, resamples: int) -> pd.DataFrame:
    """95 % bootstrap intervals of precision, recall and F1, a row a class and score.

    Args:
        p: probabilities, ``(n, classes)``.
        labels: ``(n,)``.
        resamples: of the test images, within each class.

    Returns:
        ``estimate``, ``low``, ``high`` and ``published``, as ``figures.plot_intervals`` takes them.
    """
    table, rows = paper.table("III"), {}
    for name in SCORES:
        found = calibration.bootstrap(p, labels, f"classwise_{name.lower()}", resamples)
        for k, c in enumerate(classes):
            mark = table[name].get(c, np.nan)
            rows[f"{c}, {name}"] = (found.estimate[k], found.low[k], found.high[k], mark)
    columns = ["estimate", "low", "high", "published"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def called(counts, classes) -> pd.DataFrame:
    """How often each class was called for each of its images, published and ours.

    Args:
        counts: confusion matrix ``(classes, classes)``, a row a true class.
    """
    margins = confusion_margins()
    ours = pd.Series(np.sum(counts, axis=0) / np.sum(counts, axis=1), index=classes)
    return paper.beside(ours, margins.predicted / margins.support)


def commonest_mistake(counts, classes) -> str:
    """The commonest mistake here, and what Table III says of the published matrix."""
    wrong = np.array(counts) * (1 - np.eye(len(classes), dtype=int))
    true, said = np.unravel_index(wrong.argmax(), wrong.shape)
    ours = f"Our commonest mistake is {classes[true]} called {classes[said]}: "
    ours += f"{wrong.max()} of {wrong.sum()} mistakes."
    least = confusion_bounds().loc[("Lung Opacity", "Normal"), "low"]
    missed = confusion_margins().loc["Lung Opacity", "missed"]
    return (
        f"{ours if wrong.any() else 'Every test image is classified rightly.'} The paper prints no "
        f"confusion matrix, but the margins that Table III fixes imply that at least {least} of "
        f"the {missed} missed Lung Opacity images were called Normal."
    )


def by_class(p, labels, classes, bins: int, resamples: int) -> pd.DataFrame:
    """AUC, Brier score and ECE of each class against the rest, beside the published ones.

    Returns:
        Rows (class, measure); ``published``, ``ours``, ``difference``, and the ends ``low`` and
        ``high`` of the 95 % interval of ours: bootstrap, for the ECE
        :func:`acrlls.calibration.ece_interval`.
    """
    parts = {}
    for name in ("AUC", "Brier", "ECE"):
        metric = f"classwise_{name.lower()}"
        ours = calibration.METRICS[metric](p, labels, bins)
        if name == "ECE":
            found = calibration.ece_interval(p, labels, bins, resamples=resamples)
        else:
            found = calibration.bootstrap(p, labels, metric, resamples)
        table = paper.beside(pd.Series(ours, index=classes), paper.by_class(name.lower()))
        ends = pd.DataFrame({"low": found.low, "high": found.high}, index=classes)
        parts[name] = table.join(ends)
    rows = [(c, name) for c in parts["ECE"].index for name in parts]
    return pd.concat(parts).swaplevel().loc[rows]


def finding(report: pd.DataFrame, classes, title: str) -> str:
    """Accuracy, macro F1 and the class of the lowest recall, beside the paper's.

    Args:
        report: of :func:`acrlls.calibration.report`.
    """
    table, recall = paper.table("III"), report.loc[list(classes), "Recall"]
    hardest = recall.idxmin()
    theirs = f" (published: {table.Recall[hardest]:.3f})" if hardest in table.index else ""
    return (
        f"{title} classifies {100 * report.F1['Accuracy']:.1f} % of the test images rightly "
        f"(published: {100 * table.F1['Accuracy']:.1f} %), with a macro F1 of "
        f"{report.F1['Macro Avg']:.3f} ({table.F1['Macro Avg']:.3f}). The class with the lowest "
        f"recall is {hardest}, {recall.min():.3f}{theirs}. One seed."
    )
