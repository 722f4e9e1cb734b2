"""Post-hoc recalibration: maps of the logits that leave the network alone.

In the order of freedom, the methods fit nothing (prior correction), 1 number (temperature), 2
(entropy-based temperature), 2 a class (vector), classes² + classes (matrix), or a step function a
class (histogram, isotonic). More freedom follows the sampling noise of the validation images too.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from acrlls.calibration.checks import one_hot
from acrlls.calibration.scaling import (
    EntropyTemperatureScaling,
    MatrixScaling,
    PriorCorrection,
    Recalibrator,
    TemperatureScaling,
    VectorScaling,
)


class OneVersusRest(Recalibrator):
    """A function of each class's own probability, fitted by ``_map``, then rows normalised
    [Zadrozny 2002]. A row in which every class gets 0 keeps the model's probabilities.
    """

    def _fit(self, z, y, weight):
        self._refuse_absent(z, y)
        pairs = zip(softmax(z, axis=1).T, one_hot(y, z.shape[1]).T, strict=True)
        self._maps = [self._map(scores, hits, weight) for scores, hits in pairs]

    def _transform(self, z):
        p = softmax(z, axis=1)
        q = np.column_stack([one(s) for one, s in zip(self._maps, p.T, strict=True)])
        with np.errstate(divide="ignore"):
            return np.log(np.where(q.any(axis=1, keepdims=True), q, p))


class IsotonicRegressions(OneVersusRest):
    """For each class the non-decreasing function of least squared error [Zadrozny 2002]."""

    def _map(self, scores, hits, weight):
        from sklearn.isotonic import IsotonicRegression  # not above: it loads pandas

        found = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
        return found.fit(scores, hits, weight).predict


class HistogramBinning(OneVersusRest):
    """For each class the share of its label in the bin of its probability, one of ``bins`` of about
    equal count; ties stay together [Zadrozny 2001].
    """

    bins = 15

    def _map(self, scores, hits, weight):
        order = scores.argsort(kind="stable")
        reached = weight[order].cumsum()
        ranks = np.arange(1, self.bins) * reached[-1] / self.bins
        edges = scores[order][np.searchsorted(reached, ranks)]
        where = np.searchsorted(edges, scores)
        hit, whole = (np.bincount(where, w, self.bins) for w in (hits * weight, weight))
        # a bin without images lies between equal edges, where no score falls
        return partial(_share, edges, hit / np.where(whole > 0, whole, 1))


def _share(edges, share, scores):  # of the module: a fitted method can be pickled
    return share[np.searchsorted(edges, scores)]


class Chain(Recalibrator):
    """Methods one after another, each fitted on what those before it leave."""

    def __init__(self, *methods: Recalibrator):
        self.methods = methods

    def _fit(self, z, y, weight):
        for method in self.methods:
            z = method.fit(z, y, weight).transform(z)

    def _transform(self, z):
        for method in self.methods:
            z = method.transform(z)
        return z


class Method(NamedTuple):
    """A method of the registry."""

    title: str  # of its row
    make: Callable[[np.ndarray], Recalibrator]  # not fitted, from class weights (classes,)


ODIR = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
METHODS: dict[str, Method] = {
    "temperature": Method("temperature", lambda weights: TemperatureScaling()),
    "prior": Method("prior correction", PriorCorrection),
    "prior_temperature": Method(
        "prior correction, then temperature",
        lambda weights: Chain(PriorCorrection(weights), TemperatureScaling()),
    ),
    "entropy": Method("entropy-based temperature", lambda weights: EntropyTemperatureScaling()),
    "vector": Method("vector scaling", lambda weights: VectorScaling()),
    "matrix": Method("matrix scaling", lambda weights: MatrixScaling()),
    "matrix_odir": Method("matrix scaling with ODIR", lambda weights: MatrixScaling(penalty=ODIR)),
    "isotonic": Method("isotonic regression", lambda weights: IsotonicRegressions()),
    "histogram": Method("histogram binning", lambda weights: HistogramBinning()),
}
