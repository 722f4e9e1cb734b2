"""What recorded runs say of images that their test set does not have, and where their heat lies:
``outside.csv.gz`` and ``heat.csv.gz`` beside a record, which ``results/outside.py`` makes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import softmax
from scipy.stats import binomtest, norm
from sklearn.metrics import roc_auc_score

from acrlls.method import VARIANTS
from acrlls.runs import RESULTS, Run
from acrlls.tables.recorded import NETWORKS, averaged, setting
from acrlls.tables.words import listed, number, percent, plural

OTHERS = "cohen"  # the collection of radiographs from other hospitals
UNSEEN = "tuberculosis"  # the source whose disease no class stands for
SOURCES = {"test": "test images", OTHERS: "other hospitals"}  # as readers know them
# the test images again, without what a radiologist needs
ALTERED = ("middle covered", "border alone")
TWIN = 0.98  # correlation of two images at 64 × 64 pixels from which they count as near copies
AREAS = {"middle": 0.30, "border": 0.4375, "corners": 0.16}  # shares of the image


def said_outside(run: Run) -> pd.DataFrame:
    """Predictions of one run beyond its test set: source, name, label (a finding), predicted,
    confidence; the test images themselves as the source ``"test"``."""
    table, test = pd.read_csv(run.folder / "outside.csv.gz"), run.predictions("test")
    names = np.array(run.class_names)
    own = pd.DataFrame({"source": "test", "name": test.names, "label": names[test.labels]})
    rows = pd.concat([own, table[["source", "name", "label"]]], ignore_index=True)
    logits = table[[f"logit_{c}" for c in run.class_names]].to_numpy()
    p = softmax(np.concatenate([test.logits, logits]), axis=1)
    return rows.assign(predicted=names[p.argmax(axis=1)], confidence=p.max(axis=1))


def published(profile: str) -> list[Run]:
    """The recorded runs of a profile in the published setting alone, network by network."""
    return [run for network in NETWORKS for run in setting(profile=profile).of(network)]


def recorded(runs: Sequence[Run]) -> list[Run]:
    """Those of some runs whose record says something of images from elsewhere."""
    return [run for run in runs if (run.folder / "outside.csv.gz").exists()]


def _row(right, confidence) -> dict:
    means = {"accuracy": np.mean(right), "mean confidence": np.mean(confidence)}
    return {"images": len(right)} | means


def by_source(runs: Sequence[Run]) -> pd.DataFrame:
    """Accuracy and mean confidence over the findings that a class stands for; a row a source and
    network, means over the seeds."""
    rows = []
    for run in runs:
        said, title = said_outside(run), VARIANTS[run.config.variant].title
        known = said[said.label.isin(run.class_names)].groupby("source", sort=False)
        rows += [((n, title), _row(s.label == s.predicted, s.confidence)) for n, s in known]
    return averaged(rows)


def called(runs: Sequence[Run], source: str) -> pd.DataFrame:
    """How the images of a source are called: how many of each finding, and shares of them, means
    over all runs."""
    said = pd.concat([said_outside(run) for run in runs]).query("source == @source")
    shares = pd.crosstab(said.label, said.predicted, normalize="index")
    shares = shares.reindex(columns=runs[0].class_names, fill_value=0.0)
    shares.insert(0, "images", said.label.value_counts() // len(runs))
    return shares.rename_axis(index="finding", columns=None)


def sure_of_the_unseen(runs: Sequence[Run]) -> str:
    """How sure the runs are of a disease that none of their classes stands for, and how well a low
    confidence tells it from the test images."""
    said = [said_outside(run).query("source in ('test', @UNSEEN)") for run in runs]
    areas = [roc_auc_score(s.source == "test", s.confidence) for s in said]
    new = pd.concat(said, keys=range(len(runs)), names=["run"]).query("source == @UNSEEN")
    most = new.predicted.mode()[0]
    new = new.assign(sure=new.confidence >= 0.9, most=new.predicted == most)
    shares = new.groupby("run")[["sure", "most"]].mean()
    return (
        f"Of {len(new) // len(runs)} radiographs with tuberculosis, which no class stands for, "
        f"{_span(shares.sure)} % are given a class with a probability of 0.9 or more; {most} is "
        f"the commonest class ({_span(shares.most)} %). A low confidence tells them from the test "
        f"images with an AUC of {number(min(areas), 2)} to {number(max(areas), 2)}; guessing would "
        f"reach 0.50 ({plural(len(runs), 'run')})."
    )


def twins(runs: Sequence[Run]) -> pd.DataFrame:
    """Accuracy and mean confidence on test images with a near copy among the training images, on
    the others, on those of them of the class that most near copies have, and on all; a row a
    network and group, means over the runs. The nearest training image of each is recorded by
    ``results/twins.py``."""
    nearest = pd.read_csv(RESULTS / "twins.csv.gz", index_col="name").correlation
    rows = []
    for run in runs:
        test = run.predictions("test")
        copied = nearest[test.names].to_numpy() >= TWIN
        right, sure = test.classes == test.labels, test.probabilities.max(axis=1)
        most = np.bincount(test.labels[copied]).argmax()
        alike = f"others, {run.class_names[most]}", ~copied & (test.labels == most)
        groups = {"near copies": copied, "others": ~copied, alike[0]: alike[1]}
        groups["all"] = np.ones_like(copied)
        title = VARIANTS[run.config.variant].title
        rows += [((title, name), _row(right[of], sure[of])) for name, of in groups.items()]
    return averaged(rows)


def twins_sentence(table: pd.DataFrame) -> str:
    """What :func:`twins` says of the accuracy without the near copies."""
    (like,) = (n for n in table.index.unique(1) if n.startswith("others, "))
    groups = ("all", "others", "near copies", like)
    every, rest, copies, same = (table.xs(n, level=1) for n in groups)
    count, images = int(copies.images.iloc[0]), int(every.images.iloc[0])
    change = 100 * (rest.accuracy - every.accuracy)
    said = listed(f"{name} {number(v, 2, signed=True)}" for name, v in change.items())
    right = [_span(found.accuracy) for found in (copies, same)]
    return (
        f"**{count} of {images:,} test images ({percent(count / images, 1)}) have a near copy "
        f"among the training images.** Without them the accuracy changes by so many percentage "
        f"points: {said}. Most near copies are of {like.removeprefix('others, ')}: the networks "
        f"are right on {right[0]} % of the copies, and on {right[1]} % of the other images of that "
        "class."
    )


def heat_shares(runs: Sequence[Run]) -> pd.DataFrame:
    """Mean share of the Grad-CAM heat in three parts of the test images, a row a class; first what
    heat spread evenly would have."""
    rows = pd.concat([pd.read_csv(run.folder / "heat.csv.gz") for run in runs])
    means = rows.groupby("label")[list(AREAS)].mean()
    return pd.concat([pd.DataFrame(AREAS, index=["spread evenly"]), means])


def heat_sentence(shares: pd.DataFrame, runs: int) -> str:
    """What :func:`heat_shares` of some runs says of the paper's claim."""
    even, classes = shares.loc["spread evenly"], shares.drop("spread evenly")
    more = classes.index[classes.middle > even.middle]
    every = len(more) == len(classes)
    where = f"all {len(classes)} classes" if every else listed(more) if len(more) else "no class"
    return (
        f"**In {where} the middle of the image, {percent(even.middle)} of it, holds more than its "
        f"share of the heat.** By class it holds {_span(classes.middle)} %, so that on average "
        f"{percent(1 - classes.middle.mean())} of the heat lies outside ({plural(runs, 'run')} of "
        "all networks, without an interval)."
    )


def other_hospitals(runs: Sequence[Run]) -> str:
    """What holds on the radiographs of other hospitals: the lowest and the highest share over the
    runs, with Wilson's 95 % interval over the images."""
    said = [said_outside(run) for run in runs]
    said = pd.concat(said, keys=range(len(runs)), names=["run", "image"])
    said = said[said.label.isin(runs[0].class_names)]
    said = said.assign(right=said.label == said.predicted, covid=said.predicted == "COVID")
    others = said[said.source == OTHERS].groupby("run")
    own = said[said.source == "test"].groupby("run")
    normal = said.query("source == @OTHERS and label == 'Normal'").groupby("run").covid
    count, healthy = int(others.size().iloc[0]), int(normal.size().iloc[0])
    right, wrong = others.right.mean(), normal.mean()
    most = others.get_group(0).label.value_counts()
    runs_said = plural(len(runs), "run")
    return (
        f"**On {plural(count, 'radiograph')} from other hospitals the networks are right on "
        f"{_span(right)} %, with a mean confidence of {_span(others.confidence.mean())} %; always "
        f"answering {most.index[0]} would be right on {percent(most.iloc[0] / count)}** "
        f"({runs_said}). On their own test images they are right on {_span(own.right.mean())} %, "
        f"with a mean confidence of {_span(own.confidence.mean())} %. They call {_span(wrong)} % "
        f"of the {healthy} normal ones COVID. With Wilson's 95 % intervals, the lowest and the "
        f"highest run are right on {_ends(right, count)}, and call COVID {_ends(wrong, healthy)} "
        "of the normal ones; they count each image as a patient of its own, and several may be of "
        "one, so that they are too narrow."
    )


def _span(shares: pd.Series) -> str:
    """Such as "59 to 69", of shares in percent."""
    ends = [number(100 * share, 0) for share in (shares.min(), shares.max())]
    return " to ".join(dict.fromkeys(ends))


def _ends(shares: pd.Series, images: int) -> str:
    """The lowest and the highest of some shares of images, each with Wilson's interval."""
    said = []
    for share in (shares.min(), shares.max()):
        low, high = binomtest(round(share * images), images).proportion_ci(method="wilson")
        said.append(f"{percent(share)} ({100 * low:.0f} to {100 * high:.0f} %)")
    return " and ".join(said)


def balanced_accuracies(runs: Sequence[Run]) -> pd.DataFrame:
    """The mean over the classes of the share called rightly with the middle covered, a row a run:
    ``value``, and ``low``, the lower end of its 95 % interval over the images."""
    found = []
    for run in runs:
        said = said_outside(run).query("source == 'middle covered'")
        right = (said.label == said.predicted).groupby(said.label)
        error = np.sqrt((right.var(ddof=0) / right.size()).sum()) / right.ngroups
        found.append([right.mean().mean(), right.mean().mean() - norm.ppf(0.975) * error])
    return pd.DataFrame(found, columns=["value", "low"])


def without_the_middle(runs: Sequence[Run]) -> str:
    """How well the networks tell the classes apart without the middle of the image."""
    found = balanced_accuracies(runs)
    guessing = 1 / len(runs[0].class_names)
    told = "something outside the middle tells the classes apart"
    if found.low.min() <= guessing:
        told = "not every run is shown to tell the classes apart without it"
    return (
        f"**With the middle of the image covered, the networks reach a balanced accuracy of "
        f"{_span(found.value)} % ({plural(len(runs), 'run')}); guessing would reach "
        f"{percent(guessing)}: {told}.** Balanced accuracy is the mean over the classes of the "
        "share called rightly, so that it does not depend on the class mix."
    )
