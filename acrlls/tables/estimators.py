"""Section 9: how far estimates of the calibration error are from the truth.

Every estimate is the mean over the classes of one class against the rest. Test sets are drawn from
a population ``(p, eta)`` of :mod:`acrlls.calibration.populations`, whose true error is a sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from acrlls import calibration, paper
from acrlls.calibration import populations
from acrlls.config import PROJECT, UserError

SLIGHT, CALIBRATED = "slightly overconfident", "perfectly calibrated"
WAYS = {
    "percentile bootstrap": populations.percentile_interval,
    "inverted test": calibration.ece_interval,
}
RECORDED = {  # heading of a kind of interval, by its name in the record
    "ece_interval": "inverted test",
    "percentile": "percentile bootstrap",
    "calibration_difference": "difference of two models",
}


HEADINGS = {  # of the recorded populations
    "none": "perfectly calibrated",
    "slight": "slightly overconfident",
    "strong": "strongly overconfident",
    "weighted": "shifted as by class weights",
    "local": "wrong at some confidences only",
    "timid": "underconfident",
}


class Estimator(NamedTuple):
    """An estimator, ``estimate(p, y, bins)``, and what it estimates, ``truth(p, eta, bins)``."""

    title: str
    estimate: Callable
    truth: Callable


def _true(**kind):
    return lambda p, eta, bins: calibration.true_calibration_error(p, eta, bins, of="mean", **kind)


def _minus_floor(p, y, bins):
    floor = calibration.noise_floor(p, None, bins, resamples=10).mean
    return np.maximum(calibration.classwise_ece(p, y, bins) - floor, 0).mean()


def _without_bias(p, y, bins):
    return calibration.ece_interval(p, y, bins, resamples=100).estimate.mean()


ESTIMATORS: dict[str, Estimator] = {
    "uniform": Estimator(
        "ECE, equal width", lambda p, y, bins: calibration.ece(p, y, bins, of="mean"), _true()
    ),
    "quantile": Estimator(
        "ECE, equal mass",
        lambda p, y, bins: calibration.ece(p, y, bins, "quantile", of="mean"),
        _true(strategy="quantile"),
    ),
    "minus_floor": Estimator("ECE minus its noise floor", _minus_floor, _true()),
    "without_bias": Estimator("ECE without its bias", _without_bias, _true()),
    "debiased": Estimator(
        "debiased ℓ₂ error",
        lambda p, y, bins: calibration.debiased_ece(p, y, bins, of="mean"),
        _true(norm="l2"),
    ),
    "smooth": Estimator(
        "smooth ECE",
        lambda p, y, bins: calibration.smooth_ece(p, y, of="mean"),
        _true(norm="smooth"),
    ),
}
PANELS = {name: e.title for name, e in ESTIMATORS.items() if name != "quantile"}
OF_BINS = {name: ESTIMATORS[name].title for name in ("uniform", "quantile", "without_bias")}
SAME_QUANTITY = ("uniform", "minus_floor", "without_bias")


def known_populations(seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The populations of this section by heading: ``(p, eta)``, both ``(100000, 4)``."""
    made = populations.synthetic(seed=seed)
    return {HEADINGS[name]: made[name] for name in ("strong", "slight", "none")}


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
        cells: numbers of images and of bins, ``(n, bins)``; all estimators see the same test sets.
        names: in :data:`ESTIMATORS`; None takes all.
        repetitions: test sets a cell.

    Returns:
        Index ``(estimator, n, bins)``; columns ``truth``, ``mean`` and ``sd`` of the estimates,
        their quantiles ``q05`` and ``q95``, and ``bias`` (mean minus truth).

    Raises:
        ValueError: an unknown name, or bad input.
    """
    names = list(ESTIMATORS if names is None else names)
    if unknown := [name for name in names if name not in ESTIMATORS]:
        known = ", ".join(ESTIMATORS)
        raise ValueError(f"there is no estimator {unknown[0]!r}; choose from: {known}")
    rng, rows = np.random.default_rng(seed), {}
    for n, bins in cells:
        sets = [populations.draw(p, eta, n, rng) for _ in range(repetitions)]
        for name in names:
            truth = ESTIMATORS[name].truth(p, eta, bins)
            found = np.array([ESTIMATORS[name].estimate(q, y, bins) for q, y in sets])
            low, high = np.quantile(found, [0.05, 0.95])
            rows[name, n, bins] = [
                truth,
                found.mean(),
                found.std(),
                low,
                high,
                found.mean() - truth,
            ]
    columns = ["truth", "mean", "sd", "q05", "q95", "bias"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    table.index = pd.MultiIndex.from_tuples(table.index, names=["estimator", "n", "bins"])
    return table.loc[names]


def studies(known: Mapping[str, tuple], cells, names=None, repetitions=50, seed=0) -> dict:
    """:func:`study` of each population, by its heading."""
    return {
        title: study(*both, cells, names, repetitions=repetitions, seed=seed)
        for title, both in known.items()
    }


def population_sentences(known: Mapping[str, tuple], bins: int) -> str:
    """What the populations are and how large their true errors are."""
    errors = {k: calibration.true_calibration_error(*v, bins, of="mean") for k, v in known.items()}
    said = [
        f"**{title}** with a true error of {error:.4f}" if error > 1e-9 else f"**{title}**"
        for title, error in errors.items()
    ]
    images = len(next(iter(known.values()))[0])
    return (
        f"There are {len(known)} populations of {images:,} images and four classes, one of them "
        f"rare: {'; '.join(said)}. The true error, with {bins} bins, is the mean over the classes "
        "of one class against the rest. A test set is drawn from a population with replacement, "
        "and each label from the true probabilities of its image."
    )


def nearest(sizes: Sequence[int], size: int) -> int:
    """The one of ``sizes`` that is nearest to a size, by their ratio."""
    return min(sizes, key=lambda n: abs(np.log(n / size)))


def bias_table(tables: Mapping[str, pd.DataFrame], n: int, bins: int):
    """Bias and standard deviation of every estimator in each population, as a Styler."""
    titles = {name: e.title for name, e in ESTIMATORS.items()}
    columns = {
        (title, heading): table.xs((n, bins), level=("n", "bins"))[column].rename(titles)
        for title, table in tables.items()
        for column, heading in (("bias", "bias"), ("sd", "SD"))
    }
    frame = pd.DataFrame(columns).rename_axis(None)
    return paper.show(frame, 4, f"{n:,} images, {bins} bins: bias (mean minus truth) and SD")


def bias_sentence(tables: Mapping[str, pd.DataFrame], n: int, bins: int) -> str:
    """The largest bias of the estimators of the same quantity, least first."""
    bias = {
        name: max(abs(table.loc[(name, n, bins), "bias"]) for table in tables.values())
        for name in SAME_QUANTITY
    }
    best, *others = sorted(bias, key=bias.get)
    rest = " and ".join(f"{bias[name]:.4f} for the {_plain(name)}" for name in others)
    return (
        f"Of the three estimates of the same quantity, the {_plain(best)} has the smallest bias in "
        f"its worst population at {n:,} images: {bias[best]:.4f}, against {rest}."
    )


def _plain(name: str) -> str:
    return ESTIMATORS[name].title.replace(", equal width", " itself")


def repeated_intervals(
    p, eta, k: int, n: int, bins: int = 15, repetitions: int = 40, resamples: int = 300, seed=0
) -> dict[str, pd.DataFrame]:
    """95 % intervals for the error of class ``k`` from many test sets of ``n`` images.

    Returns:
        By the heading of the kind of interval a DataFrame with columns ``estimate``, ``low`` and
        ``high``, a row a test set.
    """
    rng, rows = np.random.default_rng(seed), {title: [] for title in WAYS}
    for _ in range(repetitions):
        sample = populations.draw(p, eta, n, rng)
        how = {"resamples": resamples, "seed": int(rng.integers(2**32))}
        for title, way in WAYS.items():
            rows[title].append([end[k] for end in way(*sample, bins, **how)])
    columns = ["estimate", "low", "high"]
    return {title: pd.DataFrame(found, columns=columns) for title, found in rows.items()}


def recorded_coverage(by: str = "of", folder: str | Path = PROJECT / "results" / "coverage"):
    """How often the 95 % intervals held the truth, as ``results/coverage`` records it.

    Args:
        by: what a row is for each kind of interval: ``"of"``, ``"n"`` or ``"population"``.

    Returns:
        DataFrame: the number of ``cells`` (what the interval is of, with a population, a number of
        images and of bins), the test sets of each, the lowest, mean and highest coverage, and the
        share of cells within two standard errors of 93 to 97 %.

    Raises:
        UserError: there is no record.
    """
    file = Path(folder) / "coverage.csv"
    if not file.is_file():
        raise UserError(f"{file} is missing; `python results/coverage/coverage.py` makes it")
    record = pd.read_csv(file)
    record["of"] = record.of.where(~record.of.str.startswith("class "), "a class")
    error = np.sqrt(0.95 * 0.05 / record.repetitions)
    record["near"] = record.coverage.between(0.93 - 2 * error, 0.97 + 2 * error)
    groups = record.groupby(["interval", by], sort=False)
    columns = {
        "cells": groups.size(),
        "test sets a cell": groups.repetitions.first(),
        "lowest": groups.coverage.min(),
        "mean": groups.coverage.mean(),
        "highest": groups.coverage.max(),
        "near 0.95": groups.near.mean(),
    }
    return pd.DataFrame(columns).rename(index=RECORDED, level="interval")


def coverage_table():
    """:func:`recorded_coverage` of each kind of interval, by what it is of, as a Styler."""
    table = recorded_coverage().rename_axis(index=["interval", "for"])
    places = {"cells": 0, "test sets a cell": 0, "near 0.95": 2}
    decimals = {name: places.get(name, 3) for name in table.columns}
    return paper.show(table, decimals, "Coverage of 95 % intervals")


def mean_coverage(by: str):
    """Mean coverage of the intervals for one model by ``"n"`` or ``"population"``, as a Styler."""
    table = recorded_coverage(by)["mean"].unstack("interval", sort=False)
    table = table.drop(columns="difference of two models").dropna(how="all")
    index = [
        HEADINGS.get(label, f"{label:,} images" if by == "n" else label) for label in table.index
    ]
    table = table.set_axis(index).rename_axis(columns=None)
    named = {"n": "number of images", "population": "population"}[by]
    return paper.show(table, 3, f"Mean coverage by {named}")


def missed_sentence(intervals: Mapping[str, pd.DataFrame], truth: float, size: int) -> str:
    """How often the intervals of :func:`repeated_intervals` missed the truth."""
    missed = {
        title: int(((t.low > truth) | (t.high < truth)).sum()) for title, t in intervals.items()
    }
    shown = len(next(iter(intervals.values())))
    often = [
        f"the {way} missed it {'once' if k == 1 else f'{k} times'}"
        if k
        else f"the {way} never missed it"
        for way, k in missed.items()
    ]
    return (
        f"A 95 % interval should miss the truth in one test set of twenty. In {shown} test sets of "
        f"{size:,} images, {' and '.join(often)}."
    )


def finding(tables, intervals, truth: float, n: int, size: int, bins: int) -> str:
    """The finding of the section."""
    calm, slight = (tables[t].loc[("uniform", n, bins)] for t in (CALIBRATED, SLIGHT))
    return (
        f"An ECE says little without its noise floor: on {n:,} images a perfectly calibrated model "
        f"shows a mean class-wise ECE of {calm['mean']:.4f}, and one with a true error of "
        f"{slight.truth:.4f} shows {slight['mean']:.4f}. " + missed_sentence(intervals, truth, size)
    )
