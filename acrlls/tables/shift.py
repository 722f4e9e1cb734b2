"""What recorded runs say of images that their test set does not have, and where their heat lies.

``outside.csv.gz`` and ``heat.csv.gz`` beside a record are made by ``results/outside.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from acrlls.method import VARIANTS
from acrlls.runs import RESULTS, Run
from acrlls.tables.words import number, percent, plural

UNSEEN = "tuberculosis"  # the source whose disease no class stands for
# the test images again, without what a radiologist needs
ALTERED = ("middle covered", "border alone")
TWIN = 0.98  # correlation of two images at 64 × 64 pixels from which they count as near copies
AREAS = {"middle": 0.30, "border": 0.4375, "corners": 0.16}  # shares of the image


def said_outside(run: Run) -> pd.DataFrame:
    """Predictions of one run beyond its test set: source, name, label (a finding), predicted,
    confidence; the test images themselves as the source ``"test"``."""
    table = pd.read_csv(run.folder / "outside.csv.gz")
    logits = table[[f"logit_{c}" for c in run.class_names]].to_numpy()
    test = run.predictions("test")
    names = np.array(run.class_names)
    own = pd.DataFrame({"source": "test", "name": test.names, "label": names[test.labels]})
    rows = pd.concat([own, table[["source", "name", "label"]]], ignore_index=True)
    p = softmax(np.concatenate([test.logits, logits]), axis=1)
    return rows.assign(predicted=names[p.argmax(axis=1)], confidence=p.max(axis=1))


def recorded(runs: Sequence[Run]) -> list[Run]:
    """Those of some runs whose record says something of images from elsewhere."""
    return [run for run in runs if (run.folder / "outside.csv.gz").exists()]


def by_source(runs: Sequence[Run]) -> pd.DataFrame:
    """Accuracy and mean confidence over the findings that a class stands for; a row a source and
    network, means over the seeds."""
    rows = {}
    for run in runs:
        said = said_outside(run)
        said = said[said.label.isin(run.class_names)]
        for source, part in said.groupby("source", sort=False):
            row = {
                "images": len(part),
                "accuracy": (part.label == part.predicted).mean(),
                "mean confidence": part.confidence.mean(),
            }
            rows.setdefault((source, VARIANTS[run.config.variant].title), []).append(row)
    return pd.DataFrame({key: pd.DataFrame(each).mean() for key, each in rows.items()}).T


def called(runs: Sequence[Run], source: str) -> pd.DataFrame:
    """How the images of a source are called, shares of each finding, means over all runs."""
    tables = []
    for run in runs:
        said = said_outside(run)
        said = said[said.source == source]
        shares = pd.crosstab(said.label, said.predicted, normalize="index")
        tables.append(shares.reindex(columns=run.class_names, fill_value=0.0))
    table = sum(tables) / len(tables)
    return table.rename_axis(index="finding", columns=None)


def unseen(run: Run) -> tuple[float, float]:
    """How well a low confidence tells the unseen disease from the test images: AUROC, and the share
    of the unseen images above the confidence that 95 % of the test images exceed (FPR at 95 % TPR).
    """
    said = said_outside(run)
    known, new = (said.confidence[said.source == s].to_numpy() for s in ("test", UNSEEN))
    truth = np.repeat([1, 0], [len(known), len(new)])
    area = roc_auc_score(truth, np.concatenate([known, new]))
    return float(area), float((new >= np.quantile(known, 0.05)).mean())


def twins(runs: Sequence[Run], least: float = TWIN) -> pd.DataFrame:
    """Accuracy and mean confidence on test images with a near copy among the training images, on
    the others, and on all; a row a network and group, means over the runs.

    The nearest training image of each is recorded by ``results/twins.py``; from a correlation of
    ``least`` on it counts as a near copy.
    """
    nearest = pd.read_csv(RESULTS / "twins.csv.gz", index_col="name").correlation
    rows = {}
    for run in runs:
        test = run.predictions("test")
        copied = nearest[test.names].to_numpy() >= least
        right, sure = test.classes == test.labels, test.probabilities.max(axis=1)
        groups = {"near copies": copied, "others": ~copied, "all": np.ones_like(copied)}
        for name, chosen in groups.items():
            row = {"images": chosen.sum(), "accuracy": right[chosen].mean()}
            row["mean confidence"] = sure[chosen].mean()
            rows.setdefault((VARIANTS[run.config.variant].title, name), []).append(row)
    return pd.DataFrame({key: pd.DataFrame(each).mean() for key, each in rows.items()}).T


def twins_sentence(table: pd.DataFrame) -> str:
    """What :func:`twins` says of the accuracy without the near copies."""
    every, rest = (table.xs(name, level=1) for name in ("all", "others"))
    count = int(table.xs("near copies", level=1).images.iloc[0])
    images = int(every.images.iloc[0])
    change = 100 * (rest.accuracy - every.accuracy)
    said = ", ".join(f"{name} {number(v, 2, signed=True)}" for name, v in change.items())
    return (
        f"**{count} of {images:,} test images ({percent(count / images, 1)}) have a near copy "
        f"among the training images.** Without them the accuracy changes by (points): {said}."
    )


def heat_shares(runs: Sequence[Run]) -> pd.DataFrame:
    """Mean share of the Grad-CAM heat in three parts of the test images, a row a class; first what
    heat spread evenly would have."""
    tables = [pd.read_csv(run.folder / "heat.csv.gz") for run in runs]
    means = [t.groupby("label")[list(AREAS)].mean() for t in tables]
    return pd.concat([pd.DataFrame(AREAS, index=["spread evenly"]), sum(means) / len(means)])


def heat_sentence(shares: pd.DataFrame, runs: int) -> str:
    """What :func:`heat_shares` of some runs says of the paper's claim."""
    even, classes = shares.loc["spread evenly"], shares.drop("spread evenly")
    more = classes.index[classes.middle > even.middle]
    outside = 1 - classes.middle.mean()
    verdict = "The heat prefers the middle of the image, where the lungs are, in no class"
    if len(more):
        verdict = f"The heat prefers the middle, where the lungs are, in {', '.join(more)}"
    return (
        f"**{verdict}.** On average over the classes {percent(outside)} of it lies outside, where "
        f"evenly spread heat would have {percent(1 - even.middle)} ({plural(runs, 'run')})."
    )


def without_the_middle(table: pd.DataFrame) -> str:
    """One sentence from :func:`by_source`: what is still called rightly without the middle of the
    image.
    """
    rows = table.xs("middle covered")
    lines = [
        f"{name} still calls {row.accuracy:.1%} of the test images rightly".replace("%", " %")
        for name, row in rows.iterrows()
    ]
    return (
        "With the middle of every image covered, "
        + "; ".join(lines)
        + ". Much of what tells the classes apart lies outside the middle of the lungs."
    )


def sure_of_the_unseen(runs: Sequence[Run]) -> str:
    """One sentence: how sure the runs are of a disease that none of their classes stands for."""
    said = pd.concat([said_outside(run) for run in runs])
    said = said[said.source == UNSEEN]
    sure = (said.confidence >= 0.9).mean()
    most = said.predicted.value_counts(normalize=True)
    area = np.mean([unseen(run)[0] for run in runs])
    return (
        f"Of {len(said) // len(runs)} radiographs with tuberculosis, which no class stands for, "
        f"{sure:.0%} are given a class with a probability of 0.9 or more; the commonest class is "
        f"{most.index[0]} ({most.iloc[0]:.0%}). A low confidence tells them from the test images "
        f"with an AUROC of {area:.2f}."
    ).replace("%", " %")
