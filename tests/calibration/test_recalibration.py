"""Post-hoc recalibration; SciPy's own minimiser and scikit-learn are the judges."""

import pickle
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import labels_of
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from acrlls import calibration as cal
from acrlls.calibration import MatrixScaling, PriorCorrection, TemperatureScaling, VectorScaling
from acrlls.calibration.posthoc import METHODS, Chain, HistogramBinning, IsotonicRegressions
from acrlls.calibration.scaling import LIMITS, EntropyTemperatureScaling

WEIGHTS = np.array([1.46, 0.88, 0.52, 3.94])


def logits_and_labels(n=4000, temperature=1.0, seed=0):
    """Logits that are right up to a temperature, with labels drawn from the truth."""
    z = 2 * np.random.default_rng(seed).normal(size=(n, 4))
    return z * temperature, labels_of(softmax(z, axis=1), np.random.default_rng(seed + 100))


def bent_logits(n=1500, seed=1):
    """Logits that no single temperature mends, with labels."""
    z, y = logits_and_labels(n, 1.0, seed)
    return z * [0.5, 1, 2, 1.5] + [0, 1, -1, 0.5] + 0.3 * np.roll(z, 1, axis=1), y


class Given(ClassifierMixin, BaseEstimator):
    """A classifier for scikit-learn whose logits, or else their probabilities, are its input."""

    def __init__(self, logits=True):
        self.logits = logits

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, X):
        return X if self.logits else softmax(X, axis=1)

    def predict(self, X):
        return X.argmax(axis=1)


def of_sklearn(method, z, y, logits=True):
    """scikit-learn's post-hoc calibration, fitted and applied on the same images."""
    frozen, folds = FrozenEstimator(Given(logits).fit(z, y)), [(np.arange(0), np.arange(len(z)))]
    return CalibratedClassifierCV(frozen, method=method, cv=folds, ensemble=True)


def all_methods():
    return [pytest.param(m.make, id=name) for name, m in METHODS.items()]


# --- prior correction and temperature ---


def test_prior_correction_gives_back_the_probabilities_that_class_weights_bent():
    p = softmax(np.random.default_rng(0).normal(size=(50, 4)), axis=1)
    bent = p * WEIGHTS / (p * WEIGHTS).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(PriorCorrection(WEIGHTS).predict_proba(np.log(bent)), p)
    np.testing.assert_allclose(PriorCorrection(10 * WEIGHTS).predict_proba(np.log(bent)), p)


def test_prior_correction_mends_a_model_trained_with_class_weights():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60_000, 2))
    z = np.column_stack([np.zeros(len(x)), 1.5 * x[:, 0] - 2, x @ [0.5, 1] - 3])
    y = labels_of(softmax(z, axis=1), np.random.default_rng(4))
    w = len(y) / (3 * np.bincount(y))
    model = LogisticRegression(C=1e6, class_weight=dict(enumerate(w))).fit(x, y)
    mended = PriorCorrection(w).predict_proba(model.decision_function(x))
    assert cal.classwise_ece(model.predict_proba(x), y).mean() > 0.1
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
    assert cal.nll(found.predict_proba(z), y) == pytest.approx(best.fun)
    assert cal.nll(found.predict_proba(z), y) < cal.nll(softmax(z, axis=1), y)


@pytest.mark.parametrize("method", [TemperatureScaling, EntropyTemperatureScaling])
def test_a_temperature_keeps_the_order_of_the_classes(method):
    z, y = bent_logits(300)
    assert (method().fit(z, y).predict_proba(z).argsort(axis=1) == z.argsort(axis=1)).all()


@pytest.mark.parametrize("method", [TemperatureScaling, EntropyTemperatureScaling])
def test_a_constant_added_to_an_images_logits_changes_nothing(method):
    z, y = bent_logits(300)
    shifted = z + 50 * np.random.default_rng(0).normal(size=(300, 1))
    one, other = (method().fit(logits, y).predict_proba(logits) for logits in (z, shifted))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_labels_without_error_and_labels_against_the_logits_end_at_the_limits():
    z = 2 * np.eye(3)[np.arange(30) % 3]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert TemperatureScaling().fit(z, np.arange(30) % 3).temperature == LIMITS[0]
    with pytest.warns(UserWarning, match="stops at 100: .* say nothing of the labels"):
        assert TemperatureScaling().fit(z, (np.arange(30) + 1) % 3).temperature == LIMITS[1]


def test_logits_on_a_scale_on_which_no_fit_ends_at_the_least_loss_are_warned_of():
    z, y = bent_logits(300)
    for method, scale, says in (
        (TemperatureScaling, 1e4, "the temperature stops at 100: the logits are on another scale"),
        (TemperatureScaling, 1e-4, "the temperature stops at 0.01"),
        (VectorScaling, 1e50, r"the loss is not at its least; logits go up to .*e\+51"),
        (MatrixScaling, 1e50, "the loss is not at its least"),
    ):
        with pytest.warns(UserWarning, match=says):
            method().fit(z * scale, y)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            method().fit(z, y)


# --- a temperature that depends on the entropy ---


def test_the_temperature_is_softplus_of_a_line_in_the_logarithm_of_the_normalised_entropy():
    method = EntropyTemperatureScaling().fit(*bent_logits(300))
    method.w, method.b = 0.5, 2.0
    # all alike: H = log K, so T = softplus(b).  Two classes at one half: H / log 4 = 1/2.
    expected = np.log1p(np.exp([2.0, 2.0 + 0.5 * np.log(0.5)]))
    scaled = method.transform([[1.0] * 4, [1.0, 1.0, -800, -800]])
    np.testing.assert_allclose(1 / scaled[:, 0], expected)


def doubtful_logits(n):
    """Logits that are right up to a temperature that depends on their entropy, with labels."""
    z, _ = logits_and_labels(n, 2.0)
    p = softmax(z, axis=1)
    t = np.log1p(np.exp(0.8 * np.log(-(p * np.log(p)).sum(axis=1) / np.log(4)) + 1.5))
    return z, labels_of(softmax(z / t[:, None], axis=1), np.random.default_rng(9))


def test_no_other_slope_and_intercept_are_better():
    z, y = doubtful_logits(800)
    p = softmax(z, axis=1)
    x = np.log(-(p * np.log(p)).sum(axis=1) / np.log(4))

    def loss(theta):
        t = np.log1p(np.exp(theta[0] * x + theta[1]))
        return log_loss(y, softmax(z / t[:, None], axis=1))

    starts = [(-1, 0.1), (1, 2)]  # the loss is not convex
    best = min(
        (minimize(loss, s, method="Nelder-Mead", tol=1e-7) for s in starts), key=lambda r: r.fun
    )
    found = EntropyTemperatureScaling().fit(z, y)
    np.testing.assert_allclose([found.w, found.b], best.x, rtol=1e-3)
    assert abs(found.w) > 0.05
    assert cal.nll(found.predict_proba(z), y) == pytest.approx(best.fun, abs=1e-8)


def test_slope_and_intercept_are_found_where_the_labels_come_from_them():
    found = EntropyTemperatureScaling().fit(*doubtful_logits(40_000))
    assert (found.w, found.b) == (pytest.approx(0.8, abs=0.05), pytest.approx(1.5, abs=0.1))


def test_a_certain_prediction_has_a_finite_temperature():
    z, y = bent_logits(300)
    method = EntropyTemperatureScaling().fit(z, y)
    for method.w in (-0.5, 0.0, 0.5):
        with np.errstate(divide="raise", invalid="raise"):
            p = method.predict_proba([[5000.0, 0, 0, 0], [0, 0, 0, 0]])
        np.testing.assert_allclose(p, [[1, 0, 0, 0], [0.25] * 4], atol=1e-9)


def test_predictions_for_the_test_part_are_refused():
    z, y = bent_logits(50)
    with pytest.raises(ValueError, match="test part"):
        TemperatureScaling().fit(SimpleNamespace(logits=z, labels=y, part="test"))
    validation = TemperatureScaling().fit(SimpleNamespace(logits=z, labels=y, part="validation"))
    assert validation.temperature == TemperatureScaling().fit(z, y).temperature


# --- vector and matrix ---


def test_matrix_scaling_is_multinomial_logistic_regression_on_the_logits():
    z, y = bent_logits()
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(z, y)
    ours = MatrixScaling().fit(z, y)
    np.testing.assert_allclose(ours.predict_proba(z), theirs.predict_proba(z), atol=1e-5)


def test_no_other_factors_and_shifts_are_better():
    z, y = bent_logits(400)
    found = VectorScaling().fit(z, y)
    best = minimize(
        lambda v: log_loss(y, softmax(z * v[:4] + v[4:], axis=1)), [1] * 4 + [0] * 4, tol=1e-10
    )
    np.testing.assert_allclose(np.diag(found.matrix), best.x[:4], atol=1e-3)
    assert (found.matrix[~np.eye(4, dtype=bool)] == 0).all()
    assert cal.nll(found.predict_proba(z), y) == pytest.approx(best.fun, abs=1e-8)


def test_odir_penalises_the_matrix_off_its_diagonal_and_the_shift():
    z, y = bent_logits(400)

    def loss(v):
        m, b = v[:16].reshape(4, 4), v[16:]
        odd = m[~np.eye(4, dtype=bool)]
        return -log_softmax(z @ m.T + b, axis=1)[np.arange(400), y].mean() + 0.1 * (
            odd @ odd / 12 + b @ b / 4
        )

    best = minimize(loss, np.r_[np.eye(4).ravel(), np.zeros(4)], tol=1e-9)
    found = MatrixScaling(penalty=0.1).fit(z, y)
    np.testing.assert_allclose(np.r_[found.matrix.ravel(), found.shift], best.x, atol=1e-3)


def test_of_several_penalties_the_data_choose():
    # only a temperature is wrong: what is off the diagonal is luck
    z, y = logits_and_labels(200, 2.0)
    assert MatrixScaling(penalty=(1e-6, 100)).fit(z, y).chosen == 100
    z, y = bent_logits(4000)
    assert MatrixScaling(penalty=(1e-6, 100)).fit(z, y).chosen == 1e-6


def test_where_a_class_has_one_image_the_greatest_penalty_is_taken():
    z, y = bent_logits(4000)
    rows = np.r_[np.flatnonzero(y != 3), np.flatnonzero(y == 3)[:1]]
    assert MatrixScaling(penalty=(1, 1e-6)).fit(z[rows], y[rows]).chosen == 1


def test_more_freedom_is_never_worse_on_the_images_of_the_fit():
    for seed in range(5):
        z, y = bent_logits(200, seed)
        z = z * (1 + seed)
        loss = {
            name: cal.nll(METHODS[name].make(WEIGHTS).fit(z, y).predict_proba(z), y)
            for name in ("temperature", "entropy", "vector", "matrix")
        }
        slack = 1e-9
        assert loss["temperature"] <= cal.nll(softmax(z, axis=1), y) + slack
        assert loss["entropy"] <= loss["temperature"] + slack
        assert loss["matrix"] <= loss["vector"] + slack <= loss["temperature"] + 2 * slack


@pytest.mark.parametrize("make", all_methods())
def test_labels_without_error_do_not_diverge(make):
    z = 3 * np.eye(4)[np.arange(80) % 4] + 0.1 * np.random.default_rng(0).normal(size=(80, 4))
    y = np.arange(80) % 4
    p = make(np.ones(4)).fit(z, y).predict_proba(z)
    assert np.isfinite(p).all()
    assert (p.argmax(axis=1) == y).mean() > 0.9  # a bin of the histogram may hold two classes


# --- one class against the rest ---


def test_isotonic_regression_is_that_of_scikit_learn_class_by_class():
    z, y = bent_logits()
    found = IsotonicRegressions().fit(z, y).predict_proba(z)
    theirs = of_sklearn("isotonic", z, y, logits=False).fit(z, y).predict_proba(z)
    np.testing.assert_allclose(found, theirs, atol=1e-12)


def histogram(bins):
    method = HistogramBinning()
    method.bins = bins
    return method


def test_histogram_binning_worked_by_hand():
    # Probabilities of class 0: 0.1, 0.2, 0.3 | 0.6, 0.7, 0.9; the labels of class 0 are the 2nd,
    # 5th and 6th.
    p0 = np.array([0.1, 0.2, 0.3, 0.6, 0.7, 0.9])
    z = np.log(np.column_stack([p0, 1 - p0]))
    found = histogram(2).fit(z, [1, 0, 1, 1, 0, 0])
    asked = np.array([0.05, 0.3, 0.31, 0.99])
    shares = found.predict_proba(np.log(np.column_stack([asked, 1 - asked])))
    # Class 0: a third up to 0.3, two thirds above.  Class 1 at 0.1, 0.3, 0.4 | 0.7, 0.8, 0.9: a
    # third up to 0.4, two thirds above; so 0.31 has two thirds for both, which become halves.
    np.testing.assert_allclose(shares[:, 0], [1 / 3, 1 / 3, 1 / 2, 2 / 3])


def test_isotonic_rows_are_normalised():
    p = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.4, 0.3, 0.3]])
    fitted = IsotonicRegressions().fit(np.log(p[:3]), [0, 1, 2])
    # Never at 0.1 and always at 0.8, a line between: 3/7 at 0.4 and 2/7 at 0.3.
    expected = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [3 / 7, 2 / 7, 2 / 7]]
    np.testing.assert_allclose(fitted.predict_proba(np.log(p)), expected, atol=1e-12)
    above = fitted.predict_proba(np.log([[0.85, 0.135, 0.015]]))  # 1 and 0.05, of a sum of 1.05
    np.testing.assert_allclose(above, [[20 / 21, 1 / 21, 0]], atol=1e-12)


@pytest.mark.parametrize("method", [IsotonicRegressions(), histogram(3)])
def test_a_row_in_which_no_class_was_ever_seen_keeps_the_models_probabilities(method):
    z = np.log([[0.45, 0.55, 1e-9], [1e-9, 0.45, 0.55], [0.55, 1e-9, 0.45]])
    method.fit(z, [1, 2, 0])  # up to 0.45 no class was the label
    asked = np.log([[0.4, 0.3, 0.3], [0.55, 0.45, 1e-9]])
    np.testing.assert_allclose(method.predict_proba(asked), [[0.4, 0.3, 0.3], [1, 0, 0]], atol=1e-8)


# --- all of them ---


@pytest.mark.parametrize("make", all_methods())
def test_an_image_of_weight_2_is_two_images_and_one_of_weight_0_is_none(make):
    if make is METHODS["matrix_odir"].make:

        def make(weights):  # of one penalty; between several, folds of images decide
            return MatrixScaling(penalty=0.01)

    z, y = bent_logits(300)
    times = np.random.default_rng(0).integers(0, 4, 300)
    weighted = make(WEIGHTS).fit(z, y, times)
    repeated = make(WEIGHTS).fit(np.repeat(z, times, axis=0), np.repeat(y, times))
    p = weighted.predict_proba(z)
    np.testing.assert_allclose(p, repeated.predict_proba(z), atol=1e-6)
    if not isinstance(weighted, PriorCorrection):
        assert np.abs(p - make(WEIGHTS).fit(z, y).predict_proba(z)).max() > 1e-3


def test_weights_fit_a_temperature_for_another_class_mix():
    """Where the classes need different temperatures, the mix decides which is taken."""
    z, y = logits_and_labels(40_000)
    z = z * np.where(y == 0, 3, 1)[:, None]  # certain of class 0 beyond reason
    even, rare = (
        TemperatureScaling().fit(z, y, np.array([w, 1, 1, 1])[y]).temperature for w in (1, 0.1)
    )
    few = (y > 0) | (np.arange(len(y)) % 10 == 0)
    assert rare == pytest.approx(TemperatureScaling().fit(z[few], y[few]).temperature, rel=0.05)
    assert abs(rare - even) > 0.1 * rare


@pytest.mark.parametrize("make", all_methods())
def test_a_fitted_method_survives_pickling(make):
    z, y = bent_logits(300)
    method = make(WEIGHTS).fit(z, y)
    twin = pickle.loads(pickle.dumps(method))
    np.testing.assert_array_equal(twin.predict_proba(z), method.predict_proba(z))


@pytest.mark.parametrize("make", all_methods())
def test_probabilities_sum_to_one_on_images_that_the_fit_did_not_see(make):
    method = make(WEIGHTS).fit(*bent_logits(400, 1))
    p = method.predict_proba(30 * bent_logits(2000, 2)[0])
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert (p >= 0).all()


@pytest.mark.parametrize("make", all_methods())
def test_bad_input_is_an_error_that_names_the_row(make):
    z, y = bent_logits(200)
    with pytest.raises(ValueError, match="row 1 is not finite"):
        make(WEIGHTS).fit([[0, 1, 0, 0], [np.inf, 0, 0, 0]], [0, 1])
    with pytest.raises(ValueError, match="row 4 is 9"):
        make(WEIGHTS).fit(z[:5], [*y[:4], 9])
    with pytest.raises(ValueError, match="one a row"):
        make(WEIGHTS).fit(z, y[:4])
    fitted = make(WEIGHTS).fit(z, y)
    with pytest.raises(ValueError, match="row 0 is not finite"):
        fitted.predict_proba([[np.nan, 0, 0, 0]])
    with pytest.raises(ValueError, match="3 classes"):
        fitted.predict_proba(z[:, :3])


def test_weights_that_add_up_with_rounding_fit_a_histogram():
    z, y = bent_logits(300)
    weight = 2 * np.random.default_rng(5).random(300)
    assert np.isfinite(HistogramBinning().fit(z, y, weight).predict_proba(z)).all()


@pytest.mark.parametrize("make", all_methods())
def test_a_prediction_before_the_fit_is_an_error_unless_nothing_is_fitted(make):
    method, (z, _) = make(WEIGHTS), bent_logits(20)
    if isinstance(method, PriorCorrection):
        assert method.predict_proba(z).shape == (20, 4)
    else:
        with pytest.raises(ValueError, match="validation part first"):
            method.predict_proba(z)


@pytest.mark.parametrize(
    "method", [VectorScaling, MatrixScaling, IsotonicRegressions, HistogramBinning]
)
def test_a_class_without_images_is_an_error_where_each_class_has_its_own_numbers(method):
    z, y = bent_logits(200)
    with pytest.raises(ValueError, match="class 2 does not occur"):
        method().fit(z[y != 2], y[y != 2])


def test_a_chain_fits_each_method_on_what_those_before_it_leave():
    z, y = logits_and_labels(20_000, 2.0)
    bent, temperature = z + np.log(WEIGHTS), TemperatureScaling()
    chain = Chain(PriorCorrection(WEIGHTS), temperature).fit(bent, y)
    assert temperature.temperature == pytest.approx(2, rel=0.05)
    np.testing.assert_allclose(
        chain.predict_proba(bent), softmax(z / temperature.temperature, axis=1)
    )


def test_settings_out_of_range_are_clear_errors():
    with pytest.raises(ValueError, match="4 classes; the method has 3"):
        PriorCorrection([1, 2, 3]).predict_proba(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="positive"):
        PriorCorrection([1, 0, 3])
    with pytest.raises(ValueError, match="penalty is -1"):
        MatrixScaling(penalty=-1)
