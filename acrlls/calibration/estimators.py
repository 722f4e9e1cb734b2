"""How far estimates of the calibration error are from the truth, over many test sets of a known population.

A population is what a model says, ``p``, and the true probabilities ``eta``, both ``(images, classes)``, such as a
recorded :class:`acrlls.phantom.population.Population`.  A test set is drawn from it with replacement, and each label from the
``eta`` of its image, so that the table itself is the population and its calibration error the truth.  Every quantity
is the mean over the classes of one class against the rest.

References:
    - [1] A. Kumar, P. Liang, T. Ma, "Verified uncertainty calibration", NeurIPS 2019.
    - [2] J. Błasiok, P. Nakkiran, "Smooth ECE: principled reliability diagrams via kernel smoothing", ICLR 2024.
    - [3] T. Dimitriadis, T. Gneiting, A. I. Jordan, "Stable reliability diagrams for probabilistic classifiers",
      PNAS 118, 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from acrlls.calibration import coverage
from acrlls.calibration import registry as calibration
from acrlls.calibration.checks import whole_number
from acrlls.calibration.floor import WITHOUT_BINS
from acrlls.config import PROJECT, UserError

# Drawings behind each estimate that needs some; few, for what they add to the spread is averaged over the test sets.
_FLOOR_DRAWS, _INTERVAL_DRAWS = 10, 100


@dataclass(frozen=True)
class Estimator:
    """An estimator of the registry.

    Attributes:
        title: heading of its panel.
        estimate: function ``(p, y, bins)`` of a test set, a number.
        truth: function ``(p, eta, bins)`` of the population: what it estimates, with ``eta`` in place of labels.
    """

    title: str
    estimate: Callable
    truth: Callable


def _ece(strategy):
    return (
        lambda p, y, bins: calibration.classwise_ece(p, y, bins, strategy).mean(),
        lambda p, eta, bins: calibration.true_calibration_error(p, eta, bins, strategy).mean(),
    )


def _minus_floor(p, y, bins):
    floor = calibration.noise_floor(p, None, bins, _FLOOR_DRAWS).mean
    return np.maximum(calibration.classwise_ece(p, y, bins) - floor, 0).mean()


def _freed(p, y, bins):
    return calibration.ece_interval(p, y, bins, resamples=_INTERVAL_DRAWS).estimate.mean()


ESTIMATORS: dict[str, Estimator] = {
    "uniform": Estimator("ECE, equal width", *_ece("uniform")),
    "quantile": Estimator("ECE, equal mass", *_ece("quantile")),
    "minus_floor": Estimator("ECE minus its floor", _minus_floor, _ece("uniform")[1]),
    "freed": Estimator("ECE freed of its bias", _freed, _ece("uniform")[1]),
    "debiased": Estimator(
        "debiased l2 error",
        lambda p, y, bins: calibration.classwise_debiased_ece(p, y, bins).mean(),
        lambda p, eta, bins: calibration.true_calibration_error(p, eta, bins, norm="l2").mean(),
    ),
    "smooth": Estimator(
        "smooth ECE",
        lambda p, y, bins: calibration.classwise_smooth_ece(p, y).mean(),
        lambda p, eta, bins: WITHOUT_BINS["smooth_ece"](p, eta).mean(),
    ),
    "reliability": Estimator(
        "Brier reliability",
        lambda p, y, bins: calibration.brier_parts(p, y).reliability.mean(),
        lambda p, eta, bins: WITHOUT_BINS["brier_reliability"](p, eta).mean(),
    ),
}


def study(
    p,
    eta,
    cells: Iterable[tuple[int, int]],
    names: Sequence[str] | None = None,
    repetitions: int = 50,
    seed: int = 0,
) -> pd.DataFrame:
    """Every estimator on many test sets from a population.

    Args:
        p, eta: the population, both ``(images, classes)``.
        cells: numbers of images and of bins, ``(n, bins)``.  All estimators see the same test sets.
        names: in :data:`ESTIMATORS`; None takes all.
        repetitions: test sets a cell.

    Returns:
        Index ``(estimator, n, bins)``; columns ``truth``, ``mean`` and ``sd`` of the estimates, ``q05`` and ``q95``,
        ``bias`` (mean minus truth) and ``rmse``, their root mean square distance from the truth.

    Raises:
        ValueError: an unknown name, or bad input.
    """
    p, eta = calibration.check(p), calibration.check(eta, name="eta")
    if p.shape != eta.shape:
        raise ValueError(f"p has shape {p.shape} and eta {eta.shape}; they must be equal")
    names = list(ESTIMATORS) if names is None else list(names)
    if unknown := [name for name in names if name not in ESTIMATORS]:
        raise ValueError(
            f"there is no estimator {unknown[0]!r}; choose from: {', '.join(ESTIMATORS)}"
        )
    repetitions = whole_number("repetitions", repetitions)
    rng, rows, truths = np.random.default_rng(seed), {}, {}
    for n, bins in cells:
        sets = [coverage.draw(p, eta, n, rng) for _ in range(repetitions)]
        for name in names:
            if (name, bins) not in truths:
                truths[name, bins] = ESTIMATORS[name].truth(p, eta, bins)
            found = np.array([ESTIMATORS[name].estimate(q, y, bins) for q, y in sets])
            rows[name, n, bins] = _summary(found, truths[name, bins])
    table = pd.DataFrame(rows).T.rename_axis(["estimator", "n", "bins"])
    return table.loc[names]


def _summary(found, truth):
    low, high = np.quantile(found, [0.05, 0.95])
    return {
        "truth": truth,
        "mean": found.mean(),
        "sd": found.std(),
        "q05": low,
        "q95": high,
        "bias": found.mean() - truth,
        "rmse": np.sqrt(((found - truth) ** 2).mean()),
    }


def repeated_intervals(
    p,
    eta,
    k: int,
    n: int,
    bins: int = 15,
    repetitions: int = 40,
    resamples: int = 300,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """95 % intervals for the calibration error of class ``k`` from many test sets of a population.

    Args:
        p, eta: the population, both ``(images, classes)``.
        n: images of each test set.
        resamples: drawings behind each interval.

    Returns:
        ``"percentile bootstrap"``, the middle of the ECEs of resampled images, and ``"inverted test"``, that of
        :func:`acrlls.calibration.registry.ece_interval`: a DataFrame each with columns ``estimate``, ``low`` and ``high``, a
        row a test set.
    """
    rng = np.random.default_rng(seed)
    ways = [coverage.WAYS[name] for name in ("percentile", "ece_interval")]
    rows = {way.title: [] for way in ways}
    for _ in range(whole_number("repetitions", repetitions)):
        scores, labels = coverage.draw(p, eta, n, rng)
        how = {"resamples": resamples, "seed": int(rng.integers(2**32))}
        for way in ways:
            found = way.function(scores, labels, bins, **how)
            rows[way.title].append([found.estimate[k], found.low[k], found.high[k]])
    return {
        title: pd.DataFrame(found, columns=["estimate", "low", "high"])
        for title, found in rows.items()
    }


def recorded_coverage(
    folder: str | Path = PROJECT / "results" / "coverage", by: str = "population"
) -> pd.DataFrame:
    """How often the 95 % intervals held the truth, as recorded by ``python -m acrlls.calibration.coverage``.

    Args:
        by: what a row is for each kind of interval: a ``"population"``, a number ``"n"`` of images, or what the interval is
            ``"of"``.

    Returns:
        Columns ``cells`` (each a class, the mean or sum of the classes or the top label, with a number of images and of bins),
        ``repetitions`` of a cell, ``lowest``, ``mean`` and ``highest`` coverage, ``near``, the share of cells with one of 93 to
        97 %, and ``within error``, of those no further from that than two standard errors of that many samples.

    Raises:
        UserError: there is no record.
        ValueError: ``by`` is none of these.
    """
    file = Path(folder) / "coverage.csv"
    if not file.is_file():
        raise UserError(
            f"no coverage is recorded in {file.parent.name}/; `python -m acrlls.calibration.coverage` records it"
        )
    if by not in ("population", "n", "of"):
        raise ValueError(f"by is {by!r}; choose one of: population, n, of")
    record = pd.read_csv(file)
    record["of"] = record.of.where(~record.of.str.startswith("class "), "a class")
    if "repetitions" not in record:
        raise UserError(
            f"the record in {file.parent.name}/ is an older one; `python -m acrlls.calibration.coverage` makes it again"
        )
    error = np.sqrt(0.95 * 0.05 / record.repetitions)
    record["near"] = record.coverage.between(0.93, 0.97)
    record["within error"] = record.coverage.between(0.93 - 2 * error, 0.97 + 2 * error)
    groups = record.groupby(["interval", by], sort=False)
    table = groups.coverage
    columns = {"cells": table.size(), "repetitions": groups.repetitions.first()}
    summary = pd.DataFrame(
        {**columns, "lowest": table.min(), "mean": table.mean(), "highest": table.max()}
    )
    summary = summary.join(groups[["near", "within error"]].mean())
    titles = {name: way.title for name, way in coverage.WAYS.items()} | {
        coverage.PAIRED: "difference of two models"
    }
    return summary.rename(index=titles, level="interval")
