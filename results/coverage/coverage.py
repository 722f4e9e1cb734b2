"""How often the intervals for the calibration error hold the true value.

``python results/coverage/coverage.py`` makes ``coverage.csv`` beside it again. Each of the known
populations is sampled many times; a row of the table says how often an interval that aims at 0.95
held the true error of a class, of the mean over the classes, or of the top label.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.special import softmax

from acrlls import calibration
from acrlls.calibration import populations
from acrlls.calibration.binning import binned, columns_of, labels_from
from acrlls.calibration.resampling import Interval, image_counts

HERE = Path(__file__).parent
CELLS = (  # images, bins, strategy
    (300, 10, "uniform"),
    (1000, 15, "uniform"),
    (3179, 15, "uniform"),
    (300, 10, "quantile"),
    (3179, 15, "quantile"),
)
OF = ("classes", "mean", "top_label")


WEIGHTS = np.array([1.44, 0.88, 0.52, 3.94])  # class weights that go with the populations' shares


def known(images: int = 100_000, seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The package's populations and four more: ``weighted`` is shifted as class-weighted training
    does, half as far; ``local`` is calibrated except where the confidence is between 0.6 and 0.8,
    which is 0.1 to 0.2 too high; ``isotonic`` and ``histogram`` are ``weighted`` after these
    post-hoc methods, fitted to 2,000 images: few scores, and some of them exactly 0 or 1.
    """
    rng = np.random.default_rng(seed)
    z = populations.OFFSETS + 2.5 * rng.normal(size=(images, 4))
    p = softmax(z, axis=1)
    top = p.max(axis=1, keepdims=True)
    moved = np.where(p == top, 0.6 - 0.5 * (0.8 - top), p * (0.4 + 0.5 * (0.8 - top)) / (1 - top))
    eta = softmax(z - 0.5 * np.log(WEIGHTS), axis=1)
    fitted = z[:2000], labels_from(eta[:2000], rng.random(len(z[:2000])))
    after = {m: calibration.METHODS[m].make(None).fit(*fitted) for m in ("isotonic", "histogram")}
    first = populations.synthetic(images, seed)
    timid = {"timid": first.pop("timid")}
    bent = {"weighted": (p, eta), "local": (p, np.where((top > 0.6) & (top < 0.8), moved, p))}
    few = {name: (method.predict_proba(z), eta) for name, method in after.items()}
    return first | bent | timid | few


def percentile_interval(
    p, y, bins=15, strategy="uniform", *, of="classes", resamples=500, seed=0
) -> Interval:
    """The percentile bootstrap of the ECE, with the bins kept, only to show that it fails."""
    scores, targets = columns_of(p, np.eye(p.shape[1])[y], of)
    held = binned(scores, targets, bins, strategy)
    # the residuals of each column in its bins, (n, bins), whose sums over images are the gaps
    pairs = zip(held.where.T, (targets - scores).T, strict=True)
    residuals = [np.eye(held.count.shape[1])[w] * r[:, None] for w, r in pairs]
    counts = np.concatenate([np.ones((1, len(y))), *image_counts(y, resamples, seed)])
    errors = np.array([np.abs(counts @ r).sum(axis=1) for r in residuals]) / len(y)
    if of == "mean":
        errors = errors.mean(axis=0, keepdims=True)
    ends = np.quantile(errors[:, 1:], [0.025, 0.975], axis=1)
    found = np.vstack([errors[:, 0], ends])
    return Interval(*(found if of == "classes" else found[:, 0].tolist()))


WAYS = {"ece_interval": calibration.ece_interval, "percentile": percentile_interval}


def coverage(
    p, eta, n, bins, strategy, *, way="ece_interval", repetitions=600, resamples=500, seed=0
):
    """A row for each class, for their mean and for the top label of one population.

    Returns:
        DataFrame: ``truth``; ``floor``, the mean ECE of a calibrated model with these scores;
        ``coverage``; ``low`` and ``high``, the shares of samples whose interval lies above and
        below the truth; the mean ``width``; and ``repetitions``.
    """
    truth = [calibration.true_calibration_error(p, eta, bins, strategy, of=of) for of in OF]
    rng, ends = np.random.default_rng(seed), []
    for _ in range(repetitions):
        sample = populations.draw(p, eta, n, rng)
        how = {"resamples": resamples, "seed": int(rng.integers(2**32))}
        found = [WAYS[way](*sample, bins, strategy, of=of, **how) for of in OF]
        ends.append([np.hstack([f.low for f in found]), np.hstack([f.high for f in found])])
    scores = populations.draw(p, eta, n, rng)[0]
    floor = calibration.noise_floor(scores, None, bins, 200, strategy=strategy)
    index = [*(f"class {k}" for k in range(p.shape[1])), "mean", "top label"]
    table = pd.DataFrame({"truth": np.hstack(truth).round(6)}, index=index)
    table["floor"] = np.hstack([floor.mean, floor.mean.mean(), floor.top_label.mean()]).round(5)
    return table.join(held(np.array(ends), np.hstack(truth)).set_index(table.index))


def held(ends, truth) -> pd.DataFrame:
    """Shares of intervals ``(repetitions, 2, columns)`` that hold each truth or miss it."""
    tiny = 1e-12  # a true error of zero is computed as 1e-17
    low, high = ends.swapaxes(0, 1)
    within = (low <= truth + tiny) & (high >= truth - tiny)  # of NaN, nothing holds
    shares = {"coverage": within, "low": low > truth + tiny, "high": high < truth - tiny}
    table = pd.DataFrame({name: share.mean(axis=0).round(4) for name, share in shares.items()})
    return table.assign(width=(high - low).mean(axis=0).round(5), repetitions=len(ends))


def study(repetitions: int, seed: int, jobs: int) -> pd.DataFrame:
    """Every population in every cell, one long table.

    The percentile bootstrap, which is slow, has one cell and a tenth of the repetitions.
    """
    every = known()
    keys = [("ece_interval", name, *cell) for name in every for cell in CELLS]
    keys += [("percentile", name, *CELLS[2]) for name in every]

    def one(way, name, *cell):
        times = max(repetitions // 10, 1) if way == "percentile" else repetitions
        return coverage(*every[name], *cell, way=way, repetitions=times, seed=seed)

    tables = Parallel(jobs, verbose=10)(delayed(one)(*key) for key in keys)
    names = ["interval", "population", "n", "bins", "strategy", "of"]
    return pd.concat(dict(zip(keys, tables, strict=True)), names=names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=HERE)
    parser.add_argument("--repetitions", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    table = study(given.repetitions, given.seed, given.jobs)
    given.output.mkdir(parents=True, exist_ok=True)
    table.to_csv(given.output / "coverage.csv")
    command = "python results/coverage/coverage.py"
    made_by = {
        "command": f"{command} --repetitions {given.repetitions} --seed {given.seed}",
        "images": 100_000,
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
    }
    (given.output / "manifest.json").write_text(json.dumps(made_by, indent=1) + "\n")


if __name__ == "__main__":
    main()
