"""Section 5: Table III, AUC, Brier score and ECE of each class."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from acrlls import paper
from acrlls.paper import CLASSES
from acrlls.runs import Run
from acrlls.tables import beside
from acrlls.tables.words import error, number, percent, plural, span

OVERALL = [("All", "Accuracy"), ("All", "Macro F1")]


def table_3(real: Sequence[Run], run: Run, resamples: int) -> pd.DataFrame:
    """Table III in the columns of :mod:`acrlls.tables.beside`, a row a class and score."""
    table = paper.table("III")
    each = table.loc[list(CLASSES), list(beside.SCORES)].to_numpy().ravel()
    published = [*each, table.F1["Accuracy"], table.F1["Macro Avg"]]
    index = beside.by_class(beside.SCORES, OVERALL)
    return beside.columns(beside.table_3, index, published, real, run, resamples=resamples)


def by_class(real: Sequence[Run], run: Run, resamples: int) -> pd.DataFrame:
    """AUC, Brier score and ECE of each class against the rest, as in :func:`table_3`."""
    published = np.transpose([paper.by_class(name) for name in ("auc", "brier", "ece")])
    index = beside.by_class(beside.ONE_CLASS)
    return beside.columns(beside.one_against_rest, index, published, real, run, resamples=resamples)


def finding(table: pd.DataFrame, each: pd.DataFrame, real: Sequence[Run], title: str) -> str:
    """The section's finding on a network of this title, from :func:`table_3` and
    :func:`by_class`."""
    ece = each.xs("ECE", level=1)
    if not real:
        right, errors = table.iloc[:, -1][OVERALL[0]], span(ece.iloc[:, -1], error)
        said = f"{title} classifies {percent(right, 1)} of the test images rightly, with one seed."
        return f"{said} The ECEs of the classes are {errors}."
    accuracy, recall = table.loc[OVERALL[0]], table[beside.REAL].xs("Recall", level=1)
    points = re.sub(r"\d\.\d+", lambda share: f"{100 * float(share[0]):.1f}", accuracy.difference)
    return (
        f"**On the real images {title} classifies {percent(accuracy[beside.REAL], 1)} correctly, "
        f"weighted to the paper's class mix; the paper reports {percent(accuracy.published, 1)}.** "
        f"The difference in points is {points}, with the 95 % interval for a run of another seed. "
        f"The class with the lowest recall is {recall.idxmin()}, {number(recall.min())} "
        f"(published: {number(table.published[recall.idxmin(), 'Recall'])}), over "
        f"{plural(len(real), 'run')}. The ECEs of the classes are {span(ece[beside.REAL], error)}; "
        f"the paper reports {span(ece.published, error)}. [The next section](06_calibration.ipynb) "
        "says what sampling noise alone would show, and [Section 7](07_ablation.ipynb) in how many "
        "runs the ECE is larger in this class mix."
    )


def on_average(runs: Sequence[Run], title: str) -> str:
    """The mean probability of each class over the test images of some runs of one network, beside
    the share of the images that are of it, for the four with the largest gaps."""
    tests = [run.predictions("test") for run in runs]
    given = np.array([test.probabilities.mean(axis=0) for test in tests])
    names, mean = tests[0].class_names, given.mean(axis=0)
    share = np.bincount(tests[0].labels, minlength=len(names)) / len(tests[0].labels)
    order = np.argsort(-abs(mean - share))[:4]
    told = (f"{names[k]} {number(mean[k])} ({number(share[k])})" for k in order)
    worst = order[0]
    much = "more often" if mean[worst] > share[worst] else "less often"
    return (
        f"**Averaged over the test images, {title} expects {names[worst]} {much} than it occurs**: "
        f"its mean probability is {span(given[:, worst])} by run ({plural(len(runs), 'run')}), its "
        f"share of the images {number(share[worst])}. By class, the mean probability and in "
        f"parentheses the share of the images: {', '.join(told)}."
    )
