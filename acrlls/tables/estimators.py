"""Section 10: how far estimates of the calibration error, means over the classes, are from the
truth, in test sets drawn from a population ``(p, eta)`` whose true error is a sum."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binom

from acrlls import calibration
from acrlls.calibration import debiased_ece, ece, populations, smooth_ece
from acrlls.config import PROJECT
from acrlls.tables import words

SLIGHT, CALIBRATED = "slightly overconfident", "perfectly calibrated"
KNOWN = {"strong": "strongly overconfident", "slight": SLIGHT, "none": CALIBRATED}
INTERVALS = {"ece_interval": "inverted test", "percentile": "percentile bootstrap"}
COVERAGE = PROJECT / "results" / "coverage" / "coverage.csv"


def _minus_floor(p, y, bins):
    floor = calibration.noise_floor(p, None, bins, resamples=10).mean
    return np.maximum(calibration.classwise_ece(p, y, bins) - floor, 0).mean()


def _without_bias(p, y, bins):
    return calibration.ece_interval(p, y, bins, resamples=100).estimate.mean()


# by name the title, the estimate of probabilities, labels and bins, and the norm of its true error
ESTIMATORS = {
    "uniform": ("ECE", lambda p, y, bins: ece(p, y, bins, of="mean"), "l1"),
    "minus_floor": ("ECE minus the mean floor", _minus_floor, "l1"),
    "without_bias": ("ECE without its bias", _without_bias, "l1"),
    "debiased": ("debiased ℓ₂ error", lambda p, y, bins: debiased_ece(p, y, bins, of="mean"), "l2"),
    "smooth": ("smooth ECE", lambda p, y, _: smooth_ece(p, y, of="mean"), "smooth"),
}
TITLES = {name: title for name, (title, *_) in ESTIMATORS.items()}


def known_populations() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The populations of this section by heading: ``(p, eta)``, both ``(100000, 4)``."""
    made = populations.synthetic()
    return {title: made[name] for name, title in KNOWN.items()}


def study(p, eta, sizes: Iterable[int], bins: int, repetitions: int = 50, seed: int = 0):
    """The estimators on so many test sets of each size from a population, the same for all: a row
    an estimator and size; truth, mean, sd, quantiles and bias (mean minus truth)."""
    rng, rows = np.random.default_rng(seed), {}
    for n in sizes:
        sets = [populations.draw(p, eta, n, rng) for _ in range(repetitions)]
        for name, (_, estimate, norm) in ESTIMATORS.items():
            found = [estimate(q, y, bins) for q, y in sets]
            truth = calibration.true_calibration_error(p, eta, bins, of="mean", norm=norm)
            low, high = np.quantile(found, [0.05, 0.95])
            spread = {"mean": np.mean(found), "sd": np.std(found), "q05": low, "q95": high}
            rows[name, n] = {"truth": truth, **spread}
    table = pd.DataFrame(rows).T.rename_axis(["estimator", "n"]).loc[list(ESTIMATORS)]
    return table.assign(bias=table["mean"] - table.truth)


def bias_table(tables: Mapping[str, pd.DataFrame], n: int) -> pd.DataFrame:
    """Bias and standard deviation of every estimator in each population at one size."""
    at = {title: table.xs(n, level="n")[["bias", "sd"]] for title, table in tables.items()}
    return pd.concat(at, axis=1).rename(index=TITLES).rename_axis(None)


def coverage(file: Path = COVERAGE) -> pd.DataFrame:
    """How often the 95 % intervals held the truth, by kind of interval: cells (a quantity, a
    population, a number of images and of bins), their test sets and their coverage."""
    record = pd.read_csv(file).query("interval in @INTERVALS").replace({"interval": INTERVALS})
    record["for"] = record.of.where(~record.of.str.startswith("class "), "a class")
    columns = {"cells": ("coverage", "size"), "test sets a cell": ("repetitions", "first")}
    ends = {"lowest": ("coverage", "min"), "mean": ("coverage", "mean")}
    ends["highest"] = ("coverage", "max")
    return record.groupby(["interval", "for"], sort=False).agg(**columns, **ends)


def coverage_sentence(file: Path = COVERAGE) -> str:
    """How many cells of the inverted test have another coverage than chance explains."""
    cells = pd.read_csv(file).query("interval == 'ece_interval'")
    sets = int(cells.repetitions.iloc[0])
    held, ends = (cells.coverage * sets).round(), binom.ppf([0.025, 0.975], sets, 0.95)
    below, above = (held < ends[0]).sum(), (held > ends[1]).sum()
    return (
        f"**The level of the inverted test is approximate.** Where it is 0.95, a cell of {sets} "
        f"test sets shows {words.span(ends / sets)} in 95 % of cases; of {len(cells)} cells, "
        f"{below} lie below and {above} above."
    )


def finding(tables: Mapping[str, pd.DataFrame], n: int) -> str:
    """The finding of the section, from :func:`study` of each population."""
    calm, slight = (tables[title].loc[("uniform", n)] for title in (CALIBRATED, SLIGHT))
    shown, truth, seen = (words.error(x) for x in (calm["mean"], slight.truth, slight["mean"]))
    return (
        f"**An ECE says little without its noise floor**: on {n:,} images of a synthetic "
        f"population a perfectly calibrated model shows a mean class-wise ECE of {shown} on "
        f"average, one with a true error of {truth} shows {seen}."
    )
