"""Rival losses in training: each trains, and none changes how epochs are chosen."""

import numpy as np
import pytest
from keras import ops
from sklearn.metrics import log_loss

from acrlls import runs
from acrlls.method import LOSSES, build_model
from acrlls.training import Batches, FeatureBank, phases
from acrlls.training.phase import Phase

RIVALS = [name for name in LOSSES if name != "cross_entropy"]


@pytest.fixture(scope="module")
def head(tiny):
    """Two epochs of Phase 1."""
    return tiny.replace(variant="baseline", phase2_epochs=0, views=1)


@pytest.mark.parametrize("loss", RIVALS)
def test_each_rival_trains_and_is_judged_by_the_plain_loss(head, loss):
    done = runs.run(head.replace(loss=loss))
    usual = runs.run(head)
    assert np.isfinite(done.history[["loss", "val_loss"]]).all(axis=None)
    same = np.allclose(done.predictions().logits, usual.predictions().logits, atol=1e-4)
    assert same == (loss == "mbls")  # after two epochs no two logits are ten apart
    kept = done.predictions("validation")
    best = done.history.val_loss.min()
    assert best == pytest.approx(log_loss(kept.labels, kept.probabilities), rel=1e-4)


@pytest.mark.parametrize("loss", ["label_smoothing", "focal", "correctness_ranking", "mixup"])
@pytest.mark.parametrize("weighted", [True, False])
def test_without_strength_a_rival_is_cross_entropy(head, loss, weighted):
    config = head.replace(class_weights=weighted)
    usual = runs.run(config).history
    history = runs.run(config.replace(loss=loss, loss_strength=0)).history
    for column in ("loss", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(history[column], usual[column], rtol=1e-4)


def phase_1(config, dataset, folder):
    folder.mkdir(exist_ok=True)
    model = build_model(config, len(dataset.class_names))
    bank = FeatureBank(config, dataset, model)
    return Phase(phases(config)[0], bank, folder)


def test_hits_are_counted_once_an_epoch_and_survive_a_stop(head, phantom_data, tmp_path):
    config = head.replace(loss="correctness_ranking", phase1_epochs=3)
    whole = phase_1(config, phantom_data, tmp_path / "whole")
    whole.train()
    counts = ops.convert_to_numpy(whole.objective.hits.counts)
    assert set(np.unique(counts)) <= {0, 1, 2, 3} and 0 < counts.mean() < 3
    shares = whole.objective.targets(phantom_data.labels[whole.bank.split.train], 3)[:, 4]
    np.testing.assert_allclose(shares, counts / 3)
    phase_1(config.replace(phase1_epochs=1), phantom_data, tmp_path / "cut").train()
    resumed = phase_1(config, phantom_data, tmp_path / "cut")
    assert resumed.train() | {"seconds": 0} == pytest.approx(whole.train() | {"seconds": 0})
    np.testing.assert_array_equal(ops.convert_to_numpy(resumed.objective.hits.counts), counts)


def test_mixup_mixes_within_a_batch_by_one_share():
    x, truth = np.arange(10, dtype="float32")[:, None], np.eye(10, dtype="float32")
    order = np.random.default_rng(0).permutation(10)
    batches = Batches(lambda rows: x[rows], truth, order, 4)
    batches.mix(np.random.default_rng(1), 0.3)
    for k in range(3):
        members, (mixed, labels) = order[4 * k : 4 * k + 4], batches[k]
        np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
        np.testing.assert_allclose(labels @ x, mixed, rtol=1e-5)  # images and labels alike
        assert set(np.nonzero(labels.sum(axis=0))[0]) == set(members)
    together = batches.take()
    np.testing.assert_array_equal(together[0], np.concatenate([batches[k][0] for k in range(3)]))
    batches.mixing = None
    np.testing.assert_array_equal(batches[0][1], truth[order[:4]])
