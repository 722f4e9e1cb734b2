"""Statements about post-hoc recalibration; SciPy's own minimiser and scikit-learn are the judges."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from acrlls import calibration as cal
from acrlls.recalibration import PriorCorrection, TemperatureScaling, nll_of_logits


def logits_and_labels(n=4000, temperature=1.0, seed=0):
    """Logits that are right up to a temperature, with labels drawn from the truth."""
    rng = np.random.default_rng(seed)
    z = 2 * rng.normal(size=(n, 4))
    labels = (rng.random((n, 1)) >= softmax(z, axis=1).cumsum(axis=1)[:, :-1]).sum(axis=1)
    return z * temperature, labels


def test_prior_correction_gives_back_the_probabilities_that_class_weights_bent():
    w = np.array([1.46, 0.88, 0.52, 3.94])
    p = softmax(np.random.default_rng(0).normal(size=(50, 4)), axis=1)
    bent = p * w / (p * w).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(PriorCorrection(w).predict_proba(np.log(bent)), p)
    np.testing.assert_allclose(PriorCorrection(10 * w).fit().predict_proba(np.log(bent)), p)


def test_equal_weights_change_nothing():
    z, _ = logits_and_labels(20)
    np.testing.assert_allclose(PriorCorrection([2, 2, 2, 2]).predict_proba(z), softmax(z, axis=1))


def test_prior_correction_mends_a_model_trained_with_class_weights():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60_000, 2))
    z = np.column_stack([np.zeros(len(x)), 1.5 * x[:, 0] - 2, x @ [0.5, 1] - 3])
    y = (rng.random((len(x), 1)) >= softmax(z, axis=1).cumsum(axis=1)[:, :-1]).sum(axis=1)
    w = len(y) / (3 * np.bincount(y))
    model = LogisticRegression(C=1e6, class_weight=dict(enumerate(w))).fit(x, y)
    weighted, mended = model.predict_proba(x), PriorCorrection(w).predict_proba(model.decision_function(x))
    assert cal.classwise_ece(weighted, y).mean() > 0.1
    assert cal.classwise_ece(mended, y).mean() < 0.005


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_temperature_scaling_finds_the_temperature(temperature):
    z, y = logits_and_labels(40_000, temperature)
    assert TemperatureScaling().fit(z, y).temperature == pytest.approx(temperature, rel=0.03)


def test_no_other_temperature_is_better():
    z, y = logits_and_labels(500, 1.8)
    found = TemperatureScaling().fit(z, y)

    def loss(t):
        return log_loss(y, softmax(z / t, axis=1))

    best = minimize_scalar(loss, bounds=(0.1, 10), options={"xatol": 1e-8})
    assert found.temperature == pytest.approx(best.x, rel=1e-4)
    assert nll_of_logits(found.transform(z), y) == pytest.approx(best.fun)
    assert cal.nll(found.predict_proba(z), y) < cal.nll(softmax(z, axis=1), y)


def test_temperature_keeps_the_predicted_classes():
    z, y = logits_and_labels(300, 2.0)
    assert (TemperatureScaling().fit(z, y).predict_proba(z).argmax(axis=1) == z.argmax(axis=1)).all()


def test_a_constant_added_to_an_images_logits_changes_nothing():
    z, y = logits_and_labels(300, 2.0)
    shifted = z + 50 * np.random.default_rng(0).normal(size=(300, 1))
    found, same = (TemperatureScaling().fit(logits, y).temperature for logits in (z, shifted))
    assert same == pytest.approx(found)


def test_labels_without_error_and_labels_against_the_logits_end_at_the_limits():
    z = np.eye(3)[np.arange(30) % 3]
    assert TemperatureScaling().fit(z, np.arange(30) % 3).temperature == TemperatureScaling.limits[0]
    assert TemperatureScaling().fit(z, (np.arange(30) + 1) % 3).temperature == TemperatureScaling.limits[1]


def test_the_two_methods_chain():
    z, y = logits_and_labels(20_000, 2.0)
    w = np.array([1.46, 0.88, 0.52, 3.94])
    prior = PriorCorrection(w)
    bent = z + np.log(w)
    assert TemperatureScaling().fit(prior.transform(bent), y).temperature == pytest.approx(2, rel=0.05)


def test_bad_input_is_a_clear_error():
    z, y = logits_and_labels(5)
    with pytest.raises(ValueError, match="validation part first"):
        TemperatureScaling().predict_proba(z)
    with pytest.raises(ValueError, match="row 1 is not finite"):
        TemperatureScaling().fit([[0, 1], [np.inf, 0]], [0, 1])
    with pytest.raises(ValueError, match="row 4 is 9"):
        TemperatureScaling().fit(z, [*y[:4], 9])
    with pytest.raises(ValueError, match="one a row"):
        TemperatureScaling().fit(z, y[:4])
    with pytest.raises(ValueError, match="4 classes and weights 3"):
        PriorCorrection([1, 2, 3]).predict_proba(z)
    with pytest.raises(ValueError, match="positive"):
        PriorCorrection([1, 0, 3])
