"""The derivations of the chapter on the method, repeated with numbers."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

ALPHA, TAU = 0.08, 0.25
WEIGHTS = np.array([1.46, 0.88, 0.52, 3.94])  # Section III-A


def margin(z):
    second, first = np.sort(softmax(z))[-2:]
    return first - second


def penalty(z):
    """Equations (1) to (3) for one image."""
    return ALPHA * (max(0, TAU - margin(z)) + 0.5 * max(0, margin(z) - TAU))


def slope(function, z, step=1e-6):
    return np.array(
        [(function(z + step * e) - function(z - step * e)) / (2 * step) for e in np.eye(len(z))]
    )


def best_answer(p, weights=1.0, acr=True):
    """Probabilities of least expected loss for true probabilities ``p``, started near ``p``."""

    def loss(z):
        return -np.sum(weights * p * log_softmax(z)) + acr * penalty(z)

    options = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 20_000}
    return softmax(minimize(loss, np.log(p), method="Nelder-Mead", options=options).x)


@pytest.mark.parametrize("seed", range(5))
def test_the_gradient_of_the_margin_is_the_derived_one(seed):
    z = np.random.default_rng(seed).normal(size=4)
    pi, m = softmax(z), margin(z)
    second, first = np.argsort(pi)[-2:]
    derived = -pi * m
    derived[first], derived[second] = pi[first] * (1 - m), -pi[second] * (1 + m)
    assert slope(margin, z) == pytest.approx(derived, abs=1e-8)
    assert derived.sum() == pytest.approx(0, abs=1e-12)


def test_the_push_from_below_is_twice_as_strong_as_the_push_from_above():
    below, above = np.array([0.2, 0.0, -1.0, -1.0]), np.array([3.0, 0.0, -1.0, -1.0])
    assert margin(below) < TAU < margin(above)
    assert slope(penalty, below) == pytest.approx(-ALPHA * slope(margin, below), abs=1e-8)
    assert slope(penalty, above) == pytest.approx(ALPHA / 2 * slope(margin, above), abs=1e-8)


@pytest.mark.parametrize("p_top", [0.52, 0.7, 0.9, 0.99])
def test_acr_moves_the_optimum_off_the_true_probability_by_the_derived_amount(p_top):
    p = np.array([p_top, 1 - p_top])
    q = best_answer(p)
    m = q[0] - q[1]
    factor = 0.5 if m > TAU else -1.0
    assert p_top - q[0] == pytest.approx(factor * ALPHA * q[0] * (1 - m), abs=1e-5)
    assert -ALPHA / 2 <= p_top - q[0] <= ALPHA / 4 * (1 - TAU**2) + 1e-9
    assert f"{ALPHA / 4 * (1 - TAU**2):.3f} {ALPHA / 2:.2f}" == "0.019 0.04"  # as the chapter says


def test_without_acr_the_optimum_is_the_true_probability():
    p = np.array([0.5, 0.3, 0.15, 0.05])
    assert best_answer(p, acr=False) == pytest.approx(p, abs=1e-5)


def test_class_weighted_cross_entropy_aims_at_weight_times_probability():
    p = np.array([0.1, 0.4, 0.45, 0.05])
    aim = WEIGHTS * p / np.sum(WEIGHTS * p)
    assert best_answer(p, WEIGHTS, acr=False) == pytest.approx(aim, abs=1e-4)
    back = aim / WEIGHTS
    assert back / back.sum() == pytest.approx(p)


def test_between_normal_and_lung_opacity_the_weights_turn_a_half_into_063():
    assert f"{WEIGHTS[1] / (WEIGHTS[1] + WEIGHTS[2]):.2f}" == "0.63"


def test_a_layer_with_scales_is_a_dense_layer_with_other_weights():
    rng = np.random.default_rng(0)
    w, b, h, s = (
        rng.normal(size=(4, 8)),
        rng.normal(size=4),
        rng.normal(size=8),
        rng.uniform(0.5, 2, 4),
    )
    assert s * (w @ h + b) == pytest.approx((s[:, None] * w) @ h + s * b)


def test_larger_scales_can_please_acr_without_changing_a_prediction():
    z, s = np.array([4.0, 1.0, 0.0, -2.0]), np.array([1.0, 0.9, 1.1, 1.0])
    smaller, larger = z / 3, 3 * s
    assert softmax(smaller * larger) == pytest.approx(softmax(z * s))
    assert TAU < margin(smaller) < margin(z)
