"""Recorded runs: read back without weights, tabled beside the paper, compared on the same images."""

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest

from acrlls import runs
from acrlls.calibration import registry as calibration
from acrlls.calibration.posthoc import METHODS, PriorCorrection, TemperatureScaling
from acrlls.config import UserError
from acrlls.paper import paper
from acrlls.runs import recorded as records


@pytest.fixture(scope="module")
def recorded(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for change, settings in {
        "": {},
        "-unweighted": {"class_weights": False, "phase2_epochs": 0},
    }.items():
        for variant in ("baseline", "proposed"):
            done = runs.run(tiny.replace(variant=variant, **settings))
            runs.record(done, folder / f"laptop{change}" / variant)
    return records.records("laptop", folder)


def test_records_are_found_by_change_and_variant(recorded):
    assert sorted(recorded) == [
        (c, v) for c in ("", "unweighted") for v in ("baseline", "proposed")
    ]


def test_no_record_is_an_error_that_says_how_to_make_one(tmp_path):
    with pytest.raises(UserError, match="no run of profile 'paper' is recorded.*acrlls reproduce"):
        records.records("paper", tmp_path)


def test_a_summary_has_every_row_that_the_paper_publishes(recorded):
    ours = records.summary(recorded["", "proposed"])
    assert set(ours.index) == set(records.published().index)
    table = records.side_by_side({"paper": records.published(), "ours": ours})
    assert not table.isna().any(axis=None)
    assert table.loc[("accuracy, Phase 2", ""), "paper"] == paper.NUMBERS["accuracy.proposed"].value
    assert table.loc[("test images", "COVID"), "paper"] == 543


def test_training_weights_are_those_of_the_run(recorded, phantom_data, tiny):
    from acrlls import data

    labels = phantom_data.labels[data.split_of(phantom_data, tiny).train]
    np.testing.assert_allclose(
        records.training_weights(recorded["", "baseline"]), data.class_weights(labels, 4)
    )
    np.testing.assert_array_equal(
        records.training_weights(recorded["unweighted", "baseline"]), np.ones(4)
    )


def test_recalibration_of_a_run_is_fitted_on_its_validation_part(recorded):
    done = recorded["", "proposed"]
    validation, test = done.predictions("validation"), done.predictions("test")
    by_hand = TemperatureScaling().fit(validation.logits, validation.labels)
    np.testing.assert_array_equal(
        records.recalibrate(done, "temperature"), by_hand.predict_proba(test.logits)
    )
    given = TemperatureScaling()
    records.recalibrate(done, given)
    assert given.temperature == by_hand.temperature
    weights = records.training_weights(done)
    np.testing.assert_array_equal(
        records.recalibrate(done, "prior"), PriorCorrection(weights).predict_proba(test.logits)
    )


def test_predictions_for_the_test_part_are_refused_by_every_fit(recorded):
    done = recorded["", "proposed"]
    for method in METHODS.values():
        with pytest.raises(ValueError, match="test part"):
            method.make(records.training_weights(done)).fit(done.predictions("test"))


def test_a_method_that_does_not_exist_is_an_error_with_the_names_of_those_that_do(recorded):
    with pytest.raises(ValueError, match="no method 'platt'.*temperature"):
        records.recalibrate(recorded["", "proposed"], "platt")


def test_prior_correction_changes_nothing_without_weights(recorded):
    table = records.calibration_table({"plain": recorded["unweighted", "proposed"]}, resamples=50)
    for quantity in ("accuracy", "NLL", "ECE", "low", "high"):
        assert table.loc["plain", (quantity, "as trained")] == pytest.approx(
            table.loc["plain", (quantity, "prior corrected")]
        )


def test_a_paired_difference_is_second_minus_first(recorded):
    a, b = recorded["", "baseline"], recorded["", "proposed"]
    table = records.paired(a, b, resamples=50)
    pa, pb = a.predictions(), b.predictions()
    for name in ("accuracy", "nll", "brier"):
        metric = calibration.METRICS[name]
        expected = metric(pb.probabilities, pb.labels, 15) - metric(pa.probabilities, pa.labels, 15)
        assert table.loc[metric.title, "difference"] == pytest.approx(float(expected))
    squared = [
        calibration.classwise_debiased_ece(q.probabilities, q.labels, 10, squared=True).sum()
        for q in (pa, pb)
    ]
    part = records.paired(a, b, resamples=50, bins=10).loc[records.MISCALIBRATION]
    assert (
        part.difference == pytest.approx(squared[1] - squared[0])
        and part.low < part.difference < part.high
    )
    only_b = ((pb.classes == pb.labels) & (pa.classes != pa.labels)).sum()
    only_a = ((pa.classes == pa.labels) & (pb.classes != pb.labels)).sum()
    expected = binomtest(int(only_b), int(only_a + only_b)).pvalue if only_a + only_b else 1.0
    assert table["McNemar p"].iloc[0] == pytest.approx(expected)


def test_the_shipped_records_hold_no_weights_and_no_images():
    found = [f for f in records.RESULTS.rglob("*") if f.is_file()]
    assert {f.suffix for f in found} <= {".json", ".csv", ".gz", ".md", ".npz"}
    for file in (f for f in found if f.suffix == ".npz"):
        with np.load(file) as kept:
            assert all(
                kept[name][0].size <= 4 for name in kept.files
            )  # a number a class, no picture
    for done in records.records("laptop").values():
        test = done.predictions("test")
        assert len(test.names) == len(test.labels) == len(set(test.names))


def test_runs_are_summed_up_over_seeds_by_the_settings_asked_for(recorded):
    proposed = [done for (_, variant), done in recorded.items() if variant == "proposed"]
    table = records.over_seeds(proposed, resamples=20, by=("class_weights", "views"))
    assert list(table.index) == [("yes", "6"), ("no", "6")] and list(table.index.names) == [
        "class weights",
        "views",
    ]
    expected = calibration.accuracy(
        proposed[0].predictions().probabilities, proposed[0].predictions().labels
    )
    assert table.loc[("yes", "6"), ("accuracy", "as trained", "mean")] == expected
    with pytest.raises(ValueError, match="two runs of seed 0 have {'views': '6'}"):
        records.over_seeds(proposed, resamples=20, by=("views",))


def test_mcnemar_tosses_a_coin_for_the_images_that_one_model_alone_gets_right():
    assert records.mcnemar(0, 0) == 1
    assert records.mcnemar(5, 5) == pytest.approx(2 / 32)
    assert records.mcnemar(3, 6) == 1


def test_paired_scores_of_a_model_and_itself_are_nothing():
    p = np.full((6, 2), 0.5)
    table = records.paired_scores(p, p, np.array([0, 1, 0, 1, 0, 1]), resamples=20)
    assert (table[["difference", "low", "high"]] == 0).all(axis=None)
    assert table.loc["Accuracy", "McNemar p"] == 1


def test_the_recorded_grid_is_every_published_pair_best_first():
    grid = records.tuning()
    assert set(zip(grid.alpha, grid.tau)) == set(
        itertools.product(paper.GRID_ALPHA, paper.GRID_TAU)
    )
    assert grid.val_loss.is_monotonic_increasing
    assert records.tuning("no-such-profile") is None
