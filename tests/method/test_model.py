"""The architecture of Section II-A, its variants, and what is frozen when."""

import os
import re
import shutil

import keras
import numpy as np
import pytest
from keras import ops

from acrlls.config import UserError, configure
from acrlls.method import model as m


@pytest.fixture(scope="module")
def proposed():
    return m.build_model(configure("quick", backbone="phantom"), 4)


def head(model):
    return [layer.name for layer in model.layers[len(m.backbone_layers(model)) :]]


def test_the_head_is_the_papers(proposed):
    layers = "pool dense_1 dropout_1 dense_2 dropout_2 logits acr lls softmax"
    assert head(proposed) == layers.split()
    assert [proposed.get_layer(n).units for n in ("dense_1", "dense_2", "logits")] == [256, 128, 4]
    assert [proposed.get_layer(n).rate for n in ("dropout_1", "dropout_2")] == [0.4, 0.3]
    assert (proposed.get_layer("acr").alpha, proposed.get_layer("acr").tau) == (0.08, 0.25)


@pytest.mark.parametrize(
    "variant, tail",
    [
        ("baseline", "dense_1 dropout_1 dense_2 dropout_2 logits softmax"),
        ("single_dense", "dense_1 dropout_1 logits softmax"),
        ("acr_only", "dense_1 dropout_1 dense_2 dropout_2 logits acr softmax"),
        ("lls_only", "dense_1 dropout_1 dense_2 dropout_2 logits lls softmax"),
        ("single_dense_acr_lls", "dense_1 dropout_1 logits acr lls softmax"),
    ],
)
def test_a_variant_differs_by_its_layers_alone(variant, tail):
    model = m.build_model(configure("quick", backbone="random", variant=variant), 4)
    assert head(model) == ["pool", *tail.split()]


def test_variants_of_one_seed_start_from_the_same_weights(proposed):
    baseline = m.build_model(configure("quick", backbone="random", variant="baseline"), 4)
    for name in ("dense_1", "dense_2", "logits"):
        both = (model.get_layer(name).get_weights() for model in (baseline, proposed))
        for a, b in zip(*both, strict=True):
            np.testing.assert_array_equal(a, b)


def test_in_phase_1_the_head_alone_is_trainable(proposed):
    m.unfreeze_top(proposed, 0)
    names = {v.path.split("/")[0] for v in proposed.trainable_variables}
    assert names == {"dense_1", "dense_2", "logits", "lls"}
    assert m.frozen_cut(proposed) == "pool"


def test_the_last_50_layers_start_at_block_11_project(proposed):
    m.unfreeze_top(proposed, 50, "update")
    assert (
        next(layer.name for layer in proposed.layers if layer.trainable_weights)
        == "block_11_project"
    )
    m.unfreeze_top(proposed, 50, "frozen")
    norms = [
        layer
        for layer in m.backbone_layers(proposed)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert not any(layer.trainable for layer in norms)


@pytest.mark.parametrize(
    "n, cut",
    [
        (0, "pool"),
        (50, "block_10_project_BN"),
        (154, None),
        (5, "block_15_add"),  # not the sixfold map that feeds block 16's projection
        (52, "block_10_project_BN"),
    ],
)
def test_the_cut_is_found_from_the_model(proposed, n, cut):
    m.unfreeze_top(proposed, n, "update")
    assert m.frozen_cut(proposed) == cut


def test_the_network_cut_in_two_is_the_network(proposed):
    x = np.random.default_rng(0).random((3, 96, 96, 3), "float32")
    for cut in ("block_10_project_BN", "pool"):
        first, second = m.between(proposed, None, cut), m.between(proposed, cut, "softmax")
        cut_in_two, whole = map(ops.convert_to_numpy, (second(first(x)), proposed(x)))
        np.testing.assert_allclose(cut_in_two, whole, rtol=1e-5, atol=1e-6)


def test_the_shipped_backbone_loads_and_is_small():
    file = m.weights_file(configure("quick"))
    assert file.stat().st_size <= 3_000_000
    trained = m.build_backbone(configure("quick"))
    random = m.build_backbone(configure("quick", backbone="random"))
    assert not np.allclose(
        trained.get_layer("Conv1").get_weights()[0], random.get_layer("Conv1").get_weights()[0]
    )


def test_weights_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match="nothing.h5' is not a weights file; give the path"):
        m.build_backbone(configure("quick", backbone=str(tmp_path / "nothing.h5")))


def test_weights_are_those_of_the_file_that_is_named_as_it_is_now(tmp_path):
    first, second = (
        m.build_backbone(configure("quick", image_size=48, backbone="random", seed=s))
        for s in (1, 2)
    )
    for base in (first, second):  # the same file, written anew
        base.save_weights(tmp_path / "own.weights.h5")
        found = m.build_backbone(
            configure("quick", image_size=48, backbone=str(tmp_path / "own.weights.h5"))
        )
        np.testing.assert_array_equal(found.get_weights()[0], base.get_weights()[0])
    changed = (tmp_path / "own.weights.h5").stat().st_mtime_ns
    other = shutil.copy(m.weights_file(configure("quick")), tmp_path / "other.weights.h5")
    os.utime(other, ns=(changed, changed))  # another file of the same age
    shipped = m.build_backbone(configure("quick", image_size=48, backbone=str(other)))
    assert not np.array_equal(shipped.get_weights()[0], second.get_weights()[0])


def test_weights_of_another_width_are_one_message(recwarn):
    with pytest.raises(UserError, match="do not fit MobileNetV2 of width 1"):
        m.build_backbone(configure("quick", backbone_width=1.0))
    assert not [w for w in recwarn if "Skipping" in str(w.message)]


@pytest.mark.parametrize("name", ["a.keras", "a.weights.h5", "a.npz"])
def test_a_file_that_holds_no_weights_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"no weights")
    with pytest.raises(UserError, match=f"weights .*{re.escape(name)} do not fit MobileNetV2"):
        m.build_backbone(configure("quick", backbone=str(tmp_path / name)))


def test_imagenet_weights_without_a_network(monkeypatch):
    def offline(name, url, **kwargs):
        assert name == "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.utils, "get_file", offline)
    with pytest.raises(UserError, match="Without a network.*backbone"):
        m.build_backbone(configure("paper"))


def test_weights_that_are_no_numbers_are_refused(tiny, tmp_path):
    base = m.build_backbone(tiny)
    arrays = base.get_weights()
    arrays[-1][0] = np.nan
    base.set_weights(arrays)
    base.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(UserError, match="some of them are no numbers"):
        m.build_backbone(tiny.replace(backbone=str(tmp_path / "w.weights.h5")))
