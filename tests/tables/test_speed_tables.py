"""What the section on speed says, in each of its branches."""

import pandas as pd
import pytest

from acrlls.config import UserError
from acrlls.tables import speed


@pytest.fixture(scope="module")
def paper():
    return speed.record("paper")


def test_a_record_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(UserError, match="recorded is 'mine'; .*paper, quick"):
        speed.record("mine")


def test_the_set_up_names_the_images(paper):
    result, _ = paper
    said = speed.setup(result)
    assert "1,000 real radiographs of 224 px (699 to train on)" in said
    drawn = {**result, "config": {**result["config"], "data": "phantom"}}
    assert "phantoms" in speed.setup(drawn)


def test_tables_have_each_part_and_the_ratio_is_that_of_the_hours(paper):
    result, epochs = paper
    measured = speed.measured(result).data
    seconds = measured["seconds"]
    ratio = seconds["plain Keras"] / seconds["feature bank"]
    pd.testing.assert_series_equal(ratio, measured["ratio", "time"], check_names=False)
    table = speed.projected(speed.projections(result, epochs)).data
    assert len(measured) == 4 and len(table) == 6
    for side in ("plain Keras", "plain Keras, oneDNN"):
        times = table["hours", side] / table["hours", "feature bank"]
        pd.testing.assert_series_equal(times, table["ratio to the bank", side], check_names=False)


def test_agreement_is_told_for_grid_and_phase_1(paper):
    said = speed.agreement(paper[0])
    assert "4.2e−07 in the grid and 9.8e−07 in Phase 1." in said


def test_the_recorded_views_give_a_row_for_each_number_of_views():
    table = speed.views()
    assert table.index.tolist() == [1, 2, 5, 20] and (table["seeds", ""] == 3).all()


def test_the_finding_names_the_reading_of_batchnorm_and_the_faster_kernels(paper):
    hours = speed.projections(*paper)
    said = speed.finding(hours["frozen"], "frozen")
    assert "7.4 hours instead of 73, 9.9 times less" in said
    assert "BatchNorm frozen" in said and "6.2 times less (Phase 2 2.5 times)" in said
    assert "BatchNorm updating" in speed.finding(hours["update"], "update")
