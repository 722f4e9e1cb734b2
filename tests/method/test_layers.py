"""Statements about ACR (equations 1 to 3) and LLS (equation 4), on every Keras backend."""

import json

import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import softmax

from acrlls.method.layers import AdaptiveConfidenceRegularizer as ACR
from acrlls.method.layers import LearnableLogitScaler as LLS


def logits_with_margin(margin, rest=(0.1, 0.05)):
    """One row of logits whose two largest probabilities differ by ``margin``."""
    top = (1 - sum(rest) + margin) / 2
    p = np.array([[top - margin, *rest, top]])
    assert p.min() > 0 and top - margin >= max(rest)
    return np.log(p).astype("float32")


def added_loss(layer, logits):
    layer(ops.convert_to_tensor(logits), training=True)
    return sum(float(ops.convert_to_numpy(value)) for value in layer.losses)


def gradient_of_penalty(layer, logits):
    """d penalty / d logits by central differences in float64: no backend's tape is needed."""
    z = np.asarray(logits, "float64")
    gradient = np.zeros_like(z)
    for k in range(z.shape[1]):
        step = np.zeros_like(z)
        step[:, k] = 1e-3
        ends = (ops.convert_to_tensor((z + s).astype("float32")) for s in (step, -step))
        up, down = (float(ops.convert_to_numpy(layer.penalty(end))) for end in ends)
        gradient[:, k] = (up - down) / 2e-3
    return gradient


@pytest.mark.parametrize("margin", [0.0, 0.05, 0.15, 0.25, 0.35, 0.6])
def test_the_penalty_is_equation_3(margin):
    expected = 0.08 * (max(0, 0.25 - margin) + 0.5 * max(0, margin - 0.25))
    assert added_loss(ACR(alpha=0.08, tau=0.25), logits_with_margin(margin)) == pytest.approx(
        expected, abs=1e-6
    )


def test_the_penalty_is_the_mean_over_the_batch():
    batch = np.concatenate([logits_with_margin(0.05), logits_with_margin(0.55)])
    expected = 2.0 * np.mean([0.20, 0.5 * 0.30])
    assert added_loss(ACR(alpha=2.0, tau=0.25), batch) == pytest.approx(expected, abs=1e-6)


def test_the_gradient_pulls_the_margin_to_tau_from_either_side_twice_as_hard_from_below():
    layer = ACR(alpha=1.0, tau=0.25)
    slope = {}
    for side, margin in {"below": 0.20, "above": 0.30}.items():
        z = logits_with_margin(margin)
        down = -gradient_of_penalty(layer, z)  # where a step of gradient descent goes

        def margin_of(logits):
            first, second = np.sort(softmax(logits.astype("float64"), axis=1), axis=1)[:, :-3:-1].T
            return float(first[0] - second[0])

        rise = (margin_of(z + 1e-3 * down) - margin_of(z)) / 1e-3
        assert (rise > 0) == (side == "below")
        jacobian_norm = np.linalg.norm(down)  # |d penalty/d margin| times |d margin/d z|
        unit = gradient_of_penalty(ACR(alpha=1.0, tau=1.0), z)  # tau 1: always below, weight one
        slope[side] = jacobian_norm / np.linalg.norm(unit)
    assert slope["below"] == pytest.approx(1, rel=1e-2)
    assert slope["above"] == pytest.approx(0.5, rel=1e-2)


def test_acr_returns_its_input_and_adds_nothing_outside_training():
    z = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    layer = ACR(alpha=1.0)
    for training in (False, True):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(layer(ops.convert_to_tensor(z), training=training)), z
        )
    silent = ACR(alpha=1.0)
    silent(ops.convert_to_tensor(z), training=False)
    silent(ops.convert_to_tensor(z))
    assert silent.losses == []


def test_acr_adds_its_loss_to_training_but_not_to_evaluation():
    z = np.random.default_rng(1).normal(size=(32, 4)).astype("float32")
    y = np.arange(32) % 4
    inputs = keras.Input((4,))
    model = keras.Model(inputs, ACR(alpha=50.0, tau=0.25)(inputs))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    plain = -np.log(softmax(z.astype("float64"), axis=1)[np.arange(32), y]).mean()
    p = np.sort(softmax(z.astype("float64"), axis=1), axis=1)
    margin = p[:, -1] - p[:, -2]
    penalty = 50 * np.mean(np.maximum(0, 0.25 - margin) + 0.5 * np.maximum(0, margin - 0.25))
    assert model.evaluate(z, y, batch_size=32, verbose=0) == pytest.approx(plain, rel=1e-4)
    assert float(model.train_on_batch(z, y)) == pytest.approx(plain + penalty, rel=1e-4)


@pytest.mark.parametrize(
    "bad",
    [*({"alpha": value} for value in (-0.1, np.nan, np.inf, 1e39, "0.1", None, [0.1], 1j, True))]
    + [{"tau": value} for value in (-0.01, 1.5, np.nan, np.inf, "x", None, False)],
)
def test_acr_refuses_impossible_settings(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        ACR(**bad)


@pytest.mark.parametrize(
    "given",
    [
        *map(keras.initializers.Constant, [np.nan, np.inf, "a", [1.0, 2.0]]),
        *([1.0, 2.0], 2.0, np.float32(2), np.ones(4), np.array(["a"]), ops.ones(4)),
        *("twos", "", {}, {"class_name": "Twos"}, keras.layers.Dense, lambda shape, dtype: 1),
    ],
)
def test_lls_refuses_what_is_no_initializer_of_finite_scales(given):
    with pytest.raises(ValueError, match=r"`scale_initializer` must be .*Constant\(2.0\)"):
        LLS(scale_initializer=given)


@pytest.mark.parametrize("given", [None, "ones", keras.initializers.Constant(2), "random_normal"])
def test_lls_starts_from_its_initializer_or_ones(given):
    layer = LLS(scale_initializer=given)
    layer.build((None, 4))
    scale = ops.convert_to_numpy(layer.scale)
    if given == "random_normal":
        assert len(set(scale)) == 4
    else:
        assert (scale == getattr(given, "value", 1)).all()


def test_the_penalty_of_an_empty_batch_is_nothing():
    assert added_loss(ACR(alpha=1.0), np.zeros((0, 4), "float32")) == 0


def test_acr_ignores_sample_weights():
    z, inputs = np.log([[0.4, 0.3, 0.3], [0.8, 0.1, 0.1]]).astype("float32"), keras.Input((3,))
    model = keras.Model(inputs, ACR(alpha=1.0, tau=0.25)(inputs))
    model.compile("sgd", lambda labels, logits: 0 * logits[:, 0])
    expected = np.mean([0.25 - 0.1, 0.5 * (0.7 - 0.25)])
    for weights in ([1, 1], [5, 0.1]):
        loss = float(model.train_on_batch(z, np.zeros(2), sample_weight=np.array(weights)))
        assert loss == pytest.approx(expected, abs=1e-6)


def test_acr_needs_two_classes():
    with pytest.raises(ValueError, match="two classes"):
        ACR()(ops.zeros((3, 1)), training=True)
    with pytest.raises(ValueError, match="two classes"):
        ACR()(keras.Input((1,)))  # where the model is built, not where it is trained
    unknown = ACR()
    unknown(keras.Input((None,)))
    with pytest.raises(ValueError, match="two classes"):
        unknown(ops.zeros((3, 1)), training=True)


def test_lls_needs_a_known_number_of_classes():
    for shape in ((None, None), (2, 0), (4,), ()):
        with pytest.raises(ValueError, match="a known number of classes"):
            LLS().build(shape)


def test_lls_of_ones_changes_nothing():
    z = np.random.default_rng(2).normal(size=(7, 4)).astype("float32")
    layer = LLS()
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(ops.convert_to_tensor(z))), z)
    assert layer.count_params() == 4


def test_lls_multiplies_each_logit_by_the_weight_of_its_class():
    z = np.random.default_rng(3).normal(size=(7, 4)).astype("float32")
    layer = LLS()
    layer.build(z.shape)
    s = np.array([0.5, 1, 2, -1], "float32")
    layer.scale.assign(s)
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer(ops.convert_to_tensor(z))), z * s, rtol=1e-6
    )


def test_lls_learns():
    z = np.eye(4, dtype="float32")[np.arange(64) % 4]
    inputs = keras.Input((4,))
    model = keras.Model(inputs, LLS(name="lls")(inputs))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(z, np.arange(64) % 4, epochs=3, verbose=0)
    assert (
        ops.convert_to_numpy(model.get_layer("lls").scale) > 1
    ).all()  # every label is right: grow surer


@pytest.mark.parametrize(
    "layer",
    [
        ACR(0.3, 0.4, name="a"),
        ACR(np.float32(0.5), np.array(0.25)[()]),
        LLS(scale_initializer="zeros"),
        LLS(scale_initializer=keras.initializers.Constant(2)),
    ],
)
def test_layers_survive_their_config(layer):
    twin = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
    assert twin.get_config() == layer.get_config()


def test_a_model_with_both_layers_survives_saving(tmp_path):
    inputs = keras.Input((8,))
    x = keras.layers.Dense(4)(inputs)
    model = keras.Model(
        inputs, keras.layers.Softmax()(LLS(name="lls")(ACR(0.3, 0.4, name="acr")(x)))
    )
    model.get_layer("lls").scale.assign([0.5, 0.6, 0.7, 0.8])
    model.save(tmp_path / "m.keras")
    twin = keras.saving.load_model(tmp_path / "m.keras")
    x = np.random.default_rng(4).normal(size=(3, 8)).astype("float32")
    np.testing.assert_allclose(twin.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5)
    assert (twin.get_layer("acr").alpha, twin.get_layer("acr").tau) == (0.3, 0.4)


def test_keras_own_checks_of_a_layer_pass():
    for cls, weights in ((ACR, 0), (LLS, 1)):
        layer = cls()
        symbolic = layer(keras.Input((4,), dtype="float32"))
        assert symbolic.shape == layer.compute_output_shape((None, 4)) == (None, 4)
        assert len(layer.trainable_weights) == weights
        half = cls(dtype="float16")
        assert keras.backend.standardize_dtype(half(ops.ones((2, 4), "float16")).dtype) == "float16"


@pytest.mark.parametrize("layer", [ACR, LLS])
@pytest.mark.parametrize("shape", [(), (4,), (2, 3, 4)])
def test_logits_that_are_no_matrix_are_refused(layer, shape):
    with pytest.raises(ValueError, match=f"expected ndim=2, found ndim={len(shape)}"):
        layer()(ops.zeros(shape))
    if shape:
        with pytest.raises(ValueError, match=f"expected ndim=2, found ndim={len(shape)}"):
            layer()(keras.Input(shape[1:]))
    with pytest.raises(ValueError, match="expects 1 input"):
        layer()((ops.zeros((2, 4)), ops.zeros((2, 4))))


@pytest.mark.parametrize("width", [1, 3, 5])
def test_lls_refuses_another_number_of_classes_than_at_first(width):
    layer = LLS()
    layer(ops.zeros((2, 4)))
    with pytest.raises(ValueError, match="axis -1 of input shape to have value 4"):
        layer(ops.zeros((2, width)))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "float64"])
def test_both_layers_train_under_any_policy_with_a_penalty_in_float32(policy):
    z = np.random.default_rng(0).normal(0, 3, (64, 4)).astype("float32")
    layer = ACR(dtype=policy)
    layer(ops.cast(z, layer.compute_dtype), training=True)
    assert keras.backend.standardize_dtype(layer.losses[0].dtype) == "float32"
    inputs = keras.Input((4,))
    model = keras.Model(inputs, LLS(dtype=policy)(ACR(dtype=policy)(inputs)))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert np.isfinite(model.fit(z, np.arange(64) % 4, verbose=0).history["loss"]).all()


class Subclass(keras.Model):
    def __init__(self):
        super().__init__()
        self.acr, self.lls = ACR(1.0, 0.25, name="acr"), LLS(name="lls")

    def call(self, logits, training=False):
        return self.lls(self.acr(logits, training=training))


def functional():
    inputs = keras.Input((4,))
    return keras.Model(inputs, LLS(name="lls")(ACR(1.0, 0.25, name="acr")(inputs)))


def quantized():
    model = functional()
    model.quantize("int8")  # of layers that it does not know Keras leaves the weights alone
    return model


WAYS = {
    "functional": functional,
    "sequential": lambda: keras.Sequential([ACR(1.0, 0.25), LLS()]),
    "subclass": Subclass,
    "clone": lambda: keras.models.clone_model(functional()),
    "json": lambda: keras.models.model_from_json(functional().to_json()),
    "int8": quantized,
}


COMPILED = pytest.param({"jit_compile": True}, marks=pytest.mark.thorough)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", [COMPILED, {"run_eagerly": True}], ids=str)
def test_a_model_of_any_kind_trains_with_the_penalty(way, how):
    z, labels = np.log([[0.4, 0.3, 0.2, 0.1]] * 8).astype("float32"), np.zeros(8)
    model = WAYS[way]()
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.0), entropy, **how)
    loss = model.fit(z, labels, class_weight={0: 2.0}, verbose=0).history["loss"][-1]
    assert loss == pytest.approx(-2 * np.log(0.4) + 0.25 - 0.1, abs=1e-5)
    np.testing.assert_allclose(model.predict(z, verbose=0), z, rtol=1e-6)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="exports for TensorFlow")
def test_a_model_with_both_layers_is_exported(tmp_path):
    tf = pytest.importorskip("tensorflow")
    model = functional()
    model.get_layer("lls").scale.assign([0.5, 1, 2, 3])
    model.export(str(tmp_path / "served"), verbose=False)
    z = np.eye(4, dtype="float32")
    served = tf.saved_model.load(str(tmp_path / "served"))
    np.testing.assert_allclose(served.serve(z), z * [0.5, 1, 2, 3])
