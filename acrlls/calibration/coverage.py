"""How often the intervals for the calibration error hold the true value, measured on populations that are known.

``python -m acrlls.calibration.coverage`` makes ``results/coverage/coverage.csv`` again; beside it stands what made it.

A population is a table of probabilities p and true probabilities eta, one row an image.  Images are drawn from it
with replacement and labels from their eta, so that :func:`acrlls.calibration.registry.true_calibration_error` of the whole
table is the true value exactly.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy.special import softmax

from acrlls.calibration import registry as calibration
from acrlls.calibration.checks import bin_edges, one_hot, places, top_label_of, whole_number
from acrlls.calibration.floor import WITHOUT_BINS
from acrlls.calibration.posthoc import PriorCorrection
from acrlls.calibration.resampling import image_counts
from acrlls.config import PROJECT

CELLS = (
    (300, 10, "uniform"),
    (1000, 15, "uniform"),
    (3179, 15, "uniform"),
    (300, 10, "quantile"),
    (3179, 15, "quantile"),
)
OF = ("classes", "mean", "top_label")
PAIRED = "calibration_difference"  # name in the record of the interval that is for two models
OFFSETS = np.array(
    [0.5, 1.0, 1.7, -1.6]
)  # of the logits: shares of the classes near the paper's, the last one rare


def synthetic(images: int = 100_000, seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Populations with four classes, the last of them rare, by name: ``(p, eta)``, both ``(images, 4)``.

    ``none`` is calibrated exactly; ``slight`` and ``strong`` are overconfident: their true temperatures are 1.1 and
    1.8; ``weighted`` is shifted as class-weighted training does, half as far; ``local`` is calibrated except
    where the confidence is between 0.6 and 0.8, which is 0.1 to 0.2 too much: most bins are right; and ``timid`` is so
    underconfident, with a true temperature of 0.4, that it errs differently within each of the few bins that it fills.
    """
    z = OFFSETS + 2.5 * np.random.default_rng(seed).normal(size=(whole_number("images", images), 4))
    p = softmax(z, axis=1)
    local, top = p.copy(), p.max(axis=1, keepdims=True)
    within = ((top > 0.6) & (top < 0.8)).ravel()
    moved = np.where(p == top, 0.6 - 0.5 * (0.8 - top), p * (0.4 + 0.5 * (0.8 - top)) / (1 - top))
    local[within] = moved[within]
    return {
        "none": (p, p),
        "slight": (p, softmax(z / 1.1, axis=1)),
        "strong": (p, softmax(z / 1.8, axis=1)),
        "weighted": (p, softmax(z - 0.5 * np.log([1.44, 0.88, 0.52, 3.94]), axis=1)),
        "local": (p, local),
        "timid": (softmax(0.4 * z, axis=1), p),
    }


def pairs(
    images: int = 100_000, seed: int = 0
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Two models of the same images, by name: ``(p, p2, eta)``, each ``(images, 4)``, with classes as in :func:`synthetic`.

    Of ``calibrated, coarser`` both are calibrated, the second tells pairs of images apart no more; of ``calibrated,
    slight`` and ``calibrated, strong`` the second is overconfident as there; the two of ``weighted, calibrated`` differ by
    a shift as there; those of ``alike`` are slightly overconfident and stray to opposite sides.
    """
    rng = np.random.default_rng(seed)
    z, stray = (
        scale * rng.normal(size=(whole_number("images", images), 4)) for scale in (2.5, 0.3)
    )
    z += OFFSETS
    p, slight, strong = (softmax(z / temperature, axis=1) for temperature in (1, 1.1, 1.8))
    order = p[:, 0].argsort()
    coarser = np.empty_like(p)
    coarser[order] = np.repeat(p[order].reshape(-1, 2, 4).mean(axis=1), 2, axis=0)
    weighted = softmax(z + 0.5 * np.log([1.44, 0.88, 0.52, 3.94]), axis=1)
    return {
        "calibrated, coarser": (p, coarser, p),
        "calibrated, slight": (slight, p, slight),
        "calibrated, strong": (strong, p, strong),
        "weighted, calibrated": (weighted, p, p),
        "alike": (softmax(z + stray, axis=1), softmax(z - stray, axis=1), slight),
    }


def draw(p, eta, n: int, rng) -> tuple[np.ndarray, np.ndarray]:
    """A sample of n images: probabilities ``(n, classes)`` and labels ``(n,)`` drawn from their eta."""
    rows = rng.integers(len(p), size=n)
    ladder = eta[rows].cumsum(axis=1)[:, :-1]
    return p[rows], (rng.random((n, 1)) >= ladder).sum(axis=1)


def percentile_interval(
    p,
    y,
    bins: int = 15,
    strategy: str = "uniform",
    *,
    of: str = "classes",
    level: float = 0.95,
    resamples: int = 500,
    seed: int = 0,
):
    """The plain percentile bootstrap of the ECE, with the bins of the sample kept: **only to show that it fails**.

    Arguments and result as those of :func:`acrlls.calibration.registry.ece_interval`.
    """
    scores, targets = p, one_hot(y, p.shape[1])
    if of == "top_label":
        scores, targets = top_label_of(p, targets)
    where = places(scores, bin_edges(scores, bins, strategy))
    residuals = [
        one_hot(w, bins) * r[:, None] for w, r in zip(where.T, (targets - scores).T, strict=True)
    ]
    drawn = [
        [np.abs(c @ r).sum(axis=1) / len(y) for r in residuals]
        for c in image_counts(y, resamples, seed)
    ]
    drawn = np.concatenate(drawn, axis=1)
    estimate = np.array([np.abs(r.sum(axis=0)).sum() / len(y) for r in residuals])
    if of == "mean":
        drawn, estimate = drawn.mean(axis=0), estimate.mean()
    low, high = np.quantile(drawn.T, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return calibration.Interval(estimate, low, high)


@dataclass(frozen=True)
class Way:
    """A kind of interval.

    Attributes:
        title: its name in tables.
        function: with the arguments of :func:`acrlls.calibration.registry.ece_interval`, without those of bins where the metric has
            none.
        metric: what it is for, as :func:`acrlls.calibration.registry.noise_floor` names it.
        of: what it can be of.
    """

    title: str
    function: Callable
    metric: str = "ece"
    of: tuple[str, ...] = OF

    def truth(self, p, eta, bins: int, strategy: str, of: str) -> np.ndarray:
        """The true error of a population, as an array."""
        if self.metric in WITHOUT_BINS:
            return WITHOUT_BINS[self.metric](
                *(top_label_of(p, eta) if of == "top_label" else (p, eta))
            )
        kind = _TRUE[self.metric]
        errors = calibration.true_calibration_error(
            p, eta, bins, strategy, of=of if of == "top_label" else "classes", **kind
        )
        return np.atleast_1d(np.mean(errors) if of == "mean" else errors)


def _without_luck(exact):
    return lambda p, y, bins, strategy, *, of, level, resamples, seed: exact(
        p, y, bins, strategy, of=of, level=level
    )


_TRUE = {
    "ece": {},
    "debiased_ece": {"norm": "l2"},
    "mce": {"norm": "max"},
    "overconfidence": {"part": "over"},
    "underconfidence": {"part": "under"},
}
_EACH = ("classes", "top_label")
WAYS = {
    "ece_interval": Way("inverted test", calibration.ece_interval),
    "debiased_ece_interval": Way(
        "inverted test, l2 error", calibration.debiased_ece_interval, "debiased_ece", _EACH
    ),
    **{
        metric: Way(
            f"inverted test, {metric}",
            partial(calibration.ece_interval, **_TRUE[metric]),
            metric,
            _EACH,
        )
        for metric in ("overconfidence", "underconfidence")
    },
    "smooth_ece_interval": Way(
        "inverted test, smooth ECE", calibration.smooth_ece_interval, "smooth_ece", _EACH
    ),
    "brier_reliability_interval": Way(
        "inverted test, Brier reliability",
        calibration.brier_reliability_interval,
        "brier_reliability",
        _EACH,
    ),
    "brier_resolution_interval": Way(
        "inverted test, Brier resolution",
        calibration.brier_resolution_interval,
        "brier_resolution",
        _EACH,
    ),
    "mce_interval": Way(
        "exact limits, maximum error", _without_luck(calibration.mce_interval), "mce", _EACH
    ),
    "percentile": Way("percentile bootstrap", percentile_interval),
}


def coverage(
    p,
    eta,
    n: int,
    bins: int = 15,
    strategy: str = "uniform",
    *,
    repetitions: int = 1000,
    resamples: int = 500,
    seed: int = 0,
    level: float = 0.95,
    way: str = "ece_interval",
):
    """How often an interval holds the true error: a row for each class, for their mean, and for the top label.

    Args:
        p, eta: the population, both ``(images, classes)``.
        n: images of each sample.
        way: the kind of interval, a name in :data:`WAYS`.

    Returns:
        DataFrame: ``truth``; ``floor``, what its estimator shows on average of a calibrated model with these scores;
        ``coverage``; ``low`` and ``high``, the shares of samples whose interval lies above and below the truth; the mean
        ``width``; and ``repetitions``.
    """
    import pandas as pd

    kind = WAYS[way]
    truth = np.concatenate([kind.truth(p, eta, bins, strategy, of) for of in kind.of])
    rng = np.random.default_rng(seed)
    ends = np.empty((whole_number("repetitions", repetitions), 2, len(truth)))
    for i in range(repetitions):
        sample = draw(p, eta, n, rng)
        how = {"level": level, "resamples": resamples, "seed": int(rng.integers(2**32))}
        binned = () if kind.metric in WITHOUT_BINS else (bins, strategy)
        found = [kind.function(*sample, *binned, of=of, **how) for of in kind.of]
        ends[i] = np.hstack([[np.atleast_1d(f.low), np.atleast_1d(f.high)] for f in found])
    floor = calibration.noise_floor(
        draw(p, eta, n, rng)[0], None, bins, 200, strategy=strategy, metric=kind.metric
    )
    of_each = {
        "classes": floor.mean,
        "mean": floor.mean.mean(),
        "top_label": floor.top_label.mean(),
    }
    names = {
        "classes": [f"class {k}" for k in range(p.shape[1])],
        "mean": ["mean"],
        "top_label": ["top label"],
    }
    table = pd.DataFrame(
        {"truth": truth.round(6)}, index=[name for of in kind.of for name in names[of]]
    )
    table["floor"] = np.hstack([of_each[of] for of in kind.of]).round(5)
    return table.join(_held(ends, truth).set_index(table.index))


def paired_coverage(
    p,
    p2,
    eta,
    n: int,
    bins: int = 15,
    strategy: str = "uniform",
    *,
    repetitions: int = 1000,
    resamples: int = 500,
    seed: int = 0,
    level: float = 0.95,
):
    """How often :func:`acrlls.calibration.registry.calibration_difference` holds the true difference of two models.

    Args:
        p, p2, eta: the population, all ``(images, classes)``.

    Returns:
        As :func:`coverage`, a row for the sum over the classes and one for the top label.
    """
    import pandas as pd

    l2 = WAYS["debiased_ece_interval"]
    squares = [[l2.truth(q, eta, bins, strategy, of) ** 2 for q in (p, p2)] for of in l2.of]
    truth = np.array([first.sum() - second.sum() for first, second in squares])
    rng = np.random.default_rng(seed)
    ends = np.empty((whole_number("repetitions", repetitions), 2, len(truth)))
    for i in range(repetitions):
        both, y = draw(np.hstack([p, p2]), eta, n, rng)
        first, second = np.hsplit(both, 2)
        how = {"level": level, "resamples": resamples, "seed": int(rng.integers(2**32))}
        found = [
            calibration.calibration_difference(first, y, second, bins, strategy, of=of, **how)
            for of in l2.of
        ]
        ends[i] = [[f.low for f in found], [f.high for f in found]]
    table = pd.DataFrame(
        {"truth": truth.round(6), "floor": 0.0}, index=["sum over classes", "top label"]
    )
    return table.join(_held(ends, truth).set_index(table.index))


def _held(ends, truth):
    """Share of intervals ``(repetitions, 2, columns)`` that hold each truth or miss it, and their mean width."""
    import pandas as pd

    tiny = 1e-12  # a true error of zero is computed as 1e-17
    low, high = ends.swapaxes(0, 1)
    above, below = low > truth + tiny, high < truth - tiny
    within = (low <= truth + tiny) & (
        high >= truth - tiny
    )  # not what is left: of NaN nothing holds
    columns = {
        "coverage": within.mean(axis=0),
        "low": above.mean(axis=0),
        "high": below.mean(axis=0),
    }
    others = {"width": (high - low).mean(axis=0).round(5), "repetitions": len(ends)}
    return pd.DataFrame({name: share.round(4) for name, share in columns.items()} | others)


def recorded(
    folder: Path = PROJECT / "results" / "population",
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The recorded phantoms as a network sees them, as trained and after prior correction; none where none is kept."""
    if not folder.exists():
        return {}
    from acrlls.phantom.population import load_population

    kept = load_population(folder)
    corrected = PriorCorrection(kept.class_weights).predict_proba(kept.logits)
    return {
        "phantom": (kept.probabilities, kept.eta),
        "phantom, prior corrected": (corrected, kept.eta),
    }


def study(
    populations: Mapping[str, tuple],
    models: Mapping[str, tuple],
    cells=CELLS,
    repetitions: int = 1000,
    seed: int = 0,
    jobs: int = 2,
):
    """:func:`coverage` of every kind of interval and population in every cell ``(n, bins, strategy)``, and
    :func:`paired_coverage` of every pair of models, one long table.

    Of :func:`percentile_interval` the last of the cells of equal width alone, and of what has no bins each of those cells
    with 60 drawings, both with a tenth as many repetitions, for they are slow; of the maximum error the cells of equal mass,
    for a sample may leave bins of equal width empty.
    """
    import pandas as pd
    from joblib import Parallel, delayed

    widths, masses = (
        [c for c in cells if c[2] == strategy] for strategy in ("uniform", "quantile")
    )
    without_bins = [way for way, kind in WAYS.items() if kind.metric in WITHOUT_BINS]
    those = {"percentile": widths[-1:], "mce_interval": masses} | dict.fromkeys(
        without_bins, widths
    )
    keys = [
        (way, name, *cell) for way in WAYS for name in populations for cell in those.get(way, cells)
    ]
    keys += [(PAIRED, name, *cell) for name in models for cell in cells]

    def one(way, name, *cell):
        if way == PAIRED:
            return paired_coverage(*models[name], *cell, repetitions=repetitions, seed=seed)
        times = max(repetitions // 10, 1) if way in (*without_bins, "percentile") else repetitions
        drawings = {"resamples": 60} if way in without_bins else {}
        return coverage(
            *populations[name], *cell, repetitions=times, seed=seed, way=way, **drawings
        )

    tables = Parallel(jobs, verbose=10)(delayed(one)(*key) for key in keys)
    names = ["interval", "population", "n", "bins", "strategy", "of"]
    return pd.concat(dict(zip(keys, tables, strict=True)), names=names)


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m acrlls.calibration.coverage",
        description="Coverage of the intervals for the calibration error.",
    )
    parser.add_argument("-o", "--output", type=Path, default=PROJECT / "results" / "coverage")
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args(arguments)
    populations = synthetic() | recorded()
    models = pairs()
    table = study(populations, models, CELLS, given.repetitions, given.seed, given.jobs)
    given.output.mkdir(parents=True, exist_ok=True)
    table.to_csv(given.output / "coverage.csv")
    made_by = {
        "command": f"python -m acrlls.calibration.coverage --repetitions {given.repetitions} --seed {given.seed}",
        "images": {name: len(p) for name, (p, *_) in (populations | models).items()},
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
    }
    (given.output / "manifest.json").write_text(json.dumps(made_by, indent=1) + "\n")


if __name__ == "__main__":
    main()
