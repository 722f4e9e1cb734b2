"""The lean suffix is the plain one: outputs, gradients and statistics."""

import contextlib

import keras
import numpy as np
import pytest
from keras import ops

from acrlls.config import configure
from acrlls.method import model as m
from acrlls.training import folding
from acrlls.training.batchnorm import Readings

TENSORFLOW = keras.backend.backend() == "tensorflow"
needs_tensorflow = pytest.mark.skipif(
    not TENSORFLOW, reason="gradients are taken with TensorFlow's tape"
)


@pytest.fixture
def double():
    """Float64 everywhere, where exact algebra shows: no ReLU6 flips by rounding."""
    policy, kind = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_floatx("float64")  # of losses
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(kind)
    keras.config.set_dtype_policy(policy)


def plain_suffix(batchnorm):
    """Phase 2's suffix of a small network whose BatchNormalization layers have moved."""
    config = configure(
        "quick", phantom_images=40, image_size=64, backbone="phantom", batchnorm=batchnorm
    )
    model = m.build_model(config, 4)
    m.unfreeze_top(model, config.unfrozen_layers, batchnorm)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    return model, m.between(model, m.frozen_cut(model), model.layers[-2].name)


def inputs(stage, dtype):
    rng = np.random.default_rng(0)
    return rng.normal(size=(8, *stage.input_shape[1:])).astype(dtype), rng.integers(0, 4, 8)


def loss_and_gradients(stage, dtype):
    import tensorflow as tf

    x, labels = inputs(stage, dtype)
    with tf.GradientTape() as tape:
        logits = stage(tf.constant(x), training=True)
        each = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        loss = ops.mean(each) + ops.cast(sum(stage.losses), dtype)
    gradients = tape.gradient(loss, stage.trainable_variables)
    return float(loss), {
        v.path: g.numpy() for v, g in zip(stage.trainable_variables, gradients, strict=True)
    }


def values(model):
    return {v.path: ops.convert_to_numpy(v).copy() for v in model.weights}


@needs_tensorflow
@pytest.mark.parametrize("batchnorm", ["frozen", "update"])
def test_loss_and_every_gradient_are_those_of_the_plain_suffix(batchnorm, double):
    _, stage = plain_suffix(batchnorm)
    lean = folding.lean(stage)
    assert sum(isinstance(layer, folding.LeanConvolution) for layer in lean.layers) > 10
    norms = any(isinstance(layer, keras.layers.BatchNormalization) for layer in lean.layers)
    assert norms == (batchnorm == "update")
    expected, gradients = loss_and_gradients(stage, "float64")
    loss, found = loss_and_gradients(lean, "float64")
    assert loss == pytest.approx(expected, rel=1e-10)
    assert found.keys() == gradients.keys()
    largest = max(np.abs(g).max() for g in gradients.values())
    for (
        path,
        g,
    ) in (
        gradients.items()
    ):  # some are zero but for rounding: of what the next BatchNormalization takes out
        np.testing.assert_allclose(
            found[path], g, atol=1e-9 * np.abs(g).max() + 1e-15 * largest, err_msg=path
        )


@needs_tensorflow
def test_a_fused_batchnorm_has_the_output_gradients_and_statistics_of_the_layer():
    import tensorflow as tf

    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(2, 3, (4, 5, 5, 7)), "float32")
    upstream = tf.constant(rng.normal(size=x.shape), "float32")
    norm = keras.layers.BatchNormalization(epsilon=1e-3, momentum=0.9)
    norm.build(x.shape)
    start = [rng.uniform(0.5, 2, w.shape) for w in norm.weights]
    results = []
    for layer in (norm, folding.FusedBatchNormalization(norm)):
        norm.set_weights(start)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        gradients = tape.gradient(y, [x, *[w.value for w in norm.trainable_weights]], upstream)
        results.append([y, *gradients, *norm.get_weights(), layer(x, training=False)])
    for plain, fused in zip(*results, strict=True):
        np.testing.assert_allclose(fused, plain, rtol=1e-4, atol=1e-4)
    assert not np.allclose(norm.get_weights()[2], start[2])  # the statistics did move


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("scale", [1, 300])  # at which a variance exceeds what float16 holds
def test_statistics_of_all_momenta_are_kerass_in_any_precision(policy, scale):
    momenta, x = (0.9, 0.5, 0.99), keras.Input((5, 5, 7))
    images = np.random.default_rng(0).normal(2, 3, (4, 5, 5, 7)) * scale
    norms = [keras.layers.BatchNormalization(momentum=m, dtype=policy) for m in momenta]
    expected = [keras.Model(x, norm(x)) for norm in norms]
    original = keras.layers.BatchNormalization(momentum=0.9, dtype=policy)
    plain, kept = keras.Model(x, original(x)), keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        readings = Readings(plain, (*momenta, "reestimated"))
        lean = readings.stage
        for _ in range(3):
            outputs = [model(images, training=True) for model in (*expected, lean)]
        lean.compile()
        readings.end_epoch([(images, None)])
    finally:
        keras.config.set_dtype_policy(kept)
    np.testing.assert_allclose(*(ops.cast(o, "float32") for o in outputs[::3]), atol=1e-2)
    for name, norm in zip(momenta, norms, strict=True):
        with readings.applied(name) if name != 0.9 else contextlib.nullcontext():
            for found, right in zip(original.weights[2:], norm.weights[2:], strict=True):
                np.testing.assert_allclose(found, right, rtol=1e-4)
    with readings.applied("reestimated"):  # from the batch as the policy rounds it
        moments = images.mean((0, 1, 2)), images.var((0, 1, 2))
        for found, right in zip(original.weights[2:], moments, strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-2, atol=0.02 * scale)


@needs_tensorflow
@pytest.mark.parametrize("batchnorm", ["frozen", "update"])
def test_in_single_precision_a_step_is_as_near_the_exact_one_as_the_plain_suffix_takes(
    batchnorm, double
):
    """Corners of ReLU6 turn rounding into jumps; the yardstick is the plain suffix's own error."""
    model, stage = plain_suffix(batchnorm)
    start = values(model)
    exact_loss, exact = loss_and_gradients(stage, "float64")
    keras.config.set_dtype_policy("float32")
    model, stage = plain_suffix(batchnorm)
    errors, statistics = [], []
    for single in (stage, folding.lean(stage)):
        for v in model.weights:
            v.assign(start[v.path])
        loss, gradients = loss_and_gradients(single, "float32")
        assert loss == pytest.approx(exact_loss, rel=1e-4)
        wrong, size = (
            sum(np.sum(np.square(g)) for g in what)
            for what in ([gradients[p] - exact[p] for p in exact], exact.values())
        )
        errors.append(np.sqrt(wrong / size))
        statistics.append({p: v for p, v in values(model).items() if "moving" in p})
    assert errors[1] < 3 * errors[0] + 1e-4
    for path in statistics[0]:
        np.testing.assert_allclose(
            statistics[1][path], statistics[0][path], rtol=1e-4, atol=1e-5, err_msg=path
        )
    assert any(not np.array_equal(start[p], v) for p, v in statistics[1].items()) == (
        batchnorm == "update"
    )


def test_variables_are_shared_and_frozen_layers_stay_frozen():
    model, stage = plain_suffix("update")
    lean = folding.lean(stage)
    assert {v.path for v in lean.trainable_variables} == {v.path for v in stage.trainable_variables}
    assert {id(v) for v in lean.weights} <= {id(v) for v in model.weights}


def test_predictions_are_those_of_the_plain_suffix():
    for batchnorm in ("frozen", "update"):
        _, stage = plain_suffix(batchnorm)
        x, _ = inputs(stage, "float32")
        expected = stage.predict(x, verbose=0)
        np.testing.assert_allclose(
            folding.lean(stage).predict(x, verbose=0), expected, rtol=1e-3, atol=1e-4
        )


def test_the_head_alone_is_left_as_it_is():
    model, _ = plain_suffix("frozen")
    head = m.between(model, m.POOL, model.layers[-2].name)
    assert folding.lean(head) is head


def test_a_convolution_that_two_layers_read_is_not_folded():
    x = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(4, 3, use_bias=False)(x)
    norm = keras.layers.BatchNormalization()
    norm.trainable = False
    both = keras.Model(x, keras.layers.Add()([norm(y), y]))
    assert folding.lean(both) is both


@pytest.mark.parametrize(
    "options",
    [{}, {"strides": 2}, {"groups": 2}, {"kernel_size": 3, "dilation_rate": 2}, {"kernel_size": 3}],
    ids=str,
)
@pytest.mark.parametrize("trainable", [True, False])
def test_a_convolution_of_any_kind_gives_what_it_gave(options, trainable):
    x = keras.Input((9, 9, 4))
    convolution = keras.layers.Conv2D(**{"filters": 6, "kernel_size": 1, **options}, use_bias=False)
    norm = keras.layers.BatchNormalization()
    network = keras.Model(x, norm(convolution(x)))
    rng = np.random.default_rng(0)
    network.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in network.weights])
    norm.trainable = trainable
    images = rng.normal(size=(3, 9, 9, 4)).astype("float32")
    lean = folding.lean(network)
    rewritten = any(isinstance(layer, folding.LeanConvolution) for layer in lean.layers)
    assert rewritten == (not trainable or not options)
    np.testing.assert_allclose(
        lean.predict_on_batch(images), network.predict_on_batch(images), rtol=1e-4, atol=1e-4
    )


def test_a_convolution_with_bias_or_activation_stays():
    x = keras.Input((8, 8, 3))
    for options in ({"use_bias": True}, {"use_bias": False, "activation": "relu"}):
        norm = keras.layers.BatchNormalization()
        norm.trainable = False
        network = keras.Model(x, norm(keras.layers.Conv2D(4, 1, **options)(x)))
        assert folding.lean(network) is network
