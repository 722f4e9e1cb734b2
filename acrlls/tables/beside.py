"""The columns published, real images (means over recorded runs, in the paper's class mix), their
difference with an interval for the published run's other seed and images, and this build."""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pandas as pd
from IPython.display import Markdown

from acrlls import calibration
from acrlls.config import Config
from acrlls.paper import CLASSES, table
from acrlls.runs import Run
from acrlls.tables.compare import classwise_ece, interval, weighted_auc, weighted_mean
from acrlls.tables.recorded import (
    NETWORKS,
    STEP,
    Setting,
    has_paper_classes,
    is_paper,
    mix_weights,
    name_of,
    probabilities,
)
from acrlls.tables.words import number, plural, signed

REAL = "real images"
DIFFERENCE = "difference: real images minus published (95 % interval for a run of another seed)"
SCORES = ("Precision", "Recall", "F1")
ONE_CLASS = ("AUC", "Brier score", "ECE")
SIDES = [*((n, "") for n in NETWORKS), ("baseline", STEP)]


def here(config: Config) -> str:
    """Heading of the column of this build."""
    return "phantom" if config.data == "phantom" else "this run"


def on(title: str) -> str:
    """How a sentence about the images of a column begins."""
    return "In this run" if title == "this run" else f"On the {title}"


def caption(what: str, *networks: Sequence[Run]) -> str:
    """A table's caption that counts each network's runs on the real images, names their mix."""
    counts = sorted({len(runs) for runs in networks if runs})
    if not counts:
        return what
    runs = " to ".join([*map(str, counts[:-1][:1]), plural(counts[-1], "run")])
    each = " a network" if len(networks) > 1 else ""
    return f"{what}; real images: {runs}{each}, weighted to the paper's class mix; {DIFFERENCE}"


def alone(config: Config) -> Markdown | None:
    """The sentence on a page whose images have other classes than the paper's."""
    if has_paper_classes(config):
        return None
    return Markdown(
        "The images of this build have other classes than the paper's. Published numbers and "
        "recorded runs are therefore left out of its tables, what the text says of them does not "
        "apply, and the figures show this build alone."
    )


def columns(
    statistic, index, published, real, run: Run, phases=(None,), resamples=1000, least=0
) -> pd.DataFrame:
    """A row a quantity: published, real images, difference with interval (text), this build alone
    where its classes are not the paper's. ``statistic`` takes probabilities ``(n, classes)``, or
    with several phases ``(phases, n, classes)``, labels and weights ``(n,)``; ``index``, of the
    class names if it is a function, names what it gives, none above 1 or below ``least``, and
    ``published`` has the same for the paper's. ``run`` is this build's."""
    title, names, labels = here(run.config), run.class_names, run.predictions("test").labels
    named = index if callable(index) else lambda _: index
    ours = statistic(_said(run, phases), labels, np.ones(len(labels)))
    ours = pd.Series(ours, named(names), name=title)
    if not is_paper(names):
        return ours.to_frame()
    table = pd.DataFrame({"published": np.ravel(published)}, named(CLASSES))
    if real:
        value, *ends = estimate(statistic, real, phases, resamples, another=True)
        ends = np.where(np.isfinite(ends), np.clip(ends, least, 1), ends)
        gaps = np.transpose([value, *ends]) - table[["published"]].to_numpy()
        table[REAL] = value
        table["difference"] = [told(*each) for each in gaps]
    return table.assign(**{title: ours.reindex(table.index)})


def told(gap: float, low: float, high: float) -> str:
    """A difference with its interval; without it where one seed is recorded."""
    if np.isfinite([low, high]).all():
        return signed(gap, low, high)
    return "–" if np.isnan(gap) else number(gap, signed=True)


def _said(run: Run, phases) -> np.ndarray:
    """Test probabilities as the statistics take them, see :func:`columns`."""
    p = np.array([run.predictions("test", phase).probabilities for phase in phases])
    return p[0] if len(p) == 1 else p


def estimate(statistic, runs, phases=(None,), resamples=1000, another=False) -> tuple:
    """Mean over the runs of a statistic, and the ends of its 95 % interval over seeds and images,
    or of that for ``another`` run on as many images as the paper's, of
    :func:`acrlls.tables.compare.interval`, each ``(values,)``."""
    labels, names = runs[0].predictions("test").labels, list(runs[0].class_names)
    weights = mix_weights(runs[0], "paper" if is_paper(names) else "own")
    other = table("III").loc[names, "Support"] if another else None
    p, seeds = np.array([_said(r, phases) for r in runs]), [run.config.seed for run in runs]
    return interval(statistic, p, labels, weights, seeds, resamples, other)


def errors_and_floors(
    runs: Sequence[Run], step="", bins=15, resamples=1000, mix="paper"
) -> np.ndarray:
    """Of runs after a step, in a class mix: the ECE of each class and last their mean, and what
    each stays below in 95 % of test sets if the run is calibrated *in that mix*,
    ``(2, runs, classes + 1)``."""
    found = []
    for run in runs:
        p, labels = probabilities(run, step, mix), run.predictions("test").labels
        weights = mix_weights(run, mix)
        draws = calibration.noise_floor(p, bins=bins, resamples=resamples).classwise
        if mix == "paper":
            draws = _floor_in_mix(p, labels, weights, bins, resamples)
        both = np.vstack([classwise_ece(p, labels, weights, bins), draws])
        both = np.column_stack([both, both.mean(axis=1)])
        found.append([both[0], np.quantile(both[1:], 0.95, axis=0)])
    return np.swapaxes(found, 0, 1)


def errors_of_each(found: Sequence[Setting], bins=15, resamples=1000, of="mean") -> tuple:
    """In our class mix, of every run, as trained and for Baseline after the named step too, the
    mean class-wise ECE or that ``of`` the ``"top_label"``, and what it stays below as in
    :func:`errors_and_floors`: two tables by setting and side."""
    values, floors = {}, {}
    for setting, (network, step) in product(found, SIDES):
        if runs := setting.of(network):
            if of == "mean":
                both = errors_and_floors(runs, step, bins, resamples, "own")[..., -1]
            else:
                both = np.transpose([_top_label(run, step, bins, resamples) for run in runs])
            for table, each in zip((values, floors), both.tolist(), strict=True):
                table.setdefault(setting.title, {})[name_of((network, step))] = each
    return values, floors


def _top_label(run: Run, step: str, bins: int, resamples: int) -> list[float]:
    p, labels = probabilities(run, step), run.predictions("test").labels
    drawn = calibration.noise_floor(p, bins=bins, resamples=resamples).top_label
    return [calibration.ece(p, labels, bins, of="top_label"), float(np.quantile(drawn, 0.95))]


def _floor_in_mix(p, labels, weights, bins: int, resamples: int) -> np.ndarray:
    """Class-wise ECEs ``(resamples, classes)`` of labels for which ``p`` is right in a mix.

    An image of class k counts there by its weight w_k. Where the probabilities are right in that
    mix, an image of ours is of class k with a probability in proportion to p_k / w_k: so labels
    are drawn, and each counts by its weight. Class counts that are fixed, as by our split, vary
    less, so that somewhat more than 95 % stay below."""
    n, classes = p.shape
    each = np.bincount(labels, weights) / np.bincount(labels)
    ours = p / each / (p / each).sum(axis=1, keepdims=True)
    drawn = np.random.default_rng(0).multinomial(1, ours, (resamples, n)) * each
    every = np.repeat(p, classes, axis=0), np.tile(np.arange(classes), n)  # with each label
    return classwise_ece(*every, drawn.reshape(resamples, -1), bins)


# --- Statistics and the index of what they give ---------------------------------------------------
# Each takes probabilities, labels and weights as :func:`acrlls.tables.compare.measures` does.


def confusion_scores(p, labels, weights) -> np.ndarray:
    """Precision, recall and F1 ``(..., classes, 3)``."""
    classes = p.shape[1]
    cells = np.eye(classes**2)[labels * classes + p.argmax(axis=1)]
    counts = weighted_mean(cells, weights).reshape(*weights.shape[:-1], classes, classes)
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    said, true = counts.sum(axis=-2), counts.sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return np.stack([right / said, right / true, 2 * right / (said + true)], axis=-1)


def accuracy(p, labels, weights) -> np.ndarray:
    """Weighted share of right predictions, ``(..., 1)``."""
    return weighted_mean(p.argmax(axis=1)[:, None] == labels[:, None], weights)


def scores(p, labels, weights) -> np.ndarray:
    """Table IV: accuracy and macro F1."""
    f1 = confusion_scores(p, labels, weights)[..., 2]
    means = np.nanmean(f1, axis=-1, keepdims=True)
    return np.concatenate([accuracy(p, labels, weights), means], axis=-1)


def table_3(p, labels, weights) -> np.ndarray:
    """Table III: by class precision, recall and F1, then accuracy and macro F1."""
    each = confusion_scores(p, labels, weights).reshape(*weights.shape[:-1], -1)
    return np.concatenate([each, scores(p, labels, weights)], axis=-1)


def one_against_rest(p, labels, weights) -> np.ndarray:
    """By class AUC, Brier score and ECE in 15 bins."""
    brier = weighted_mean((np.eye(p.shape[1])[labels] - p) ** 2, weights)
    three = weighted_auc(p, labels, weights), brier, classwise_ece(p, labels, weights)
    return np.stack(three, axis=-1).reshape(*weights.shape[:-1], -1)


def phases(p, labels, weights) -> np.ndarray:
    """Accuracy of two models ``(2, n, classes)``, and the gain of the second."""
    one, two = (accuracy(q, labels, weights) for q in p)
    return np.concatenate([one, two, two - one], axis=-1)


def by_class(measures: Sequence[str], extra=()) -> Callable:
    """The index of class-wise statistics: class by class, measure by measure, then ``extra``."""
    return lambda names: pd.MultiIndex.from_tuples(
        [*product(names, measures), *extra], names=["class", ""]
    )
