"""Networks compared on the same images: intervals over seeds and images, in two class mixes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.stats import norm
from scipy.stats import t as student

from acrlls import calibration
from acrlls.method import VARIANTS
from acrlls.tables import recorded as read
from acrlls.tables.recorded import NETWORKS, Setting, Side, mix_weights
from acrlls.tables.words import error, number, signed

ECE = "Mean class-wise ECE"
MEASURES = ("Accuracy", "NLL", "Brier score", ECE)
MIXES = {"own": "in our class mix", "paper": "in the paper's class mix"}


@dataclass(frozen=True)
class Difference:
    """``second`` minus ``first`` over ``pairs`` of runs with so many ``seeds``, and test images.
    ``table``: a row a measure; columns difference, low, high (95 %), for the ECE alone p, over
    images, at least ``least``. ``beyond``: the ECE differs by more than :func:`reach_of_seeds`."""

    table: pd.DataFrame
    seeds: int
    pairs: int
    least: float = 0.0
    beyond: bool = True

    @property
    def p_value(self) -> str:
        """Such as "p = 0.012", or "p ≤ 0.002" where p is the least that can be reached."""
        p = self.table.p[ECE]
        return f"p {'≤' if p <= self.least else '='} {number(p) if p >= 0.001 else f'{p:.1g}'}"

    def shows(self, measure: str) -> int:
        """+1 or -1 where a measure is shown to differ (interval on one side of zero; for the ECE
        p below 0.05 and more than seeds differ), else 0."""
        row = self.table.loc[measure]
        if measure == ECE:
            return int(np.sign(row.difference)) if row.p < 0.05 and self.beyond else 0
        return int(row.low > 0) - int(row.high < 0)


def measures(p, labels, weights=None, bins: int = 15) -> np.ndarray:
    """The ``MEASURES`` of probabilities ``(n, classes)``, each image by its weight: ``(4,)`` for
    weights ``(n,)``, ``(sets, 4)`` for several sets of them, ``(sets, n)``."""
    weights = np.ones(len(p)) if weights is None else weights
    ece = classwise_ece(p, labels, weights, bins).mean(axis=-1, keepdims=True)
    return np.concatenate([weighted_mean(each_image(p, labels), weights), ece], axis=-1)


def each_image(p, labels) -> np.ndarray:
    """What the first three ``MEASURES`` are means of, ``(n, 3)``."""
    truth = np.eye(p.shape[1])[labels]
    each = p.argmax(axis=1) == labels, -np.log(p[truth > 0].clip(1e-15)), ((p - truth) ** 2).sum(1)
    return np.stack(each, axis=1)


def weighted_mean(values, weights) -> np.ndarray:
    """Mean of values ``(n, columns)`` by weights ``(n,)`` or ``(sets, n)``: the last axis is of the
    columns."""
    return weights @ values / weights.sum(axis=-1, keepdims=True)


def classwise_ece(p, labels, weights, bins: int = 15) -> np.ndarray:
    """:func:`acrlls.calibration.classwise_ece` for many sets of weights, as in :func:`measures`:
    ``(..., classes)``."""
    n, classes = p.shape
    place = np.ceil(p * bins).clip(1, bins).astype(int) - 1 + bins * np.arange(classes)
    gap = np.eye(classes)[labels] - p
    rows = np.arange(n + 1) * classes
    held = csr_array((gap.ravel(), place.ravel(), rows), (n, classes * bins))
    sums = np.abs(weighted_mean(held, weights))
    return sums.reshape(*weights.shape[:-1], classes, bins).sum(axis=-1)


def weighted_auc(p, labels, weights) -> np.ndarray:
    """AUC of each class against the rest, weighted as in :func:`measures`, ``(..., classes)``; ties
    count one half."""
    found = []
    for k, score in enumerate(p.T):
        order = np.argsort(score)
        first = np.flatnonzero(np.diff(score[order], prepend=-1))  # equal scores stay together
        sorted_, hits = weights[..., order].astype(float), labels[order] == k
        hit, miss = (np.add.reduceat(sorted_ * which, first, axis=-1) for which in (hits, ~hits))
        below = miss.cumsum(axis=-1) - miss / 2
        found.append((hit * below).sum(axis=-1) / (hit.sum(axis=-1) * miss.sum(axis=-1)))
    return np.stack(found, axis=-1)


def reach_of_seeds(each, seeds: Sequence[int], new: int = 0) -> np.ndarray:
    """How far the mean of ``each``, ``(runs, …)``, may lie from that over endless seeds: half of
    Student's 95 % interval, zero where there is one seed; with ``new`` = 1, from a run with another
    seed, endless where there is one. Runs of equal ``seeds`` count as one: their mean."""
    groups = pd.DataFrame(np.reshape(each, (len(each), -1))).groupby(np.array(seeds))
    means, shares = groups.mean().to_numpy(), groups.size().to_numpy() / len(each)
    if len(means) < 2:
        return np.full(np.shape(each)[1:], np.inf if new else 0.0)
    spread = means.std(axis=0, ddof=1).reshape(np.shape(each)[1:])
    return student.ppf(0.975, len(means) - 1) * np.sqrt(new + (shares**2).sum()) * spread


def interval(statistic, p, labels, weights, seeds: Sequence[int], resamples: int, other=None):
    """Mean over the runs of ``statistic(p[run], labels, weights)`` and the ends of its 95 %
    interval, or of that in which one more run would lie, of another seed and tested on ``other``
    images, so many of each class ``(classes,)``: three arrays ``(values,)``. ``p`` is
    ``(runs, n, classes)``, or with several models a run ``(runs, models, n, classes)``; the
    statistic takes weights ``(n,)`` or many sets of them.

    The interval reaches as far as the root of two squares: of :func:`reach_of_seeds`, and of 1.96
    standard deviations over images drawn again within each class, the same for every run. It
    covers 95 % or, where both matter, up to 98 % with three seeds. Student's with Satterthwaite's
    degrees of freedom would cover 92 %, and quantiles of four runs drawn again as little as 80 %.
    """
    each = np.array([statistic(q, labels, weights) for q in p])
    images = _spread(statistic, p, labels, weights, np.bincount(labels), resamples)
    if other is not None:  # drawn in its own class mix, so that nothing is to be weighted
        images = np.hypot(images, _spread(statistic, p, labels, 1, other, resamples))
    seeds = reach_of_seeds(each, seeds, int(other is not None))
    reach = np.hypot(seeds, norm.ppf(0.975) * images)
    return each.mean(axis=0), each.mean(axis=0) - reach, each.mean(axis=0) + reach


def _spread(statistic, p, labels, weights, sizes, resamples: int) -> np.ndarray:
    """Standard deviation of the mean over the runs, ``(values,)``, over images drawn again, so many
    of each class."""
    found = [
        np.mean([statistic(q, labels, images * weights) for q in p], axis=0)
        for images in calibration.image_counts(labels, resamples, sizes=sizes)
    ]
    return np.concatenate(found).std(axis=0)


def compare(
    setting: Setting, first: Side, second: Side, mix="own", bins=15, resamples=1000
) -> Difference:
    """Paired over the groups of runs that have both sides, and over the test images, which must be
    the same; in the paper's mix, test and validation images are weighted to it. The interval is of
    :func:`interval`. No such interval of an ECE is trustworthy near zero, so its difference has the
    p-value of :func:`acrlls.calibration.calibration_difference`."""
    groups = setting.common(first, second)
    runs = [[setting.runs[network][g] for network, *_ in (first, second)] for g in groups]
    test, weights = runs[0][0].predictions("test"), mix_weights(runs[0][0], mix)
    if any(list(r.predictions("test").names) != list(test.names) for two in runs for r in two):
        raise ValueError("the runs were tested on different images")
    how = [(side[1], mix, *side[2:]) for side in (first, second)]
    pairs = [zip(two, how, strict=True) for two in runs]
    p = np.array([[read.probabilities(run, *h) for run, h in pair] for pair in pairs])

    def gain(models, labels, weights):
        before, after = (each_image(q, labels) for q in models)
        return weighted_mean(after - before, weights)

    seeds = [two[0].config.seed for two in runs]
    found = interval(gain, p, test.labels, weights, seeds, resamples)
    images = {"bins": bins, "sample_weight": weights, "resamples": resamples}
    ece = calibration.calibration_difference(p[:, 1], test.labels, p[:, 0], **images)
    rows = pd.DataFrame(np.transpose(found), list(MEASURES[:3]), ["difference", "low", "high"])
    rows.loc[ECE, ["difference", "p"]] = ece.gaps[:, -1].mean(), ece.p_values[-1]
    beyond = bool(abs(ece.gaps[:, -1].mean()) > reach_of_seeds(ece.gaps[:, -1], seeds))
    return Difference(rows, len(set(seeds)), len(groups), ece.least, beyond)


def in_each_mix(found: Sequence[Setting], first, second, bins=15, resamples=1000) -> dict:
    """:func:`compare` in every class mix and setting that has both sides, by their titles."""
    return {
        (setting.title, title): compare(setting, first, second, mix, bins, resamples)
        for setting in found
        if setting.common(first, second)
        for mix, title in MIXES.items()
    }


def difference_table(found: dict) -> pd.DataFrame:
    """A row a key: the differences in accuracy and NLL with their 95 % intervals, that in ECE with
    its p, or † where seeds differ by as much, and the runs; nothing more would fit a page."""
    rows = {}
    for key, difference in found.items():
        table, p = difference.table, difference.p_value.removeprefix("p ").removeprefix("= ")
        ece = f"{error(table.difference[ECE], True)} {f'({p})' if difference.beyond else '†'}"
        ends = {m: signed(*table.loc[m, ["difference", "low", "high"]]) for m in MEASURES[:2]}
        rows[key] = ends | {"ECE (p)": ece, "runs": str(difference.pairs)}
    return pd.DataFrame(rows).T


def mean_of(runs, step="", mix="own", bins=15, reading="") -> np.ndarray:
    """Mean over some runs of the ``MEASURES``."""
    said = [(read.probabilities(r, step, mix, reading), r.predictions("test").labels) for r in runs]
    weights = [mix_weights(r, mix) for r in runs]
    return np.mean([measures(*s, w, bins) for s, w in zip(said, weights, strict=True)], axis=0)


def in_both_mixes(setting: Setting) -> pd.DataFrame:
    """Means over the runs as trained; a row a network, a column a mix and measure."""
    runs = {VARIANTS[n].title: setting.of(n) for n in NETWORKS if setting.of(n)}
    means = {
        title: pd.DataFrame({n: mean_of(rs, "", mix) for n, rs in runs.items()}, list(MEASURES)).T
        for mix, title in MIXES.items()
    }
    return pd.concat(means, axis=1)


def by_reading(setting: Setting, bins: int = 15) -> pd.DataFrame:
    """Means over the runs that have further readings of BatchNorm's statistics; a row a reading and
    network."""
    rows = [
        [str(reading), VARIANTS[network].title, *mean_of([run], bins=bins, reading=str(reading))]
        for network in NETWORKS
        for run in setting.of(network)
        if len(run.config.batchnorm_statistics) > 1
        for reading in run.config.batchnorm_statistics
    ]
    names = ["momentum", "network"]
    return pd.DataFrame(rows, columns=[*names, *MEASURES]).groupby(names, sort=False).mean()


def with_statistics(setting: Setting, reading: str, bins=15, resamples=1000) -> tuple:
    """What another reading of BatchNorm's statistics changes in each network, by its title; and by
    that reading Proposed minus Baseline."""
    about = "own", bins, resamples
    layers = compare(setting, *((n, "", reading) for n in ("baseline", "proposed")), *about)
    sides = {VARIANTS[n].title: ((n, ""), (n, "", reading)) for n in NETWORKS}
    return {title: compare(setting, *two, *about) for title, two in sides.items()}, layers
