"""Section 6: noise floor, number of bins, other measures, post-hoc methods, and the truth."""

import numpy as np
import pandas as pd

from acrlls import calibration
from acrlls.calibration import METHODS
from acrlls.data import batch, load_data
from acrlls.tables.compare import interval, weighted_mean
from acrlls.tables.recorded import probabilities
from acrlls.tables.words import error, number, percent, plural

ALPHA = 0.05
HEADINGS = {
    "observed": "ECE",
    "mean": "floor, mean",
    "q05": "floor, 5 %",
    "q95": "floor, 95 %",
    "p_above": "p, larger",
    "p_below": "p, smaller",
}
ENDS = {"low": "from", "high": "to"}  # of the 95 % interval, in a table that is shown
MEASURES = ["ece", "ece_quantile", "overconfidence", "underconfidence", "mce", "debiased_ece"]
SLOW = ("smooth_ece", "brier_reliability")  # fitted anew to every drawing of the labels
SLOW_DRAWS = 200


def near(runs, resamples: int = 1000, low: float = 0.96, high: float = 0.98) -> str:
    """Whether answers with a confidence in ``(low, high]`` are right as often as it says: shares
    over all runs, their mean gap with the interval of :func:`acrlls.tables.compare.interval`, and
    the class where the share is lowest."""
    tests, names = [run.predictions("test") for run in runs], np.array(runs[0].class_names)
    p, labels = np.array([test.probabilities for test in tests]), tests[0].labels
    sure, right = p.max(axis=2), p.argmax(axis=2) == labels
    close = (low < sure) & (sure <= high)
    if not close.any():
        return f"No answer has a confidence of {low} to {high}."

    def gap(scores, labels, weights):
        top = scores.max(axis=1)
        gaps = (scores.argmax(axis=1) == labels) - top
        inside = (low < top) & (top <= high)
        return weighted_mean((gaps * inside)[:, None], weights * inside + 1e-12)  # none: no gap

    seeds = [run.config.seed for run in runs]
    ends = interval(gap, p, labels, np.ones(len(labels)), seeds, resamples)
    points = [100 * float(end[0]) for end in ends]
    said = int(points[1] > 0) - int(points[2] < 0)
    verdict = ("too high", "not shown to be wrong", "too low")[said + 1]
    each = pd.DataFrame({"class": names[p.argmax(axis=2)[close]], "right": right[close]})
    by_class = each.groupby("class").right.agg(["mean", "size"])
    worst = by_class["mean"].idxmin()
    change, *reach = (number(x, 1, signed=True) for x in points)
    return (
        f"**A confidence near {(low + high) / 2:.2f} is {verdict}, over all classes and on images "
        f"like these**: of the answers given with {low} to {high}, {percent(each.right.mean(), 1)} "
        f"were right, and their mean confidence was {percent(sure[close].mean(), 1)} "
        f"({plural(len(each), 'answer')} of {plural(len(runs), 'run')}). The difference is "
        f"{change} points, with a 95 % interval over seeds and images of {' to '.join(reach)}. By "
        f"predicted class the share of right answers is lowest for {worst}: "
        f"{percent(by_class['mean'][worst])} of {plural(int(by_class['size'][worst]), 'answer')}."
    )


def floors(run, several_bins, resamples: int) -> dict[int, pd.DataFrame]:
    """Tables of the noise floor of a run's test probabilities by number of bins."""
    test = run.predictions("test")
    about = test.probabilities, test.labels
    return {
        bins: calibration.noise_floor(*about, bins, resamples).table(run.class_names)
        for bins in several_bins
    }


def measures(run, bins: int, resamples: int) -> pd.DataFrame:
    """P-value of a value at least as large of each measure of calibration, a row a measure, a
    column a class and the top label; the slow measures get at most ``SLOW_DRAWS``."""
    test, rows = run.predictions("test"), {}
    for name in (*MEASURES, *SLOW):
        draws = min(resamples, SLOW_DRAWS) if name in SLOW else resamples
        floor = calibration.noise_floor(test.probabilities, test.labels, bins, draws, metric=name)
        title = calibration.METRICS[name].title.removeprefix("Top-label ")
        rows[title[0].upper() + title[1:]] = floor.table(run.class_names).p_above
    return pd.DataFrame(rows).T


def post_hoc(run) -> dict[str, np.ndarray]:
    """Test probabilities ``(n, classes)`` of a run as trained and after each post-hoc method."""
    ways = {"as trained": run.predictions("test").probabilities}
    return ways | {method.title: probabilities(run, name) for name, method in METHODS.items()}


def scores(ways: dict, labels, bins: int, resamples: int) -> pd.DataFrame:
    """Accuracy, NLL, Brier score, ECE (the mean over the classes) with its noise floor, and the
    ends of the 95 % interval of the true ECE, a row a way."""
    rows = {}
    for way, p in ways.items():
        floor = calibration.noise_floor(p, labels, bins, resamples)
        true = calibration.ece_interval(p, labels, bins, of="mean", resamples=resamples)
        rows[way] = {
            "accuracy": calibration.accuracy(p, labels),
            "NLL": calibration.nll(p, labels),
            "Brier score": calibration.brier_score(p, labels),
            "ECE": floor.observed[:-1].mean(),
            "floor, mean": floor.mean.mean(),
            "floor, 95 %": np.quantile(floor.classwise.mean(axis=1), 0.95),
            "low": true.low,
            "high": true.high,
        }
    return pd.DataFrame(rows).T


def nll_changes(ways: dict, labels, resamples: int) -> pd.DataFrame:
    """Change of the NLL by each way of :func:`post_hoc`, with its 95 % paired interval."""
    first, *others = ways.values()
    rows = [calibration.bootstrap(q, labels, "nll", resamples, p2=first) for q in others]
    return pd.DataFrame(rows, index=list(ways)[1:], dtype=float)


def true_errors(run, config, several_bins, fresh_images: int | None) -> pd.DataFrame | None:
    """True calibration error of each class and the top label on so many new phantoms (None: half
    as many as the dataset has), a row a number of bins; None where the truth is not known."""
    dataset = load_data(config)
    if dataset.eta is None:
        return None
    n = fresh_images or len(dataset) // 2
    fresh = load_data(config.replace(phantom_images=n, phantom_seed=config.phantom_seed + 1))
    model, parts = run.model(), np.array_split(np.arange(n), -(-n // 500))
    p = [np.asarray(model.predict(batch(fresh, k, config), verbose=0)) for k in parts]
    p, error = np.concatenate(p), calibration.true_calibration_error
    rows = {
        b: [*error(p, fresh.eta, b), error(p, fresh.eta, b, of="top_label")] for b in several_bins
    }
    return pd.DataFrame(rows, [*run.class_names, "Top label"]).T


def finding(table: pd.DataFrame, floor: pd.DataFrame, title: str) -> str:
    """The section's finding on a network of this title, from :func:`scores` of each way and one
    table of :func:`floors`."""
    ece, best, p_above = table.ECE, table.ECE.idxmin(), floor.p_above.drop("Top label")
    lowest, floor_of = f"Of the post-hoc methods, {best} gives the lowest", table["floor, 95 %"]
    lowest += f", {error(ece[best])}, where perfect calibration would stay below "
    lowest += f"{error(floor_of[best])} in 95 % of test sets."
    return (
        f"{title} has a mean class-wise ECE of {error(ece['as trained'])}, where perfect "
        f"calibration would show {error(table.loc['as trained', 'floor, mean'])} on average; "
        f"{(p_above < ALPHA).sum()} of {len(p_above)} classes lie above their noise floor "
        f"(p < 0.05). {'No post-hoc method gives a lower one.' if best == 'as trained' else lowest}"
    )
