"""Readings of BatchNormalization's statistics: several on one training equal one training each."""

import numpy as np
import pandas as pd
import pytest
from keras import ops

from acrlls.config import UserError
from acrlls.method import model as m
from acrlls.training import algorithm as training
from acrlls.training.batchnorm import Readings
from acrlls.training.folding import FusedBatchNormalization
from acrlls.training.phase import Phase, better

PARTS = ["part", "name", "label"]


def trained(config, dataset, folder):
    training.train(config, dataset, folder)
    return pd.read_csv(folder / "predictions.csv.gz"), pd.read_csv(folder / "history.csv")


def logits(table, **chosen):
    for column, value in chosen.items():
        table = table[table[column].astype(str) == str(value)]
    return table.filter(like="logit_").to_numpy()


@pytest.fixture(scope="module")
def several(tiny, phantom_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    config = tiny.replace(phase2_epochs=2, batchnorm_statistics=(0.999, 0.9, "reestimated"))
    predictions, history = trained(config, phantom_data, folder)
    return (
        config,
        predictions,
        history,
        pd.read_csv(folder / "statistics_predictions.csv.gz"),
        pd.read_csv(folder / "statistics.csv"),
    )


def test_further_readings_leave_the_run_as_it_is(several, phantom_data, tmp_path):
    config, predictions, history, *_ = several
    alone, history_alone = trained(
        config.replace(batchnorm_statistics=(0.999,)), phantom_data, tmp_path / "alone"
    )
    assert predictions[PARTS].equals(alone[PARTS])
    np.testing.assert_allclose(logits(predictions), logits(alone), atol=1e-5)
    np.testing.assert_allclose(history.val_loss, history_alone.val_loss, rtol=1e-5)


@pytest.mark.parametrize("name", [pytest.param(0.9, marks=pytest.mark.thorough), "reestimated"])
def test_a_further_reading_is_what_a_training_of_its_own_gives(
    several, phantom_data, tmp_path, name
):
    config, predictions, history, others, other_history = several
    alone, history_alone = trained(
        config.replace(batchnorm_statistics=(name,)), phantom_data, tmp_path / "alone"
    )
    found = other_history[other_history.statistics.astype(str) == str(name)]
    np.testing.assert_allclose(
        found.val_loss, history_alone[history_alone.phase == 2].val_loss, rtol=1e-4
    )
    np.testing.assert_allclose(
        logits(others, statistics=name), logits(alone, phase=2), rtol=1e-3, atol=1e-3
    )
    # and not that of the run's own reading, by ten times what the two may differ
    assert not np.allclose(found.val_loss, history[history.phase == 2].val_loss, rtol=1e-3)
    np.testing.assert_allclose(history_alone.loss, history.loss, rtol=1e-4)  # training is the same


def test_statistics_computed_afresh_are_the_moments_of_what_enters(tiny, phantom_data):
    model = m.build_model(tiny, 4)
    m.unfreeze_top(model, tiny.unfrozen_layers, "update")
    cut = m.frozen_cut(model)
    readings = Readings(m.between(model, cut, model.layers[-2].name), (0.999, "reestimated"))
    stage = readings.stage
    stage.compile("adam", "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).normal(size=(40, *stage.input_shape[1:])).astype("float32")
    readings.end_epoch([(x, None)])
    first = next(layer for layer in stage.layers if isinstance(layer, FusedBatchNormalization))
    before = ops.convert_to_numpy(first.norm.moving_mean)
    entering = ops.convert_to_numpy(
        m.between(model, cut, first.norm._inbound_nodes[0].parent_nodes[0].operation.name)(x)
    )
    with readings.applied("reestimated"):
        np.testing.assert_allclose(
            first.norm.moving_mean, entering.mean((0, 1, 2)), rtol=1e-3, atol=1e-4
        )
        np.testing.assert_allclose(
            first.norm.moving_variance, entering.var((0, 1, 2)), rtol=1e-3, atol=1e-4
        )
    np.testing.assert_array_equal(first.norm.moving_mean, before)
    with pytest.raises(KeyboardInterrupt), readings.applied("reestimated"):  # by the user
        raise KeyboardInterrupt
    np.testing.assert_array_equal(first.norm.moving_mean, before)


@pytest.mark.thorough
def test_a_training_cut_off_goes_on_with_all_readings(several, phantom_data, tmp_path, monkeypatch):
    config, predictions, history, others, other_history = several
    whole, calls = Phase._epoch, []

    def dies(self, epoch):
        calls.append(epoch)
        if len(calls) == config.phase1_epochs + 2:
            raise KeyboardInterrupt
        return whole(self, epoch)

    monkeypatch.setattr(Phase, "_epoch", dies)
    with pytest.raises(KeyboardInterrupt):
        training.train(config, phantom_data, tmp_path / "p")
    monkeypatch.setattr(Phase, "_epoch", whole)
    resumed, _ = trained(config, phantom_data, tmp_path / "p")
    np.testing.assert_array_equal(logits(resumed), logits(predictions))
    np.testing.assert_array_equal(
        logits(pd.read_csv(tmp_path / "p" / "statistics_predictions.csv.gz")), logits(others)
    )
    np.testing.assert_array_equal(
        pd.read_csv(tmp_path / "p" / "statistics.csv").val_loss, other_history.val_loss
    )


def test_a_loss_that_is_no_number_is_beaten_by_any_other():
    rows = [{"val_loss": np.nan}, {"val_loss": 0.5}]
    assert better(rows[1], rows[0])
    assert not better(rows[0], rows[1])


def test_a_stop_while_a_finished_run_is_tidied_up_costs_nothing(
    tiny, phantom_data, tmp_path, monkeypatch
):
    config = tiny.replace(phase2_epochs=0)
    seal = training.seal

    def dies(*about):
        seal(*about)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "seal", dies)
    with pytest.raises(KeyboardInterrupt):
        training.train(config, phantom_data, tmp_path)
    monkeypatch.undo()
    before = (tmp_path / "predictions.csv.gz").stat().st_mtime_ns
    next(tmp_path.glob("best_1_*.npz")).unlink()
    training.train(config, phantom_data, tmp_path)
    assert (tmp_path / "predictions.csv.gz").stat().st_mtime_ns == before
    assert not list(tmp_path.glob("*.npz"))


@pytest.mark.parametrize("value", [1.5, "precise", []])
def test_an_unknown_reading_is_refused(tiny, value):
    with pytest.raises(UserError, match="batchnorm_statistics"):
        tiny.replace(batchnorm_statistics=value)
