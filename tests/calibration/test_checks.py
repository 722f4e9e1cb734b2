"""What every public function of the room accepts, and what it refuses and with which words."""

import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from conftest import random_case
from scipy import sparse
from sklearn.metrics import accuracy_score

from acrlls import calibration as cal
from acrlls.calibration.checks import check

P, Y = random_case(60)
NAMES = ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "y",
    [
        list(Y),
        Y.astype(float),
        Y.astype("uint8"),
        pd.Series(Y, index=range(60, 0, -1)),
        pd.Series(Y, dtype="Int64"),
        pd.Series(Y).astype("category"),
    ],
    ids=["list", "float", "uint8", "Series", "Int64", "Categorical"],
)
def test_labels_of_any_container_are_the_same_labels(y):
    assert cal.ece(P, y) == cal.ece(P, Y)
    fitted = [cal.TemperatureScaling().fit(np.log(P), labels).temperature for labels in (y, Y)]
    assert fitted[0] == fitted[1]


def test_probabilities_of_any_container_are_the_same_probabilities():
    table = pd.DataFrame(P)
    for p in (P.tolist(), table, table.astype("Float64"), P.astype(object), np.ma.array(P)):
        assert cal.ece(p, Y) == cal.ece(P, Y)


def test_rounded_probabilities_are_normalised_and_others_left_alone():
    exact = check(P)
    assert np.array_equal(exact, P)
    for p in (P.round(3), P.astype("float16")):
        assert np.abs(p.astype(float).sum(axis=1) - 1).max() > 1e-5
        found = check(p)
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-12)
        np.testing.assert_allclose(found, P, atol=0.002)
    brief = np.array([[0.5, 0.5], [0.25, 0.75]])
    assert np.array_equal(check(brief.astype(pytest.importorskip("ml_dtypes").bfloat16)), brief)


@pytest.mark.parametrize(
    "p, says",
    [
        (np.ma.array(P, mask=P < 0.01), "p has masked"),
        (pd.DataFrame(P).astype("Float64").where(P > 0.01), "p has masked or missing"),
        (P.astype(str), "p holds text"),
        (P * (1 + 1j), "p holds complex128"),
        (np.array([[0.5, "a"]], dtype=object), "p holds"),
        (np.array([[0.5, pd.NA]], dtype=object), "no numbers"),
        ([[10**400, 0]] * 4, "p holds values that are no numbers, or huge"),
        (np.diag([0.2, 0.3, 0.5, 0.1]) + 0.2, "does not sum to one: "),
        ([[0.5, 0.5], [0.5, 0.6]], "row 1 does not sum to one"),
        ([[0.5, 0.5], [np.nan, 1.0]], "row 1 is not finite"),
        ([[1.2, -0.2], [0.5, 0.5]], "row 0 holds a value outside"),
        ([0.5, 0.5], r"must be \(n, classes\)"),
        ([[1.0], [1.0]], "classes >= 2"),
        (np.zeros((0, 2)), "n >= 1"),
        ([["a", "b"]], "real numbers"),
        (cal.METRICS, "p is of the type dict"),
        (sparse.csr_array(P), "p is of the type csr_array"),
        ((row for row in P), "p is of the type generator"),
        (None, "p is None"),
    ],
)
def test_what_is_no_table_of_probabilities_is_refused_with_a_true_reason(p, says):
    for use in (*cal.METRICS.values(), lambda p, y: cal.evaluate(p, y, NAMES)):
        with pytest.raises(ValueError, match=says):
            use(p, Y[:4])


def test_a_square_table_that_is_turned_is_refused_as_such():
    p, y = random_case(4, 4)
    with pytest.raises(ValueError, match=r"each column does \(is it transposed\?\)"):
        cal.ece(p.T, y)


def test_labels_that_never_are_0_are_warned_of():
    low = Y[Y < 3] + 1
    with pytest.warns(UserWarning, match="y runs from 1 to 3 and is never 0"):
        cal.ece(P[Y < 3], low)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cal.ece(P, Y)
        cal.ece(P[Y == 1], Y[Y == 1])  # of one class alone


def test_rows_of_other_images_are_refused():
    p = pd.DataFrame(P, index=range(60, 120))
    other = p.iloc[::-1]
    for use in (
        lambda: cal.ece(p, pd.Series(Y)),
        lambda: cal.evaluate(p, pd.Series(Y, index=other.index), NAMES),
        lambda: cal.bootstrap(p, Y, "nll", 9, p2=other),
        lambda: cal.true_calibration_error(p, other),
        lambda: cal.TemperatureScaling().fit(np.log(p), pd.Series(Y)),
        lambda: cal.bootstrap(P, pd.Series(Y), "nll", 19, p2=p),
        lambda: cal.calibration_difference(P, pd.Series(Y), p, resamples=9),
        lambda: cal.mcnemar(pd.Series([1, 2]), pd.Series([4, 3], index=[1, 0])),
    ):
        with pytest.raises(ValueError, match="different indexes"):
            use()
    assert cal.ece(p, pd.Series(Y, index=p.index)) == cal.ece(p.to_numpy(), pd.Series(Y))


@pytest.mark.parametrize("bins", [15.0, np.float32(15), np.int64(15)])
def test_a_whole_number_of_bins_may_be_of_any_kind(bins):
    for use in (cal.classwise_ece, cal.debiased_ece):
        np.testing.assert_array_equal(use(P, Y, bins), use(P, Y, 15))
    few = {"resamples": 50.0, "level": 0.9}
    intervals = [cal.ece_interval(P, Y, b, **few) for b in (bins, 15)]
    np.testing.assert_array_equal(*intervals)
    diagrams = [cal.prepare_reliability(P, Y, b, resamples=9) for b in (bins, 15)]
    np.testing.assert_array_equal(diagrams[0].band_low, diagrams[1].band_low)
    floors = [cal.noise_floor(P, Y, b, 9.0).classwise for b in (bins, 15)]
    np.testing.assert_array_equal(*floors)
    assert cal.true_calibration_error(P, P, bins, of="mean") == pytest.approx(0)


@pytest.mark.parametrize(
    "given, says",
    [
        (["mass"], "bins is 'mass'; it must be a whole number from 1"),
        ([15, "mass"], "strategy is 'mass'; choose one of: uniform, quantile"),
        ([True], "bins is True"),
        ([0], "bins is 0"),
        ([2.5], "bins is 2.5"),
        ([None], "bins is None"),
        ([np.inf], "bins is inf"),
        ([[5, 10]], "bins is"),
    ],
)
def test_bins_that_cannot_be_are_refused_with_what_can(given, says):
    for use in (cal.ece, cal.ece_interval, cal.noise_floor, cal.true_calibration_error):
        with pytest.raises(ValueError, match=says):
            first = given if use is not cal.noise_floor else [given[0], 9, 0, *given[1:]]
            use(P, P if use is cal.true_calibration_error else Y, *first)


@pytest.mark.parametrize(
    "y, says",
    [
        (Y > 0, "holds bool"),
        (Y + 1, "runs from 1 to 4; labels run from 0 to 3"),
        (np.where(Y == 0, -1, Y), "is -1"),
        ([*Y[1:], 4], "row 59 is 4"),
        ([*Y[1:], 0.5], "row 59 is 0.5"),
        ([*Y, 1], "one a row"),
        (Y[:, None], "one a row"),
        (Y.astype(str), "whole numbers from 0 to 3"),
        (pd.Series(Y.astype(str), dtype=object), "text; labels are whole numbers from 0 to 3"),
        (pd.Series(Y, dtype="Int64").where(Y > 0), "missing"),
        (np.ma.array(Y, mask=Y == 0), "masked"),
        (np.array([None, *Y[1:]]), "row 0 is nan"),
        ([10**400, *Y[1:]], "holds values that are no numbers, or huge"),
        (np.eye(4)[Y], r"shape \(60, 4\).*one-hot labels np.argmax\((y|labels), axis=1\)"),
        (pd.get_dummies(Y), r"holds bool.*one-hot labels np.argmax\((y|labels), axis=1\)"),
    ],
)
def test_other_labels_are_refused_by_metrics_and_by_a_fit(y, says):
    fit = cal.TemperatureScaling().fit
    for use in (*cal.METRICS.values(), cal.ece_interval, cal.noise_floor, fit):
        with pytest.raises(ValueError, match=f"^{'labels' if use == fit else 'y'}\\b.*{says}"):
            use(np.log(P) if use == fit else P, y)


def test_labels_that_are_not_given_are_asked_for():
    for use in (cal.ece, cal.accuracy, cal.evaluate, cal.report, cal.prepare_reliability):
        with pytest.raises(ValueError, match="^y is None"):
            use(*(P, None, NAMES)[: 3 if use in (cal.evaluate, cal.report) else 2])
    with pytest.raises(ValueError, match="^labels is None"):
        cal.TemperatureScaling().fit(np.log(P))


def test_class_names_are_taken_from_an_array_and_must_fit():
    for names in (np.array(NAMES), pd.Index(NAMES)):
        assert cal.prepare_reliability(P, Y, class_names=names, resamples=9).titles == (*"abcd",)
        assert list(cal.evaluate(P, Y, names, ["ece"]).index) == [*NAMES, "All"]
    floor = cal.noise_floor(P, resamples=9)
    for use in (
        lambda names: cal.prepare_reliability(P, Y, class_names=names, resamples=9),
        lambda names: cal.evaluate(P, Y, names, ["ece"]),
        floor.table,
    ):
        for names in (NAMES[:3], [*NAMES, "e"]):
            with pytest.raises(ValueError, match=f"{len(names)} class names for 4 classes"):
                use(names)
        with pytest.raises(ValueError, match="no name may occur twice"):
            use(["a", "b", "b", "d"])


def test_class_names_may_be_an_iterator():
    for use in (cal.report, cal.evaluate):
        pd.testing.assert_frame_equal(use(P, Y, map(str.upper, NAMES)), use(P, Y, [*"ABCD"]))


def test_columns_in_another_order_than_the_class_names_are_refused():
    turned = pd.DataFrame(P, columns=NAMES)[NAMES[::-1]]
    for use in (
        lambda: cal.evaluate(turned, Y, NAMES),
        lambda: cal.prepare_reliability(turned, Y, class_names=NAMES),
        lambda: cal.noise_floor(turned, Y, resamples=9).table(NAMES),
        lambda: cal.bootstrap(pd.DataFrame(P, columns=NAMES), Y, "nll", p2=turned),
        lambda: cal.ece(pd.DataFrame(P)[[2, 0, 1, 3]], Y),
    ):
        with pytest.raises(ValueError, match="columns of p"):
            use()


@pytest.mark.parametrize("name", cal.METHODS)
def test_columns_in_another_order_than_at_the_fit_are_refused(name):
    z = pd.DataFrame(np.log(P), columns=NAMES)
    method = cal.METHODS[name].make(np.ones(4)).fit(z, Y)
    for use in (method.transform, method.predict_proba):
        with pytest.raises(ValueError, match="columns of logits are .*but the method was fitted"):
            use(z[NAMES[::-1]])
        np.testing.assert_array_equal(use(z), use(z.to_numpy()))
    method.fit(z.to_numpy(), Y).transform(z[NAMES[::-1]])  # nothing is known of the columns now


def test_classes_may_have_the_names_of_what_predictions_hold():
    z = pd.DataFrame(np.log(P), columns=["logits", "labels", "part", "columns"])
    method = cal.TemperatureScaling().fit(z, Y)
    np.testing.assert_array_equal(method.transform(z), method.transform(np.log(P)))


def test_what_looks_like_the_wrong_thing_is_warned_of():
    with pytest.warns(UserWarning, match="pass logits"):
        cal.TemperatureScaling().fit(P, Y)
    with pytest.warns(UserWarning, match="look like numbers of images"):
        cal.PriorCorrection([3616, 6012, 10192, 1345])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cal.TemperatureScaling().fit(np.log(P), Y)
        cal.PriorCorrection([1, 2, 10, 1])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("abcd", "a list, one"),
        (np.array("abcd"), "a list, one"),
        (b"abcd", "a list, one"),
        (None, "a list, one"),
        (4, "class_names is 4"),
        ({*NAMES}, "a list, one"),  # in no order
        (dict(enumerate(NAMES)), "a list, one"),  # its keys would be the names
        (["a", None, "c", "d"], "a list, one"),
        ([["a"], ["b"], ["c"], ["d"]], "a list, one"),
        (["a", "b", "All", "d"], "last row"),
    ],
)
def test_names_that_are_no_list_or_a_row_of_the_table_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        cal.evaluate(P, Y, names)


@pytest.mark.parametrize("columns", [["a", "b", "c", "x"], ["b", "c", "d", "e"]])
def test_columns_that_share_only_some_of_the_class_names_are_refused(columns):
    frame = pd.DataFrame(P, columns=columns)
    for say in (cal.evaluate, lambda p, y, n: cal.noise_floor(p, y, resamples=20).table(n)):
        with pytest.raises(ValueError, match="columns of p"):
            say(frame, Y, NAMES)
        say(pd.DataFrame(P, columns=["p0", "p1", "p2", "p3"]), Y, NAMES)  # other names


@pytest.mark.parametrize("kind", [str, float])
def test_columns_numbered_in_text_as_a_csv_gives_them_or_in_floats_stand_in_order(kind):
    with pytest.raises(ValueError, match="in order from 0"):
        cal.ece(pd.DataFrame(P, columns=[*map(kind, [2, 0, 1, 3])]), Y)
    assert cal.ece(pd.DataFrame(P, columns=[*map(kind, range(4))]), Y) == cal.ece(P, Y)


def test_columns_of_several_levels_are_refused():
    levels = pd.DataFrame(P, columns=pd.MultiIndex.from_product([["model"], NAMES]))
    with pytest.raises(ValueError, match=r"several levels; leave one, such as p\.droplevel"):
        cal.evaluate(levels, Y, NAMES)
    one = cal.evaluate(levels.droplevel(0, axis=1), Y, NAMES)
    pd.testing.assert_frame_equal(one, cal.evaluate(P, Y, NAMES))


def test_one_metric_may_be_named_alone_and_what_names_none_is_told():
    table = cal.evaluate(P, Y, NAMES, metrics="accuracy")
    assert table.iloc[-1, 0] == pytest.approx(accuracy_score(Y, P.argmax(axis=1)))
    for wrong in (["accuracy"], None, 3):
        with pytest.raises(ValueError, match="there is no metric"):
            cal.bootstrap(P, Y, wrong, 20)


@pytest.mark.parametrize("level", [None, "0.9", np.array([0.9])])
def test_a_level_that_is_no_number_is_named(level):
    with pytest.raises(ValueError, match="level is"):
        cal.ece_interval(P, Y, level=level)


def test_rows_of_different_lengths_are_laid_to_p_or_y():
    with pytest.raises(ValueError, match="^p is no array"):
        cal.ece([[0.1, 0.9], [0.2]], [0, 1])
    with pytest.raises(ValueError, match="^y is no array"):
        cal.ece(P, [[0], [1, 2]])


@pytest.mark.parametrize("error", [RuntimeError, TypeError])  # of torch: with a gradient, bfloat16
def test_a_tensor_that_gives_no_array_is_named(error):
    class Tensor:
        def __array__(self, *dtype, copy=None):
            raise error("call detach() first")

    with pytest.raises(ValueError, match="^p is no array of numbers: call detach"):
        cal.ece(Tensor(), Y)
    with pytest.raises(ValueError, match="^logits is no array of numbers: call detach"):
        cal.TemperatureScaling().fit(Tensor(), Y)
    with pytest.raises(ValueError, match="^p_values must be numbers .*: call detach"):
        cal.holm(Tensor())


OF_SEED = {
    "interval": lambda seed: cal.ece_interval(P, Y, resamples=20, seed=seed),
    "floor": lambda seed: cal.noise_floor(P, Y, resamples=9, seed=seed),
    "bootstrap": lambda seed: cal.bootstrap(P, Y, "nll", 19, seed=seed),
    "difference": lambda seed: cal.calibration_difference(P, Y, P, resamples=9, seed=seed),
    "reliability": lambda seed: cal.prepare_reliability(P, Y, resamples=9, seed=seed),
    "population": lambda seed: cal.populations.synthetic(99, seed),
}


@pytest.mark.parametrize("use", OF_SEED.values(), ids=OF_SEED)
@pytest.mark.parametrize("seed", [-1, 1.5, "0"])
def test_a_seed_that_is_none_is_named(use, seed):
    with pytest.raises(ValueError, match=f"seed is {seed!r}; it must be a whole number from 0"):
        use(seed)


def test_more_bins_or_resamples_than_any_memory_holds_are_refused():
    for use in (cal.ece, cal.ece_interval, cal.noise_floor):
        for bins in (2**63, 1001):
            with pytest.raises(ValueError, match="bins is .*a whole number from 1 to 1,000$"):
                use(P, Y, bins)
    assert cal.noise_floor(P, Y, 1000, 9).classwise.shape == (9, 4)
    with pytest.raises(ValueError, match="resamples is"):
        cal.bootstrap(P, Y, "nll", 10**12)


def test_a_level_may_be_any_number_and_is_checked_everywhere():
    half = [cal.prepare_reliability(P, Y, resamples=9, level=x).low for x in (0.5, Fraction(1, 2))]
    np.testing.assert_array_equal(*half)
    assert cal.bootstrap(P, Y, "nll", 9, level=Fraction(1, 2)).high > 0
    with pytest.raises(ValueError, match="level is 95"):
        cal.ece_interval(P, Y, level=95)


def test_what_is_no_metric_is_named():
    for use in (cal.noise_floor, lambda p, y, metric: cal.evaluate(p, y, NAMES, metric)):
        with pytest.raises(ValueError, match="^(there is no metric )?7"):
            use(P, Y, metric=7)
    for gives in ("a", True, None, np.nan):
        for p2 in (None, P):
            with pytest.raises(ValueError, match="what metric gives (holds|is)"):
                cal.bootstrap(P, Y, lambda p, y, gives=gives: gives, 19, p2=p2)
    with pytest.raises(ValueError, match="what metric gives is no array"):
        cal.bootstrap(P, Y, lambda p, y: np.unique(y[:3]), 20)


def test_a_metric_may_give_a_list_and_resamples_must_be_enough_for_the_level():
    for p2 in (None, P[:, ::-1]):
        listed, arrays = (
            cal.bootstrap(P, Y, lambda p, y, kind=kind: kind(p.mean(axis=0)), 19, p2=p2)
            for kind in (list, np.array)
        )
        np.testing.assert_array_equal(listed, arrays)
    for use in (cal.ece_interval, lambda p, y, resamples: cal.bootstrap(p, y, "nll", resamples)):
        with pytest.raises(ValueError, match="resamples is 18; level 0.95 needs 19 or more"):
            use(P, Y, resamples=18)
        use(P, Y, resamples=19)


def test_probabilities_of_a_pair_may_be_of_any_kind_and_are_called_by_their_names():
    kept, other = pd.Series(list(P)), P[::-1]
    assert cal.true_calibration_error(kept, other, of="mean") == pytest.approx(
        cal.true_calibration_error(P, other, of="mean")
    )
    with pytest.raises(ValueError, match="columns of p are .*, but those of eta"):
        frame = pd.DataFrame(P, columns=NAMES)
        cal.true_calibration_error(frame, frame[NAMES[::-1]])
    with pytest.raises(ValueError, match="one run at least"):
        cal.calibration_difference(np.zeros((0, 60, 4)), Y, np.zeros((0, 60, 4)))
    for pair, name in ((([P, P[:-1]], [P, P]), "p"), (([P, P], [P, P[:-1]]), "p2")):
        with pytest.raises(ValueError, match=f"^{name} is no array of numbers"):
            cal.calibration_difference(pair[0], Y, pair[1])


@pytest.mark.parametrize("weight", [*map(np.full, [60] * 4, [-1, 0, np.nan, 1e308]), np.ones(59)])
def test_weights_that_cannot_be_are_shown(weight):
    with pytest.raises(ValueError, match=r"sample_weight, of shape \(\d+,\), is .*numbers from 0"):
        cal.TemperatureScaling().fit(np.log(P), Y, weight)
    with pytest.raises(ValueError, match="^sample_weight holds text"):
        cal.TemperatureScaling().fit(np.log(P), Y, weight.astype(str))


def test_weights_of_other_images_are_refused():
    weight = pd.Series(1.0, index=range(1, 61))
    with pytest.raises(ValueError, match="the images and sample_weight have different indexes"):
        cal.calibration_difference(P, pd.Series(Y), P, sample_weight=weight)
    with pytest.raises(ValueError, match="the images and sample_weight have different indexes"):
        cal.TemperatureScaling().fit(pd.DataFrame(np.log(P)), Y, weight)
    with pytest.raises(ValueError, match="the images and sample_weight have different indexes"):
        cal.calibration_difference(pd.DataFrame(P), Y, P, sample_weight=weight)
    with pytest.raises(ValueError, match="the images and sample_weight have different indexes"):
        cal.TemperatureScaling().fit(np.log(P), pd.Series(Y), weight)


def test_class_weights_in_another_order_than_the_classes_are_refused():
    weights = 1 / pd.Series([0, 1, 2, 2, 2, 1]).value_counts()  # the most frequent class first
    with pytest.raises(ValueError, match=r"weights have the index \[2, 1, 0\]; sort_index"):
        cal.PriorCorrection(weights)
    with pytest.raises(ValueError, match=r"the index \['a', 'b', 'c'\]"):
        cal.METHODS["prior_temperature"].make(weights.set_axis(list("abc")))
    np.testing.assert_array_equal(
        cal.PriorCorrection(weights.sort_index()).weights, [1, 1 / 2, 1 / 3]
    )


def test_logits_too_large_for_products_are_refused():
    with pytest.raises(ValueError, match=r"logits: row 0 is beyond 1e\+100"):
        cal.VectorScaling().fit((P - 0.5) * 1e308, Y)


@pytest.mark.parametrize("weights", ["abcd", [1j] * 4, [True] * 4, ["1"] * 4, None, 1.0])
def test_class_weights_that_are_no_numbers_are_named(weights):
    with pytest.raises(ValueError, match="^weights"):
        cal.PriorCorrection(weights)


@pytest.mark.parametrize("penalty", [[], [[1, 2]], "1", True])
def test_a_penalty_that_is_no_number_is_named(penalty):
    with pytest.raises(ValueError, match="^penalty"):
        cal.MatrixScaling(penalty)


@pytest.mark.parametrize("y", [np.full(9, np.nan), pd.Series([pd.NA, 1]), [None, 1], [], [[0, 0]]])
def test_images_of_no_known_label_are_not_resampled(y):
    with pytest.raises(ValueError, match="^y (has|must)"):
        next(cal.image_counts(y, 9))


@pytest.mark.parametrize(
    "won, differ",
    [(1.5, 2), (np.nan, 1), (None, 1), (True, True), ("1", 2), ([1, 2], [3, 4, 5])]
    + [(10**6, 2**31)],
)
def test_counts_of_mcnemar_that_cannot_be_are_named(won, differ):
    with pytest.raises(ValueError, match="^won"):
        cal.mcnemar(won, differ)


def test_p_values_that_are_masked_do_not_count_and_others_are_named():
    np.testing.assert_array_equal(cal.holm(np.ma.array([0.1, 0.2], mask=[0, 1])), [0.1, np.nan])
    np.testing.assert_array_equal(cal.holm(pd.Index([0.01, 0.5])), [0.02, 0.5])
    for wrong in ({"a": 0.1}, [0.1 + 1j], pd.Series(["x"])):
        with pytest.raises(ValueError, match="^p_values must be numbers"):
            cal.holm(wrong)
