"""What recorded runs say of images that their test set does not have, and where their heat lies:
``outside.csv.gz`` and ``heat.csv.gz`` beside a record, which ``results/outside.py`` makes."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.special import softmax
from scipy.stats import binomtest, norm, poisson_binom
from sklearn.metrics import roc_auc_score

from acrlls.method import VARIANTS
from acrlls.runs import RESULTS, Run
from acrlls.tables.recorded import NETWORKS, setting
from acrlls.tables.words import number, percent, plural, span

OTHERS = "cohen"  # the collection of radiographs from other hospitals
UNSEEN = "tuberculosis"  # the source whose disease no class stands for
SOURCES = {"test": "test images", OTHERS: "other hospitals"}  # as readers know them
# the test images again, without what a radiologist needs
ALTERED = ("middle covered", "border alone")
TWIN = 0.98  # correlation of two images at 64 × 64 pixels from which they count as near copies
LIKE = "others, in their classes"  # the rest, weighted to the class mix of the near copies
AREAS = {"middle": 0.30, "border": 0.4375, "corners": 0.16}  # shares of the image


def published(profile: str) -> list[Run]:
    """The recorded runs of a profile in the published setting alone, network by network."""
    return [run for network in NETWORKS for run in setting(profile=profile).of(network)]


def recorded(runs: Sequence[Run]) -> list[Run]:
    """Those of some runs whose record says something of images from elsewhere."""
    return [run for run in runs if (run.folder / "outside.csv.gz").exists()]


def said_outside(runs: Sequence[Run]) -> pd.DataFrame:
    """Predictions beyond the test set, a row a ``run`` (from 0) and image: network, source, name,
    label (a finding), whether a class stands for it (``known``), predicted, right, confidence; the
    test images themselves as the source ``"test"``."""
    every = []
    for k, run in enumerate(runs):
        table, test = pd.read_csv(run.folder / "outside.csv.gz"), run.predictions("test")
        names = np.array(run.class_names)
        own = pd.DataFrame({"source": "test", "name": test.names, "label": names[test.labels]})
        rows = pd.concat([own, table[["source", "name", "label"]]], ignore_index=True)
        logits = table[[f"logit_{c}" for c in names]].to_numpy()
        p = softmax(np.concatenate([test.logits, logits]), axis=1)
        rows = rows.assign(run=k, network=VARIANTS[run.config.variant].title)
        rows["known"], rows["predicted"] = rows.label.isin(names), names[p.argmax(axis=1)]
        every.append(rows.assign(right=rows.label == rows.predicted, confidence=p.max(axis=1)))
    return pd.concat(every, ignore_index=True)


def by_source(said: pd.DataFrame) -> pd.DataFrame:
    """Accuracy and mean confidence over the findings that a class stands for, from
    :func:`said_outside`; a row a source and network, means over the runs."""
    groups = said[said.known].groupby(["run", "source", "network"], sort=False)
    means = {"accuracy": ("right", "mean"), "mean confidence": ("confidence", "mean")}
    each = groups.agg(images=("right", "size"), **means)
    return each.groupby(["source", "network"], sort=False).mean().rename_axis([None, None])


def worth(said: pd.DataFrame, edges: Sequence[float] = (0, 0.7, 0.9, 0.97, 1)) -> pd.DataFrame:
    """By confidence of the answer, the surest first: of the test images and of other hospitals, the
    mean confidence, the share of answers that are right, and how many there are, as text from the
    least to the most of the runs of :func:`said_outside`. Findings without a class are left out."""
    names = [f"{low} to {high}" for low, high in pairwise(edges)]
    names[0], names[-1] = f"up to {edges[1]}", f"above {edges[-2]}"
    known = said[said.known & said.source.isin(SOURCES)]
    sure = pd.cut(known.confidence, edges, labels=names).rename("confidence")
    by = known.source.map(SOURCES), sure, known.run
    means = {"said, %": ("confidence", "mean"), "right, %": ("right", "mean")}
    runs = known.groupby(list(by), observed=True).agg(**means, answers=("right", "size"))
    runs = runs.groupby(level=[0, 1], observed=True)
    found = {n: runs[n].agg(lambda share: span(100 * share, "{:.1f}".format)) for n in means}
    found["answers"] = runs.answers.agg(lambda count: span(count, "{:,}".format))
    table = pd.DataFrame(found).unstack(0).swaplevel(axis=1)
    table = table.reindex(index=names[::-1]).dropna(how="all")[list(SOURCES.values())]
    return table.rename_axis(None).rename_axis(columns=[None, None])


def wrong_and_announced(said: pd.DataFrame) -> tuple[dict, dict]:
    """By source and network, over the findings that a class stands for: the share of wrong answers
    of each run of :func:`said_outside`, and the share its mean confidence announces."""
    known = said[said.known].groupby(["source", "network", "run"], sort=False)
    shares, found = 1 - known[["right", "confidence"]].mean(), ({}, {})
    for (source, network), rows in shares.groupby(level=[0, 1], sort=False):
        for groups, column in zip(found, rows, strict=True):
            groups.setdefault(SOURCES.get(source, source), {})[network] = list(rows[column])
    return found


def called(said: pd.DataFrame, source: str, class_names: Sequence[str]) -> pd.DataFrame:
    """How the images of a source are called: how many of each finding, and shares of them, means
    over all runs."""
    of = said[said.source == source]
    shares = pd.crosstab(of.label, of.predicted, normalize="index")
    shares = shares.reindex(columns=list(class_names), fill_value=0.0)
    shares.insert(0, "images", of.label.value_counts() // of.run.nunique())
    return shares.rename_axis(index="finding", columns=None)


def sure_of_the_unseen(said: pd.DataFrame) -> str:
    """How sure the runs are of a disease that none of their classes stands for, and how well a low
    confidence tells it from the test images."""
    of = said[said.source.isin(["test", UNSEEN])]
    areas = [roc_auc_score(s.source == "test", s.confidence) for _, s in of.groupby("run")]
    new = of[of.source == UNSEEN]
    most = new.predicted.mode()[0]
    new = new.assign(sure=new.confidence >= 0.9, most=new.predicted == most).groupby("run")
    sure, commonest = new.sure.mean(), new.most.mean()
    return (
        f"Of {new.size().iloc[0]} radiographs with tuberculosis, which no class stands for, "
        f"{span(sure, percent)} are given a class with a probability of 0.9 or more; {most} is the "
        f"commonest class ({span(commonest, percent)}). A low confidence tells them from the test "
        f"images with an AUC of {number(min(areas), 2)} to {number(max(areas), 2)}; guessing would "
        f"reach 0.50 ({plural(len(areas), 'run')})."
    )


def _by_run(said: pd.DataFrame, source: str):
    """The images of a source that have a finding with a class, by run."""
    return said[said.known & (said.source == source)].groupby("run")


def other_hospitals(said: pd.DataFrame) -> str:
    """What holds on the radiographs of other hospitals: lowest and highest share over the runs."""
    others, own = _by_run(said, OTHERS), _by_run(said, "test")
    right, most = others.right.mean(), others.get_group(0).label.value_counts()
    count, runs = int(most.sum()), plural(len(right), "run")
    return (
        f"**Of {plural(count, 'radiograph')} from other hospitals the networks classify "
        f"{span(right, percent)} correctly, with a mean confidence of "
        f"{span(others.confidence.mean(), percent)}; always answering {most.index[0]} would be "
        f"right for {percent(most.iloc[0] / count)}** ({runs}). On their own test images they are "
        f"right on {span(own.right.mean(), percent)}, with a mean confidence of "
        f"{span(own.confidence.mean(), percent)}."
    )


def when_sure(said: pd.DataFrame, low: float = 0.97, near: float = 0.01) -> str:
    """How many answers with a confidence above ``low`` are right there, and on the test images; and
    of all runs together, those with a confidence within ``near`` of it."""
    others, own = (_by_run(said[said.confidence > low], source) for source in (OTHERS, "test"))
    close = said[said.known & said.confidence.between(low - near, low + near)]
    share, count = (close.groupby("source").right.agg(what) for what in ("mean", "size"))
    return (
        f"Of their answers with a confidence above {low}, {span(others.right.mean(), percent)} are "
        f"right on radiographs from other hospitals ({span(others.size(), '{:,.0f}'.format)} "
        f"answers a run, {plural(others.ngroups, 'run')}; mean confidence "
        f"{span(others.confidence.mean(), percent)}), and {span(own.right.mean(), percent)} on "
        f"their own test images. Of those with {low - near:.2f} to {low + near:.2f}, "
        f"{percent(share[OTHERS])} are right there ({plural(count[OTHERS], 'answer')} of all runs) "
        f"and {percent(share['test'])} on the test images."
    )


def surest(said: pd.DataFrame, low: float = 0.97) -> str:
    """How many answers with a confidence above ``low`` are wrong, beside how many it announces, by
    run; tested on the test images exactly and one-sided, were each right as often as it says."""
    sure = said[said.known & (said.confidence > low)]
    sure = sure.assign(wrong=1 - sure.right.astype(int), told=1 - sure.confidence)
    own, others = (
        (rows[["wrong", "told"]].groupby(rows.run).sum(), rows)
        for rows in (sure[sure.source == source] for source in ("test", OTHERS))
    )
    counts, rows = own
    p = [
        poisson_binom.sf(counts.wrong[k] - 1, each.told.to_numpy())
        for k, each in rows.groupby("run")
    ]
    shown, by_answer = sum(each < 0.05 for each in p), rows.groupby("predicted")
    worst = by_answer.right.mean().idxmin()
    verdict = "no run is shown to be wrong more often than its confidence says"
    if shown:
        where = "" if shown == len(p) else f" in {shown} of {plural(len(p), 'run')}"
        verdict = f"more answers are wrong than the confidence says{where}"
    announced, given = (
        [span(of[name], partial(number, places=places)) for of, _ in (own, others)]
        for name, places in (("told", 1), ("wrong", 0))
    )
    return (
        f"**Above {low}, {verdict}.** On the test images the confidence announces {announced[0]} "
        f"wrong answers a run; {given[0]} are wrong, more than chance explains in {shown} of "
        f"{plural(len(p), 'run')} (p < 0.05). On radiographs of other hospitals it announces "
        f"{announced[1]}; {given[1]} are wrong. The share of right answers is lowest for "
        f"{worst}: {percent(by_answer.right.mean()[worst])} of "
        f"{plural(by_answer.size()[worst], 'answer')} of all runs on the test images, with a mean "
        f"confidence of {percent(by_answer.confidence.mean()[worst])}."
    )


def how_sure(said: pd.DataFrame) -> str:
    """Wilson's intervals of the lowest and the highest run of :func:`other_hospitals`."""
    right, told = _by_run(said, OTHERS).right.agg(["sum", "size"]).sort_values("sum"), []
    for hits, images in right.iloc[[0, -1]].to_numpy():
        low, high = binomtest(int(hits), int(images)).proportion_ci(method="wilson")
        told.append(f"{percent(hits / images)} ({100 * low:.0f} to {100 * high:.0f} %)")
    return (
        f"With Wilson's 95 % intervals, the lowest and the highest run are right on "
        f"{' and '.join(told)} of these images. The intervals count each image as a patient of its "
        "own, and several may be of one, so that they are too narrow."
    )


def balanced_accuracies(said: pd.DataFrame) -> pd.DataFrame:
    """The mean over the classes of the share called rightly with the middle covered, a row a run:
    ``value``, and ``low``, the lower end of its 95 % interval over the images."""
    right = said[said.source == "middle covered"].groupby(["run", "label"]).right
    squares = (right.var(ddof=0) / right.size()).groupby("run").sum()
    value, classes = right.mean().groupby("run").mean(), right.mean().groupby("run").size()
    return pd.DataFrame({"value": value, "low": value - norm.ppf(0.975) * squares**0.5 / classes})


def without_the_middle(said: pd.DataFrame, classes: int) -> str:
    """How well the networks tell the classes apart without the middle of the image."""
    found, guessing = balanced_accuracies(said), 1 / classes
    told = "something outside the middle tells the classes apart"
    if found.low.min() <= guessing:
        told = "not every run is shown to tell the classes apart without it"
    return (
        f"**With the middle of the image covered, the networks reach a balanced accuracy of "
        f"{span(found.value, percent)} ({plural(len(found), 'run')}); guessing would reach "
        f"{percent(guessing)}: {told}.** Balanced accuracy is the mean over the classes of the "
        "share called rightly, so that it does not depend on the class mix."
    )


def twins(runs: Sequence[Run]) -> pd.DataFrame:
    """Accuracy and mean confidence on test images with a near copy among the training images, on
    the others, on the others in the class mix of the copies, and on all; a row a network and group,
    means over the runs. The nearest training image of each is recorded by ``results/twins.py``."""
    nearest = pd.read_csv(RESULTS / "twins.csv.gz", index_col="name").correlation
    rows = []
    for run in runs:
        test = run.predictions("test")
        copied = nearest[test.names].to_numpy() >= TWIN
        right, sure = test.classes == test.labels, test.probabilities.max(axis=1)
        copies, rest = (np.bincount(test.labels, weights=of) for of in (copied, ~copied))
        like = np.where(copied, 0, (copies / rest.clip(1))[test.labels])
        groups = {"near copies": copied, "others": ~copied, LIKE: like, "all": np.ones_like(copied)}
        for name, of in groups.items():
            means = (np.average(each, weights=of) for each in (right, sure))
            title = VARIANTS[run.config.variant].title
            rows.append([title, name, np.count_nonzero(of), *means])
    names = ["network", "group", "images", "accuracy", "mean confidence"]
    means = pd.DataFrame(rows, columns=names).groupby(names[:2], sort=False).mean()
    return means.rename_axis([None, None])


def twins_sentence(table: pd.DataFrame) -> str:
    """What :func:`twins` says of the accuracy without the near copies."""
    names = "all", "others", LIKE, "near copies"
    every, rest, like, copies = (table.xs(name, level=1) for name in names)
    count, images = int(copies.images.iloc[0]), int(every.images.iloc[0])
    change, share = 100 * (rest.accuracy - every.accuracy), copies.accuracy.mean()
    chance = norm.ppf(0.975) * (share * (1 - share) / count) ** 0.5
    said = ", ".join(f"{name} {number(v, 2, signed=True)}" for name, v in change.items())
    return (
        f"**{count} of {images:,} test images ({percent(count / images, 1)}) have a near copy "
        f"among the training images.** Without them the accuracy changes by so many percentage "
        f"points: {said}. The copies are of other classes than most images: on the others in the "
        f"class mix of the copies the accuracy is {span(like.accuracy)}, and on the copies "
        f"{span(copies.accuracy)} (± {number(chance, 2)} by chance, with so few images)."
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
    more = (classes.middle > even.middle).sum()
    return (
        f"**The middle of the image, {percent(even.middle)} of its area, holds "
        f"{percent(classes.middle.mean())} of the heat on average over the classes.** By class it "
        f"holds {span(classes.middle, percent)}, more than its area in {more} of {len(classes)} "
        f"classes ({plural(runs, 'run')} of all networks, without an interval)."
    )
