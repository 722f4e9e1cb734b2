"""Statements about Grad-CAM; TensorFlow's own gradient tape is the judge."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from acrlls.config import UserError, configure
from acrlls.method import heat as gradcam
from acrlls.method.layers import AdaptiveConfidenceRegularizer, LearnableLogitScaler
from acrlls.method.model import build_model, unfreeze_top

CLASSES = 4


def small_model(acr=True, lls=True):
    """A few layers with the names and the head of the real network, and logits that differ."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    x = image = layers.Input((64, 64, 3))
    for i, width in enumerate((8, 12, 16), start=1):
        x = layers.Conv2D(width, 3, strides=2, padding="same", name=f"conv_{i}")(x)
        x = layers.BatchNormalization(name=f"norm_{i}")(x)
        x = layers.ReLU(6.0, name="out_relu" if i == 3 else f"relu_{i}")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.4, name="dropout_1")(
        layers.Dense(16, activation="relu", name="dense_1")(x)
    )
    x = layers.Dense(
        CLASSES, kernel_initializer=keras.initializers.RandomNormal(stddev=3), name="logits"
    )(x)
    if acr:
        x = AdaptiveConfidenceRegularizer(0.08, 0.25, name="acr")(x)
    if lls:
        x = LearnableLogitScaler(name="lls")(x)
    model = keras.Model(image, layers.Softmax(name="softmax")(x))
    if lls:
        model.get_layer("lls").set_weights([np.array([0.9, 0.8, 1.1, 1.2], "float32")])
    return model


def flags(model):
    return [layer.trainable for layer in model.layers]


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((5, 64, 64, 3), dtype="float32")


def taped(model, images, layer, classes):
    """Activations and gradients by tf.GradientTape."""
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the gradient tape needs Keras on TensorFlow")
    score = model.get_layer("softmax").input
    both = keras.Model(model.input, [model.get_layer(layer).output, score])
    with tf.GradientTape() as tape:
        maps, logits = both(images, training=False)
        chosen = tf.reduce_sum(logits * tf.one_hot(classes, CLASSES))
    return maps.numpy(), tape.gradient(chosen, maps).numpy()


@pytest.mark.parametrize("layer", ["out_relu", "relu_2"])
@pytest.mark.parametrize("batch_size", [2, 32])
def test_the_gradient_is_that_of_the_tape(model, images, layer, batch_size, monkeypatch):
    monkeypatch.setattr(gradcam, "_STEP", batch_size)
    classes = np.array([0, 1, 2, 3, 1])
    maps, slopes = gradcam.gradients(model, images, layer, classes)
    their_maps, their_slopes = taped(model, images, layer, classes)
    scale = np.abs(their_slopes).max()
    assert scale > 0
    np.testing.assert_allclose(maps, their_maps, atol=1e-5)
    np.testing.assert_allclose(slopes / scale, their_slopes / scale, atol=1e-5)


def test_so_it_is_in_the_published_network(images):
    config = configure("paper", backbone="random", backbone_width=0.35, image_size=64)
    model, classes = build_model(config, CLASSES), np.array([0, 1, 2, 3, 1])
    _, slopes = gradcam.gradients(model, images, "block_13_expand_relu", classes)
    _, theirs = taped(model, images, "block_13_expand_relu", classes)
    np.testing.assert_allclose(
        slopes / np.abs(theirs).max(), theirs / np.abs(theirs).max(), atol=1e-5
    )


def test_the_heat_is_the_weighted_sum_of_the_channels_cut_at_zero(model, images):
    classes = np.array([0, 1, 2, 3, 1])
    layer = "out_relu"
    maps, slopes = taped(model, images, layer, classes)
    expected = np.maximum(np.einsum("nhwc,nc->nhw", maps, slopes.mean(axis=(1, 2))), 0)
    heat = gradcam.gradcam(model, images, layer, classes)
    assert heat.shape == (5, 64, 64) and heat.dtype == np.float32 and heat.min() >= 0
    assert expected.any(axis=(1, 2)).any()
    for ours, theirs in zip(heat, expected, strict=True):
        large = np.asarray(Image.fromarray(theirs).resize((64, 64), Image.Resampling.BILINEAR))
        most = large.max()
        np.testing.assert_allclose(ours, large / most if most > 0 else 0, atol=1e-4)


def test_without_classes_it_explains_the_predicted_one(model, images):
    predicted = model.predict(images, verbose=0).argmax(axis=1)
    free, given = (gradcam.gradcam(model, images, "out_relu", c) for c in (None, predicted))
    np.testing.assert_allclose(free, given, atol=1e-6)


def test_the_gradient_is_of_the_scaled_logit():
    model, image = small_model(), np.random.default_rng(1).random((1, 64, 64, 3))
    _, before = gradcam.gradients(model, image, "out_relu", [2])
    model.get_layer("lls").set_weights([np.array([1, 1, 2.2, 1], "float32")])
    _, after = gradcam.gradients(model, image, "out_relu", [2])
    np.testing.assert_allclose(after, 2 * before, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("acr, lls", [(False, False), (True, False), (False, True)])
def test_every_head_can_be_explained(acr, lls, images):
    heat = gradcam.gradcam(small_model(acr, lls), images[:2])
    assert heat.shape == (2, 64, 64) and np.isfinite(heat).all()


def test_the_model_comes_back_as_it_was(images):
    model = small_model()
    unfreeze_top(model, 0)
    model.get_layer("norm_3").trainable = True
    weights, before, counted = model.get_weights(), flags(model), len(model.trainable_weights)
    gradcam.gradcam(model, images, "relu_2")
    assert flags(model) == before and len(model.trainable_weights) == counted
    assert all((a == b).all() for a, b in zip(weights, model.get_weights(), strict=True))
    with pytest.raises(UserError):
        gradcam.gradcam(model, images, classes=[9] * 5)
    assert flags(model) == before


def test_a_class_that_nothing_speaks_for_has_no_heat(images):
    model = small_model(acr=False, lls=False)
    kernel, bias = model.get_layer("logits").get_weights()
    kernel[:, 0] = 0
    model.get_layer("logits").set_weights([kernel, bias])
    assert (gradcam.gradcam(model, images, classes=[0] * 5) == 0).all()


@pytest.mark.parametrize(
    "wrong, says",
    [
        ({"layer": "out_rel"}, "'out_relu'"),
        ({"layer": "dense_1"}, "rows and columns"),
        ({"images": np.zeros((2, 32, 32, 3))}, "64, 64, 3"),
        ({"images": np.zeros((0, 64, 64, 3))}, "n >= 1"),
        ({"classes": [0, 1]}, "each of the 5 images"),
        ({"classes": [0, 1, 2, 3, 4]}, "from 0 to 3"),
    ],
)
def test_a_mistake_is_a_clear_error(model, images, wrong, says):
    with pytest.raises(UserError, match=says):
        gradcam.gradcam(model, **{"images": images, **wrong})


@pytest.mark.parametrize("where", ["images", "logits"])
def test_what_is_no_number_is_not_taken_for_no_heat(images, where):
    own, network = images[:3].copy(), small_model()
    if where == "images":
        own[1] = np.nan
    else:
        kernel = network.get_layer("logits").kernel
        kernel.assign(kernel * np.nan)
    first = "image 1 .*1 such" if where == "images" else "image 0 .*3 such"
    with pytest.raises(UserError, match=f"{first} images.*; look for NaN"):
        gradcam.gradcam(network, own)


def test_a_model_of_another_kind_is_refused_and_the_advice_holds(images):
    layers = keras.layers
    stack = [layers.Input((64, 64, 3)), layers.Conv2D(2, 3, name="maps")]
    stack += [layers.GlobalAveragePooling2D(), layers.Dense(3, name="logits"), layers.Softmax()]
    model = keras.Sequential(stack)
    with pytest.raises(UserError, match=r"functional model of one input; .*keras.Model"):
        gradcam.gradcam(model, images, "maps")
    functional = keras.Model(model.inputs[0], model.outputs[0])
    assert gradcam.gradcam(functional, images, "maps").shape == images.shape[:3]
    other = keras.Sequential([*stack[:3], layers.Dense(3, name="scores")])
    with pytest.raises(UserError, match="no layer 'lls' or 'logits'"):
        gradcam.gradcam(keras.Model(other.inputs[0], other.outputs[0]), images, "maps")


def test_the_share_inside_the_lungs_is_that_of_the_heat():
    heat = np.zeros((3, 2, 2))
    heat[0] = [[1, 0], [0.5, 0.5]]
    heat[1] = 1
    masks = np.array([[[True, False], [False, True]]] * 3)
    np.testing.assert_allclose(gradcam.lung_share(heat, masks), [0.75, 0.5, np.nan])


JAX = """
import sys
import numpy as np
sys.path[:0] = ["tests/method", "tests"]
from test_gradcam import gradcam, small_model
model = small_model()
weights = np.load(sys.argv[1])
model.set_weights([weights[k] for k in weights.files])
images = np.random.default_rng(0).random((5, 64, 64, 3), dtype="float32")
np.save(sys.argv[2], gradcam.gradients(model, images, "relu_2", [0, 1, 2, 3, 1])[1])
"""


@pytest.mark.thorough
def test_jax_gives_the_same_gradient(model, images, tmp_path):
    pytest.importorskip("jax")
    np.savez(tmp_path / "weights.npz", *model.get_weights())
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
    }
    arguments = [
        sys.executable,
        "-c",
        JAX,
        str(tmp_path / "weights.npz"),
        str(tmp_path / "jax.npy"),
    ]
    root = Path(__file__).parents[2]
    subprocess.run(arguments, env=environment, cwd=root, check=True)
    there = np.load(tmp_path / "jax.npy")
    _, here = gradcam.gradients(model, images, "relu_2", [0, 1, 2, 3, 1])
    np.testing.assert_allclose(there / np.abs(here).max(), here / np.abs(here).max(), atol=1e-4)


def test_masks_of_any_size_are_brought_to_the_size_of_the_images():
    left = np.zeros((40, 30), bool)
    left[:, :15] = True
    masks = gradcam.at_input_size([left, None], 16)
    assert masks.shape == (2, 16, 16) and masks.dtype == bool
    assert masks.mean(axis=(1, 2)) == pytest.approx([0.5, 0.0])
    assert masks[0, :, :7].all() and not masks[0, :, 9:].any()
    same = gradcam.at_input_size([np.uint8(255) * left, left.astype(float)], 16)
    assert (same == masks[0]).all()  # as files hold them
