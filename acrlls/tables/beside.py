"""The columns of every table of the paper: published, the real images, their difference with its
interval, and this build.

Real numbers are means over recorded runs, where they depend on the class mix in the paper's mix.
The interval is that of our number alone, over our runs and test images: the noise of the published
number is not known, and is likely to be as large.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from IPython.display import Markdown

from acrlls.calibration import classwise_auc
from acrlls.config import Config
from acrlls.paper import CLASSES
from acrlls.runs import Run
from acrlls.tables.compare import classwise_ece, crossed
from acrlls.tables.recorded import has_paper_classes, mix_weights
from acrlls.tables.words import plural, signed

SCORES = ("Precision", "Recall", "F1")


def here(config) -> str:
    """Heading of the column of this build."""
    return "phantom" if config.data == "phantom" else "this run"


def alone(config: Config) -> Markdown | None:
    """The sentence on a page whose images have other classes than the paper's."""
    if has_paper_classes(config):
        return None
    return Markdown(
        "The images of this build have other classes than the paper's. Published numbers and "
        "recorded runs are therefore left out of its tables, what the text says of them does not "
        "apply, and the figures show this build alone."
    )


def on(title: str) -> str:
    """How a sentence about the images of a column begins."""
    return {"phantom": "On the phantom", "this run": "In this run"}.get(title, f"On the {title}")


def columns(
    published: pd.Series,
    statistic: Callable,
    runs: Sequence[Run],
    ours: pd.Series,
    title: str,
    classes: Sequence[str],
    phases: Sequence[int | None] = (None,),
    resamples: int = 1000,
) -> pd.DataFrame:
    """A row a quantity: published, real images, difference with interval (text), this build.

    Args:
        published, ours: by quantity, with the same index where the classes are the paper's.
        classes: of this build's images; where they are not the paper's, ``ours`` stands alone.
        statistic: of probabilities ``(n, classes)``, or with several phases ``(phases, n,
            classes)``, labels and weights ``(n,)``; in the order of ``published``.
        title: heading of this build's column.
        phases: of the runs, whose test probabilities the statistic takes.
    """
    if not is_paper(classes):
        return pd.DataFrame({title: ours})
    table = pd.DataFrame({"published": published})
    if runs:
        real, low, high = estimate(statistic, runs, phases, resamples)
        gap = zip(real - published, low - published, high - published, strict=True)
        table[real_title(runs)] = real
        table["difference"] = [signed(*three, 3) if three[0] == three[0] else "–" for three in gap]
    return table.assign(**{title: ours.reindex(table.index)})


def real_title(runs: Sequence[Run]) -> str:
    """Heading of the real images' column, with the number of runs."""
    return f"real images, {plural(len(runs), 'run')}"


def estimate(statistic, runs, phases=(None,), resamples: int = 1000) -> tuple[np.ndarray, ...]:
    """Mean over the runs of a statistic, and the ends of its 95 % interval, each ``(values,)``.

    The interval has the spread of the statistic over runs and images drawn again, around the
    estimate itself: a calibration error drawn again has the noise of both drawings.
    """
    mix = "paper" if is_paper(runs[0].class_names) else "own"
    labels, weights = runs[0].predictions("test").labels, mix_weights(runs[0], mix)
    p = np.array([[r.predictions("test", k).probabilities for k in phases] for r in runs])
    p = p[:, 0] if len(phases) == 1 else p
    real = np.mean([statistic(q, labels, weights) for q in p], axis=0)
    drawn = crossed(statistic, p, labels, weights, resamples)
    low, high = np.quantile(drawn - drawn.mean(axis=0), [0.025, 0.975], axis=0)
    return real, real + low, real + high


# --- statistics, in one order of the classes ---------------------------------------------------


def by_class(names: Sequence[str], measures: Sequence[str]) -> list[tuple[str, str]]:
    """The index of what class-wise statistics give: class by class, measure by measure."""
    return [(name, measure) for name in names for measure in measures]


def confusion_scores(p, labels, weights) -> np.ndarray:
    """Precision, recall and F1 ``(classes, 3)``."""
    classes = p.shape[1]
    cells = labels * classes + p.argmax(axis=1)
    counts = np.bincount(cells, weights, classes**2).reshape(classes, classes)
    right, said, true = np.diag(counts), counts.sum(axis=0), counts.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.array([right / said, right / true, 2 * right / (said + true)]).T


def table_3(p, labels, weights) -> np.ndarray:
    """Table III: by class precision, recall and F1, then accuracy and macro F1."""
    each = confusion_scores(p, labels, weights)
    return np.array([*each.ravel(), accuracy(p, labels, weights), np.nanmean(each[:, 2])])


def accuracy(p, labels, weights) -> float:
    """Weighted share of right predictions."""
    return np.average(p.argmax(axis=1) == labels, weights=weights)


def one_against_rest(p, labels, weights) -> np.ndarray:
    """By class AUC, Brier score and ECE in 15 bins."""
    brier = np.average((np.eye(p.shape[1])[labels] - p) ** 2, axis=0, weights=weights)
    ece = classwise_ece(p, labels, weights)
    return np.array([classwise_auc(p, labels), brier, ece]).T.ravel()


def scores(p, labels, weights) -> np.ndarray:
    """Table IV: accuracy and macro F1."""
    return table_3(p, labels, weights)[-2:]


def phases(p, labels, weights) -> np.ndarray:
    """Accuracy of two models ``(2, n, classes)``, and the gain of the second."""
    one, two = (accuracy(q, labels, weights) for q in p)
    return np.array([one, two, two - one])


def is_paper(class_names) -> bool:
    """Whether some images have the paper's classes, so that published numbers belong beside."""
    return set(class_names) == set(CLASSES)
