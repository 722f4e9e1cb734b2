"""Section 5: Table III, the confusion matrix, and AUC, Brier score and ECE of each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from acrlls import paper
from acrlls.paper import CLASSES, confusion_bounds, confusion_margins
from acrlls.runs import Run
from acrlls.tables import beside
from acrlls.tables.words import number, percent, plural

OVERALL = [("All", "Accuracy"), ("All", "Macro F1")]


def table_3(runs: Sequence[Run], p, labels, classes, title: str, resamples: int) -> pd.DataFrame:
    """Table III in the columns of :mod:`acrlls.tables.beside`, a row a class and score.

    Args:
        runs: on the real images.
        p, labels: of this build, ``(n, classes)`` and ``(n,)``.
        title: heading of this build's column.
    """
    table = paper.table("III")
    published = table.loc[list(CLASSES), list(beside.SCORES)].to_numpy().ravel()
    overall = table.F1["Accuracy"], table.F1["Macro Avg"]
    index = [*beside.by_class(CLASSES, beside.SCORES), *OVERALL]
    published = pd.Series([*published, *overall], _index(index))
    ours = beside.table_3(p, labels, np.ones(len(labels)))
    ours = pd.Series(ours, _index([*beside.by_class(classes, beside.SCORES), *OVERALL]))
    return beside.columns(
        published, beside.table_3, runs, ours, title, classes, resamples=resamples
    )


def by_class(runs: Sequence[Run], p, labels, classes, title: str, resamples: int) -> pd.DataFrame:
    """AUC, Brier score and ECE of each class against the rest, as in :func:`table_3`."""
    names = ["AUC", "Brier score", "ECE"]
    published = pd.DataFrame({n: paper.by_class(n.split()[0].lower()) for n in names})
    published = published.loc[list(CLASSES)].to_numpy().ravel()
    published = pd.Series(published, _index(beside.by_class(CLASSES, names)))
    ours = beside.one_against_rest(p, labels, np.ones(len(labels)))
    ours = pd.Series(ours, _index(beside.by_class(classes, names)))
    return beside.columns(
        published, beside.one_against_rest, runs, ours, title, classes, resamples=resamples
    )


def _index(pairs) -> pd.MultiIndex:
    return pd.MultiIndex.from_tuples(pairs, names=["class", ""])


def called(counts, classes) -> pd.Series:
    """How often each class was called for each of its images.

    Args:
        counts: confusion matrix ``(classes, classes)``, a row a true class.
    """
    return pd.Series(np.sum(counts, axis=0) / np.sum(counts, axis=1), index=classes)


def called_beside(real, ours, classes, title: str) -> pd.DataFrame:
    """:func:`called` as published, on the real images and in this build."""
    margins = confusion_margins()
    columns = {"published": margins.predicted / margins.support, "real images": real}
    both = pd.DataFrame(columns | {title: called(ours, classes)})
    return both if beside.is_paper(classes) else both[[title]].dropna()


def commonest_mistake(counts, classes) -> str:
    """The commonest mistake of a confusion matrix, and what Table III says of the published one."""
    wrong = np.array(counts) * (1 - np.eye(len(classes), dtype=int))
    if not wrong.any():
        return "Every test image is classified rightly."
    true, said = np.unravel_index(wrong.argmax(), wrong.shape)
    ours = (
        f"The commonest mistake is {classes[true]} called {classes[said]}: {wrong.max()} of "
        f"{plural(int(wrong.sum()), 'mistake')}."
    )
    if not beside.is_paper(classes):
        return ours
    least = confusion_bounds().loc[("Lung Opacity", "Normal"), "low"]
    missed = confusion_margins().loc["Lung Opacity", "missed"]
    return (
        f"{ours} The paper prints no confusion matrix, but the margins that Table III fixes imply "
        f"that at least {least} of the {missed} missed Lung Opacity images were called Normal."
    )


def finding(table: pd.DataFrame, runs: Sequence[Run], title: str) -> str:
    """The section's finding, from :func:`table_3`.

    Args:
        title: of the network.
    """
    if "published" not in table:
        right = table.loc[("All", "Accuracy")].iloc[0]
        return f"{title} classifies {percent(right, 1)} of the test images rightly, with one seed."
    real = table[beside.real_title(runs)]
    recall = real.xs("Recall", level=1)
    published, gap = table.published, table.difference[OVERALL[0]]
    return (
        f"**On the real images {title} is right on {percent(real[OVERALL[0]], 1)}, weighted to the "
        f"paper's class mix; published are {percent(published[OVERALL[0]], 1)}.** The difference "
        f"is {gap}. The class with the lowest recall is {recall.idxmin()}, "
        f"{number(recall.min())} (published: {number(published[recall.idxmin(), 'Recall'])}), over "
        f"{plural(len(runs), 'run')}."
    )


def score_intervals(runs: Sequence[Run], resamples: int) -> pd.DataFrame:
    """Precision, recall and F1 on the real images for ``figures.plot_intervals``: ``estimate``,
    ``low``, ``high`` and ``published``, a row a class and score."""
    real, low, high = beside.estimate(beside.table_3, runs, resamples=resamples)
    published = paper.table("III").loc[list(CLASSES), list(beside.SCORES)].to_numpy().ravel()
    index = [f"{name}, {score}" for name, score in beside.by_class(CLASSES, beside.SCORES)]
    rows = {"estimate": real, "low": low, "high": high}
    rows = {name: values[: len(index)] for name, values in rows.items()}
    return pd.DataFrame(rows | {"published": published}, index=index)
