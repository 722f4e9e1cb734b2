"""What every public function of the room accepts, and what it refuses and with which words."""

import numpy as np
import pandas as pd
import pytest
from conftest import random_case

from acrlls import calibration as cal

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
    for p in (P.tolist(), pd.DataFrame(P), pd.DataFrame(P).astype("Float64")):
        assert cal.ece(p, Y) == cal.ece(P, Y)
    assert cal.ece(P.round(3), Y) == pytest.approx(cal.ece(P, Y), abs=0.05)


@pytest.mark.parametrize(
    "y, says",
    [
        (Y > 0, "holds bool"),
        (Y + 1, "runs from 1 to 4; labels run from 0 to 3"),
        (np.where(Y == 0, -1, Y), "is -1"),
        (Y.astype(str), "whole numbers from 0 to 3"),
        (pd.Series(Y.astype(str), dtype=object), "whole numbers from 0 to 3"),
    ],
)
def test_other_labels_are_refused_by_metrics_and_by_a_fit(y, says):
    for use in (cal.ece, cal.ece_interval, cal.noise_floor, cal.TemperatureScaling().fit):
        with pytest.raises(ValueError, match=says):
            use(P, y)


def test_class_names_are_taken_from_an_array_and_must_fit():
    for names in (np.array(NAMES), pd.Index(NAMES)):
        assert cal.prepare_reliability(P, Y, class_names=names, resamples=9).titles == (*"abcd",)
        assert list(cal.evaluate(P, Y, names, ["ece"]).index) == [*NAMES, "All"]
    floor = cal.noise_floor(P, resamples=9)
    for use in (
        lambda names: cal.prepare_reliability(P, Y, class_names=names, resamples=9),
        lambda names: cal.evaluate(P, Y, names, ["ece"]),
        lambda names: cal.report(P, Y, names),
        floor.table,
    ):
        for names in (NAMES[:3], [*NAMES, "e"]):
            with pytest.raises(ValueError, match=f"{len(names)} class names for 4 classes"):
                use(names)


def test_columns_in_another_order_than_the_class_names_are_refused():
    turned = pd.DataFrame(P[:, ::-1], columns=NAMES[::-1])
    with pytest.raises(ValueError, match="columns of p are"):
        cal.evaluate(turned, Y, NAMES)
