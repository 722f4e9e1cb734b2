"""What repetitions of a published experiment would observe, from recorded runs.

A published number was measured on a test set of its own, so a *repetition* [Patil 2016] is one of
our runs, on images drawn from its test images within each class to the published number of the
class. So every number is compared in the paper's class mix. Our images are first drawn again
themselves, because they are a sample too. An ECE is biased by sampling noise, which our images
already hold and which a second drawing would add once more: its repetitions spread as those of our
images drawn again, around the mean of those that are not. The middle 95 % of repetitions say what
these runs would give. A run with another seed lies there less often, the more so the more runs
differ; :func:`of_another_seed` says where it would lie."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd

from acrlls.ledger.facts import Facts
from acrlls.paper import CLASSES
from acrlls.tables import beside, compare


@cache
def drawn_images(facts: Facts, labels: tuple[int, ...]) -> np.ndarray:
    """How often each of our images, which have these labels, is in each repetition, drawn from ours
    and drawn from a sample of ours: ``(2, draws, n)``; of each class as many as the paper tested.
    """
    draws, rng = 4 * facts.resamples, np.random.default_rng(facts.seed)
    found = np.zeros((2, draws, len(labels)), np.float32)
    for k, c in enumerate(CLASSES):
        members = np.flatnonzero(np.equal(labels, k))
        size, n = int(facts.value(f"table_III.{c}.Support")), len(members)
        once, twice, sample = (rng.integers(n, size=(draws, m)) for m in (size, size, n))
        for times, drawn in zip(found, (once, np.take_along_axis(sample, twice, 1)), strict=True):
            places = (drawn + n * np.arange(draws)[:, None]).ravel()
            times[:, members] = np.bincount(places, minlength=draws * n).reshape(draws, n)
    return found


def statistics(p, y, times) -> dict[str, np.ndarray]:
    """What is published of one model but its AUC and ECE, such as ``"Recall COVID"``, each
    ``(draws,)``; ``times`` says how often each image is there, ``(draws, n)``."""
    hits = np.eye(len(CLASSES))[y]
    scores, share = beside.confusion_scores(p, y, times), compare.weighted_mean(hits, times)
    each = dict(zip(beside.SCORES, np.moveaxis(scores, -1, 0), strict=True))
    each["Brier"] = compare.weighted_mean(np.square(p - hits), times)
    found = {"accuracy": beside.accuracy(p, y, times)[:, 0]}
    for what, values in each.items():
        found[f"{what} Macro Avg"] = values.mean(axis=1)
        found[f"{what} Weighted Avg"] = (values * share).sum(axis=1)
        found |= {f"{what} {c}": values[:, k] for k, c in enumerate(CLASSES)}
    return found


@cache
def repetitions(facts: Facts, model: str, beside="", phase: int | None = None) -> pd.DataFrame:
    """What repetitions of the recorded runs of a model would observe, a row each. Every repetition
    takes one of the runs, of a group that has the model ``beside`` too, and the same images for
    both, so that two models may be compared row by row. The AUC of each class, such as ``"AUC
    COVID"``, takes long and is published of Proposed alone; so it is there without ``beside``."""
    runs = [run for run, _ in facts.runs_of(model, beside or model)]
    y, found = runs[0].predictions("test").labels, []
    drawn = drawn_images(facts, tuple(y))
    for k, run in enumerate(runs):
        p, (once, twice) = run.predictions("test", phase).probabilities, drawn[:, k :: len(runs)]
        errors = [compare.classwise_ece(p, y, drawn, facts.bins) for drawn in (once, twice)]
        here, again = (np.column_stack([e, e.min(axis=1), e.max(axis=1)]) for e in errors)
        ece = np.clip(again - again.mean(axis=0) + here.mean(axis=0), 0, 1)
        names = [f"ECE {name}" for name in (*CLASSES, "lowest", "highest")]
        each = dict(zip(names, ece.T, strict=True))
        if (model, beside, phase) == ("Proposed", "", None):
            auc = compare.weighted_auc(p, y, twice)
            each |= {f"AUC {c}": values for c, values in zip(CLASSES, auc.T, strict=True)}
        index = range(k, drawn.shape[1], len(runs))
        found.append(pd.DataFrame(statistics(p, y, twice) | each, index))
    return pd.concat(found).sort_index()


def of_another_seed(drawn: pd.Series, seeds: Sequence[int]) -> np.ndarray:
    """Where a repetition with another seed would lie in 95 % of cases, ``(2,)``: endless where one
    seed is recorded. Of ``drawn``, row k is of run k modulo the runs, which have these ``seeds``.
    The reach of another seed, Student's, and how far repetitions of a run lie from their mean are
    independent, so that the root of their squares is taken, on either side."""
    run = drawn.index.to_numpy() % len(seeds)
    means = drawn.groupby(run).mean().to_numpy()
    ends = np.quantile(drawn - means[run], [0.025, 0.975])
    return means.mean() + [-1, 1] * np.hypot(compare.reach_of_seeds(means, seeds, new=1), ends)
