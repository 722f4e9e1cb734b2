"""The rival losses, against numbers worked by hand, Keras's own, and their limits."""

import keras
import numpy as np
import pytest
from keras import ops

from acrlls.method import LOSSES, TrainingLoss

Z = np.array([[2, 1, 0, 0], [0, 3, 0, 0], [1, 0, 0, 1.5], [3, 0, 1, 0]], "float32")
Y, WEIGHTS = np.array([0, 1, 0, 2]), np.array([1.46, 0.88, 0.52, 3.94])
HAND = {  # by name and strength: the loss of each image, its mean, and its mean with WEIGHTS
    ("cross_entropy", None): ([0.493812, 0.139206, 1.219200, 2.210998], 1.015804, 0.943304),
    ("label_smoothing", 0.1): ([0.618812, 0.364206, 1.256700, 2.210998], 1.112679, 1.052117),
    ("label_smoothing", None): ([0.556312, 0.251706, 1.237950, 2.210998], 1.064241, 0.997711),
    ("focal", None): ([0.029226, 0.000305, 0.426364, 1.560833], 0.504182, 0.369266),
    ("flsd53", None): ([0.029226, 0.000305, 0.426364, 1.237472], 0.423342, 0.327229),
    ("entropy_penalty", None): ([0.388941, 0.086300, 1.099898, 2.143790], 0.929732, 0.857233),
}


CORRECT = np.array([4, 1, 2, 3], "float32") / 4  # share of epochs in which each image was right


def target(name, y=Y, correct=CORRECT):
    truth = np.eye(4, dtype="float32")[y]
    return np.column_stack([truth, correct]) if name == "correctness_ranking" else truth


def of(name, strength=None, z=Z, y=None, weights=(1, 1, 1, 1)):
    y = target(name) if y is None else y
    return ops.convert_to_numpy(TrainingLoss(name, strength, weights)(y, z))


@pytest.mark.parametrize(("name", "strength"), HAND)
def test_losses_are_those_worked_by_hand(name, strength):
    each, mean, weighted = HAND[name, strength]
    for i, value in enumerate(each):
        assert of(name, strength, Z[[i]], target(name, Y[[i]], CORRECT[[i]])) == pytest.approx(
            value, abs=2e-6
        )
    assert of(name, strength) == pytest.approx(mean, abs=2e-6)
    assert of(name, strength, weights=WEIGHTS) == pytest.approx(weighted, abs=2e-6)


@pytest.mark.parametrize(("margin", "total"), [(1, 1.103304), (2, 1.047054), (10, 1.015804)])
def test_margin_based_smoothing_is_that_worked_by_hand(margin, total):
    function, strength = LOSSES["mbls"]
    z, truth = ops.convert_to_tensor(Z), ops.convert_to_tensor(target("mbls"))
    log_p = ops.log_softmax(z, axis=-1)
    loss, penalty = function(-ops.sum(truth * log_p, axis=-1), log_p, z, strength, margin)
    assert float(ops.mean(loss + penalty)) == pytest.approx(total, abs=2e-6)


def test_correctness_ranking_is_that_worked_by_hand():
    z, correct = ops.convert_to_tensor(Z), ops.convert_to_tensor(CORRECT)
    function, strength = LOSSES["correctness_ranking"]
    penalty = function(0.0, ops.log_softmax(z, axis=-1), z, strength, correct)[1]
    penalty = ops.convert_to_numpy(penalty)
    np.testing.assert_allclose(penalty, [1.009753, 0.632907, 0, 0.449480], atol=2e-6)
    assert of("correctness_ranking", weights=WEIGHTS) == pytest.approx(1.466339, abs=2e-6)
    alike = target("correctness_ranking", correct=np.full(4, 0.5))
    assert of("correctness_ranking", y=alike) == pytest.approx(of("cross_entropy"), abs=1e-6)
    alone = of(
        "correctness_ranking", None, Z[:1], target("correctness_ranking", Y[:1], CORRECT[:1])
    )
    assert alone == pytest.approx(0.493812, abs=2e-6)


def test_mixup_weighs_each_class_by_its_own_weight():
    truth = target("mixup")
    mixed = 0.7 * truth + 0.3 * truth[[2, 0, 3, 1]]
    each = [float(of("mixup", None, Z[[i]], mixed[[i]])) for i in range(4)]
    np.testing.assert_allclose(each, [0.493812, 1.039206, 1.519200, 2.510998], atol=2e-6)
    assert of("mixup", y=mixed, weights=WEIGHTS) == pytest.approx(1.356603, abs=2e-6)
    assert of("mixup", weights=WEIGHTS) == pytest.approx(0.943304, abs=2e-6)  # nothing mixed


def test_smoothing_and_focusing_are_kerass_own():
    truth = target("")
    smooth = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    focal = keras.losses.CategoricalFocalCrossentropy(alpha=1, gamma=2, from_logits=True)
    assert of("label_smoothing", 0.1) == pytest.approx(float(smooth(truth, Z)), abs=1e-6)
    assert of("focal", 2) == pytest.approx(float(focal(truth, Z)), abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_strength_zero_is_cross_entropy_and_a_constant_changes_nothing(name):
    if name != "flsd53":
        assert of(name, 0, weights=WEIGHTS) == pytest.approx(
            HAND["cross_entropy", None][2], abs=2e-6
        )
    assert of(name, z=Z + 7) == pytest.approx(of(name), abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("top", [0, 3])
def test_a_logit_of_forty_leaves_loss_and_gradient_finite(name, top):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the gradient is taken with TensorFlow")
    import tensorflow as tf

    z = tf.Variable(40.0 * np.eye(4, dtype="float32")[[top]])
    with tf.GradientTape() as tape:
        correct = np.ones(1, "float32")
        loss = TrainingLoss(name, None, np.ones(4))(target(name, [0], correct), z)
    assert np.isfinite(float(loss)) and np.isfinite(tape.gradient(loss, z)).all()


def test_a_model_compiled_with_a_rival_survives_saving(tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(4)(inputs))
    model.compile("sgd", TrainingLoss("focal", 2.0, WEIGHTS))
    model.save(tmp_path / "m.keras")
    twin = keras.saving.load_model(tmp_path / "m.keras")
    assert twin.evaluate(Z, target("focal"), verbose=0) == pytest.approx(
        model.evaluate(Z, target("focal"), verbose=0)
    )


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_a_loss_of_another_dtype_is_computed_in_float32_at_least(name, dtype):
    z = ops.cast(Z, dtype)  # exact: the logits are halves
    loss = TrainingLoss(name, None, WEIGHTS, dtype=dtype)(target(name), z)
    assert loss.dtype == z.dtype  # JAX has float64 only if it is told so
    expected = of(name, weights=WEIGHTS)
    assert float(loss) == pytest.approx(float(expected), rel=1e-2 if "16" in dtype else 1e-6)


def test_a_loss_that_there_is_not_is_named():
    with pytest.raises(ValueError, match="must be one of cross_entropy.* Received: name='focl'"):
        TrainingLoss("focl", None, WEIGHTS)


@pytest.mark.parametrize("strength", [-1, float("nan"), float("inf"), "1", 1e39])
def test_a_strength_that_cannot_be_is_named(strength):
    with pytest.raises(ValueError, match="`strength` must be a finite number"):
        TrainingLoss("focal", strength, np.ones(3))


@pytest.mark.parametrize("name", ["cross_entropy", "flsd53"])
def test_a_strength_is_refused_where_it_would_be_ignored(name):
    loss = TrainingLoss(name, None, np.ones(3))
    assert TrainingLoss(**loss.get_config()).strength == 0
    with pytest.raises(ValueError, match=f"must be None: {name} takes none"):
        TrainingLoss(name, 1.0, np.ones(3))
