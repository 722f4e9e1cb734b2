"""What training minimises and counts: cross-entropy, or one of its rivals."""

import keras
import numpy as np
from keras import ops

from acrlls.config import Config
from acrlls.data import class_weights
from acrlls.method import TrainingLoss


class Objective:
    """Loss and metrics of a network that gives logits, and the targets that these take, for
    training images with ``labels`` `(n,)`.

    ``loss`` and ``metrics`` are for ``compile`` and ``class_weight`` for ``fit``, ``None`` without
    class weights and for a rival loss, which applies them itself.  A rival also has its
    ``strength``, and correctness ranking its ``hits``, which is else ``None``.
    """

    def __init__(self, config: Config, labels: np.ndarray, classes: int):
        self.classes, self.hits, self.class_weight = classes, None, None
        weights = class_weights(labels, classes) if config.class_weights else np.ones(classes)
        # objects: by its name Keras makes one in the first step, which is then compiled twice
        if config.loss == "cross_entropy":
            if config.class_weights:
                self.class_weight = dict(enumerate(weights.tolist()))
            self.loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            self.metrics = [keras.metrics.SparseCategoricalAccuracy("accuracy")]
            return
        self.loss = TrainingLoss(config.loss, config.loss_strength, weights)
        self.strength = self.loss.strength
        self.metrics = [keras.metrics.MeanMetricWrapper(self._accuracy, "accuracy")]
        if config.loss == "correctness_ranking":
            self.hits = Hits(len(labels), classes)
            self.metrics.append(self.hits)

    def targets(self, labels: np.ndarray, epoch: int) -> np.ndarray:
        """Labels `(n,)` of the training images as the loss takes them in an ``epoch``, from 0."""
        if not isinstance(self.loss, TrainingLoss):
            return labels
        truth = np.eye(self.classes, dtype=np.float32)[labels]
        if self.hits is None:
            return truth
        share = ops.convert_to_numpy(self.hits.counts) / max(epoch, 1)
        return np.column_stack([truth, share, np.arange(len(labels))]).astype(np.float32)

    def _accuracy(self, target, z):
        return keras.metrics.categorical_accuracy(target[:, : self.classes], z)


class Hits(keras.metrics.Metric):
    """How often each training image, whose number is the targets' last column, was classified
    rightly by the network in training."""

    def __init__(self, images: int, classes: int):
        super().__init__(name="hits")
        self.classes = classes
        self.counts = self.add_variable((images,), "zeros", name="counts")

    def update_state(self, y_true, y_pred, sample_weight=None):
        rows = ops.cast(y_true[:, -1], "int32")
        truth = ops.argmax(y_true[:, : self.classes], axis=-1)
        right = ops.cast(ops.equal(truth, ops.argmax(y_pred, axis=-1)), "float32")
        counts = ops.convert_to_tensor(self.counts)
        now = ops.take(counts, rows) + right
        self.counts.assign(ops.scatter_update(counts, ops.expand_dims(rows, -1), now))

    def reset_state(self):
        """Nothing: the counts are of all epochs."""

    def result(self):
        return ops.mean(ops.convert_to_tensor(self.counts))
