"""Section 9: how far estimates of the calibration error are from the truth.

Every estimate is the mean over the classes of one class against the rest. Test sets are drawn from
a population ``(p, eta)`` of :mod:`acrlls.calibration.populations`, whose true error is a sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from acrlls import calibration, paper
from acrlls.calibration import debiased_ece, ece, populations, smooth_ece
from acrlls.config import PROJECT

SLIGHT, CALIBRATED = "slightly overconfident", "perfectly calibrated"
WAYS = {
    "percentile bootstrap": populations.percentile_interval,
    "inverted test": calibration.ece_interval,
}
HEADINGS = {  # of the populations and of the recorded kinds of interval
    "none": CALIBRATED,
    "slight": SLIGHT,
    "strong": "strongly overconfident",
    "weighted": "shifted as by class weights",
    "local": "wrong at some confidences only",
    "timid": "underconfident",
    "ece_interval": "inverted test",
    "percentile": "percentile bootstrap",
    "calibration_difference": "difference of two models",
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


ESTIMATORS = {
    "uniform": Estimator("ECE, equal width", lambda p, y, b: ece(p, y, b, of="mean"), _true()),
    "quantile": Estimator(
        "ECE, equal mass",
        lambda p, y, b: ece(p, y, b, "quantile", of="mean"),
        _true(strategy="quantile"),
    ),
    "minus_floor": Estimator("ECE minus its noise floor", _minus_floor, _true()),
    "without_bias": Estimator("ECE without its bias", _without_bias, _true()),
    "debiased": Estimator(
        "debiased ℓ₂ error", lambda p, y, b: debiased_ece(p, y, b, of="mean"), _true(norm="l2")
    ),
    "smooth": Estimator(
        "smooth ECE", lambda p, y, b: smooth_ece(p, y, of="mean"), _true(norm="smooth")
    ),
}
PANELS = {name: e.title for name, e in ESTIMATORS.items() if name != "quantile"}
OF_BINS = {name: ESTIMATORS[name].title for name in ("uniform", "quantile", "without_bias")}
SAME_QUANTITY = ("uniform", "minus_floor", "without_bias")


def known_populations() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The populations of this section by heading: ``(p, eta)``, both ``(100000, 4)``."""
    made = populations.synthetic()
    return {HEADINGS[name]: made[name] for name in ("strong", "slight", "none")}


def study(
    p,
    eta,
    cells: Iterable[tuple[int, int]],
    names: Iterable[str] = tuple(ESTIMATORS),
    repetitions: int = 50,
    seed: int = 0,
) -> pd.DataFrame:
    """Some estimators on many test sets from a population.

    Args:
        p, eta: the population, both ``(images, classes)``.
        cells: numbers of images and of bins, ``(n, bins)``; all estimators see the same test sets.
        names: in :data:`ESTIMATORS`.
        repetitions: test sets a cell.

    Returns:
        Index ``(estimator, n, bins)``; columns ``truth``, ``mean`` and ``sd`` of the estimates,
        their quantiles ``q05`` and ``q95``, and ``bias`` (mean minus truth).
    """
    rng, rows = np.random.default_rng(seed), {}
    for n, bins in cells:
        sets = [populations.draw(p, eta, n, rng) for _ in range(repetitions)]
        for name in names:
            found = [ESTIMATORS[name].estimate(q, y, bins) for q, y in sets]
            truth = ESTIMATORS[name].truth(p, eta, bins)
            rows[name, n, bins] = [
                *(truth, np.mean(found), np.std(found)),
                *np.quantile(found, [0.05, 0.95]),
            ]
    columns, levels = ["truth", "mean", "sd", "q05", "q95"], ["estimator", "n", "bins"]
    table = pd.DataFrame(rows.values(), pd.MultiIndex.from_tuples(rows, names=levels), columns)
    return table.assign(bias=table["mean"] - table.truth).loc[list(names)]


def studies(known: Mapping[str, tuple], cells, **how) -> dict[str, pd.DataFrame]:
    """:func:`study` of each population, by its heading."""
    return {title: study(*both, cells, **how) for title, both in known.items()}


def population_sentence(known: Mapping[str, tuple], bins: int) -> str:
    """What the populations are and how large their true errors are."""
    errors = {k: calibration.true_calibration_error(*v, bins, of="mean") for k, v in known.items()}
    said = [f"**{title}** with a true error of {error:.4f}" for title, error in errors.items()]
    images = len(next(iter(known.values()))[0])
    return (
        f"There are {len(known)} populations of {images:,} images and four classes, one of them "
        f"rare: {'; '.join(said)}. The true error, with {bins} bins, is the mean over the classes "
        "of one class against the rest. A test set is drawn from a population with replacement, "
        "and each label from the true probabilities of its image."
    )


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
    """The estimator of the ECE's own truth whose bias is smallest in its worst population."""
    every = pd.concat(tables).bias.abs().xs((n, bins), level=("n", "bins"))
    worst = every.groupby("estimator").max()[list(SAME_QUANTITY)].sort_values()
    said = [f"{ESTIMATORS[name].title} {bias:.4f}" for name, bias in worst.items()]
    return (
        "Three estimators are of the same quantity. The largest bias of each over the populations, "
        f"at {n:,} images: {'; '.join(said)}."
    )


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


def coverage(by: str, file: Path = PROJECT / "results" / "coverage" / "coverage.csv"):
    """How often the 95 % intervals held the truth, as a record in ``results/coverage`` says.

    Args:
        by: what a row is for each kind of interval: ``"of"``, ``"n"`` or ``"population"``.

    Returns:
        A Styler: the number of ``cells`` (what the interval is of, with a population, a number of
        images and of bins), the test sets of each, the lowest, mean and highest coverage, and the
        share of cells within two standard errors of 93 to 97 %.
    """
    record = pd.read_csv(file)
    if by != "of":  # two models have no population of their own
        record = record[record.interval != "calibration_difference"].copy()
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
    heading = {"of": "for", "n": "images", "population": "population"}[by]
    table = pd.DataFrame(columns).rename(index=HEADINGS).rename_axis(["interval", heading])
    decimals = {**dict.fromkeys(table, 3), "cells": 0, "test sets a cell": 0, "near 0.95": 2}
    return paper.show(table, decimals, "Coverage of 95 % intervals")


def finding(tables, intervals: Mapping[str, pd.DataFrame], truth, n: int, size: int, bins: int):
    """The finding of the section; ``intervals`` are those of :func:`repeated_intervals`."""
    calm, slight = (tables[t].loc[("uniform", n, bins)] for t in (CALIBRATED, SLIGHT))
    missed = [
        f"{((t.low > truth) | (t.high < truth)).sum()} of {len(t)} by the {title}"
        for title, t in intervals.items()
    ]
    return (
        f"An ECE says little without its noise floor: on {n:,} images a perfectly calibrated model "
        f"shows a mean class-wise ECE of {calm['mean']:.4f}, and one with a true error of "
        f"{slight.truth:.4f} shows {slight['mean']:.4f}. Of 95 % intervals one in twenty should "
        f"miss the truth; on {size:,} images it was missed in {' and '.join(missed)}."
    )
