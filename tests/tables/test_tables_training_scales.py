"""Tables and sentences of the sections on training and on scales."""

import numpy as np
import pandas as pd
import pytest
from conftest import fake_run
from scipy.special import softmax

from acrlls.tables import recorded, scales, training


@pytest.mark.parametrize(
    "second, verdict",
    [(2, "Phase 2 raises"), (0.51, "Phase 2 does not clearly raise"), (-1, "Phase 2 lowers")],
)
def test_the_finding_of_training_follows_the_interval(second, verdict):
    said = training.finding([finished(second=second)], 100, "real images")
    assert said.startswith(f"**On the real images, {verdict}") and "over 1 run and" in said
    assert "-" not in said and said.endswith(
        "the test images."
    )  # of other classes than the paper's
    real = training.finding(recorded.setting().of("proposed"), 20, "real images")
    assert real.endswith("the test images, weighted to the paper's class mix.")


def test_the_scales_of_the_records_stand_beside_the_published_ones():
    real = recorded.setting().of("proposed")
    said = scales.finding([0.8, 1.1], 2.4e-7, real, "phantom")
    assert r"2.4 \times 10^{-7}" in said and "0.800 to 1.100 with one seed" in said
    every = np.array([run.best_scales(2) for run in real])
    assert f" On the real images the scales end at {every.min():.3f} to " in said
    assert f"of {len(real)} runs" in said and "published: 0.799 to 1.040" in said
    assert "On the real images" not in scales.finding([1], 0, [], "phantom")


class Layer:
    def __init__(self, *weights):
        self.weights = list(weights)

    def get_weights(self):
        return self.weights

    def set_weights(self, weights):
        self.weights = list(weights)


class Network:
    """A dense layer and LLS on four features, as a model of Keras would offer them."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.layers = {"logits": Layer(rng.normal(size=(4, 3)), rng.normal(size=3))}
        self.layers["lls"] = Layer(np.array([0.7, 1.2, 0.9]))

    def get_layer(self, name):
        return self.layers[name]

    def predict_on_batch(self, features):
        (kernel, bias), (scale,) = (self.layers[name].weights for name in ("logits", "lls"))
        return softmax((features @ kernel + bias) * scale, axis=1)


def test_scales_move_into_the_layer_before_without_a_change():
    model, features = Network(), np.random.default_rng(1).normal(size=(20, 4))
    scale, largest = scales.fold(model, features)
    assert list(scale) == [0.7, 1.2, 0.9] and largest < 1e-12
    assert (model.get_layer("lls").weights[0] == 1).all()


def finished(second=2.0):
    """A run of two classes that Phase 2 leaves sharper and right more often."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    noise, signal = rng.normal(size=(300, 2)), np.eye(2)[labels]
    rows = [(phase, epoch, 1 / (phase + epoch)) for phase in (1, 2) for epoch in (1, 2)]
    history = pd.DataFrame(rows, columns=["phase", "epoch", "val_loss"])
    history = history.assign(loss=0.5, accuracy=0.5, val_accuracy=0.5)
    table = history[["phase", "epoch"]].assign(ill=[0.9, 0.8, 0.7, 0.5], well=1.0)
    logits = {phase: noise + signal * by for phase, by in ((1, 0.5), (2, second), (None, second))}
    about = {"history": history, "scales": table}
    return fake_run(logits, labels, ("ill", "well"), about)


def test_the_gain_of_phase_2_is_the_difference_of_the_accuracies():
    run = finished()
    one, two, gain = training.accuracies([], run, 20)["phantom"]
    assert gain == pytest.approx(two - one) and gain > 0
