"""One phase of Algorithm 1: its network, its epochs, its checkpoints (Section II-D)."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from acrlls.config import Config
from acrlls.data import Dataset, batch
from acrlls.method import POOL, between, freeze_backbone, frozen_cut, unfreeze_top
from acrlls.training.bank import FeatureBank
from acrlls.training.batches import Batches
from acrlls.training.batchnorm import Readings, tracked
from acrlls.training.checkpoint import load_variables, save_variables
from acrlls.training.engines import jit_compile, steps_per_execution
from acrlls.training.folding import lean
from acrlls.training.objective import Objective
from acrlls.training.plan import PhasePlan, phases

_IN_MEMORY = 256 * 2**20  # bytes of features that are handed to Keras as one array
_log = logging.getLogger(__name__)


class Phase:
    """The layers of ``model`` after all that is frozen and stored in ``bank``, in training."""

    def __init__(
        self,
        plan: PhasePlan,
        config: Config,
        dataset: Dataset,
        model: keras.Model,
        bank: FeatureBank,
        folder: Path,
    ):
        self.plan, self.config, self.dataset, self.model = plan, config, dataset, model
        self.bank, self.folder = bank, folder
        # One per part, used every epoch: Keras on TensorFlow never frees a dataset it was given.
        self._fed: dict[str, Batches] = {}
        self._last_file = folder / f"last_{plan.phase}.npz"
        self._best_file = folder / f"best_{plan.phase}.npz"
        self._free(plan.phase)
        self.cut = frozen_cut(model)
        # Softmax is left to the loss, which is exact from logits; ACR and LLS stand before it.
        plain = between(model, self.cut, model.layers[-2].name)
        self.stage = lean(plain, tracked(config.batchnorm_statistics))
        self.readings = Readings(self.stage, config.batchnorm_statistics)
        labels = dataset.labels[bank.split.train]
        self.objective = Objective(config, labels, len(dataset.class_names))
        batches = len(bank.split.train) // config.batch_size
        self.stage.compile(
            keras.optimizers.Adam(plan.learning_rate),
            self.objective.loss,
            metrics=self.objective.metrics,
            jit_compile=jit_compile(),
            steps_per_execution=steps_per_execution(batches) if self.cut == POOL else 1,
        )
        # What the best epoch is restored from; without Phase 2 the backbone stays as it is.
        self._kept = model.weights if config.phase2_epochs else self.stage.weights
        if self.cut is not None:
            bank.keeps(self.cut, plan.views(config))
        self._later, self._later_views = self._cut_of_phase_2()

    def train(self) -> dict:
        """All epochs, from the last checkpoint on; leaves the best one's weights in the model.

        Returns:
            The row of the history of the best epoch.
        """
        self.stage.optimizer.build(self.stage.trainable_variables)
        state = self._resume()
        for epoch in range(state["epoch"], self.plan.epochs):
            best, patience = state["best"], self.config.patience
            if patience and best and epoch - best["epoch"] >= patience:
                break
            row = {"phase": self.plan.phase, "epoch": epoch + 1, **self._epoch(epoch)}
            state["history"].append(row)
            if any(layer.name == "lls" for layer in self.model.layers):
                scales = keras.ops.convert_to_numpy(self.model.get_layer("lls").scale).tolist()
                of_classes = dict(zip(self.dataset.class_names, scales, strict=True))
                state["scales"].append({"phase": self.plan.phase, "epoch": epoch + 1, **of_classes})
            if better(row, best):
                state["best"] = row
                save_variables(self._best_file, self._kept)
            self._try_others(epoch, state["others"])
            self._checkpoint(epoch + 1, state)
            _log.info("%s", "  ".join(f"{k} {v:.4g}" for k, v in row.items()))
        load_variables(self._best_file, self._kept)
        return state["best"]

    def predictions(self) -> pd.DataFrame:
        """What enters softmax for every validation and test image.

        Columns part, phase, name, label and one ``logit_<class>`` a class.
        """
        tables = []
        for part in ("validation", "test"):
            rows = getattr(self.bank.split, part)
            logits = self.stage.predict(self._batches(part), verbose=0)
            table = pd.DataFrame(logits, columns=[f"logit_{c}" for c in self.dataset.class_names])
            names, labels = self.dataset.names[rows], self.dataset.labels[rows]
            first = {"part": part, "phase": self.plan.phase, "name": names, "label": labels}
            tables.append(pd.concat([pd.DataFrame(first), table], axis=1))
        return pd.concat(tables)

    def other_predictions(self) -> list[pd.DataFrame]:
        """:meth:`predictions` of the best epoch by each other reading of the statistics."""
        own = [keras.ops.convert_to_numpy(v).copy() for v in self._kept if self.readings.others]
        tables = []
        for name in self.readings.others:
            load_variables(self._other_file(name), self._kept)
            tables.append(self.predictions().assign(statistics=name))
        for variable, value in zip(self._kept, own, strict=False):
            variable.assign(value)
        return tables

    def _free(self, phase: int) -> None:
        """Freeze and unfreeze the layers as a phase wants them."""
        if phase == 1:
            freeze_backbone(self.model)
        else:
            unfreeze_top(self.model, self.config.unfrozen_layers, self.config.batchnorm)

    def _epoch(self, epoch: int) -> dict[str, float]:
        start = time.perf_counter()
        rng = np.random.default_rng((self.config.seed, self.plan.phase, epoch))
        seed_dropout(self.model, rng)
        order = rng.permutation(len(self.bank.split.train))
        batches = self._batches("train", epoch, order)
        if self.config.loss == "mixup":
            batches.mix(rng, self.objective.strength)
        logs = self._pass(batches, train=True)
        batches.mixing = None
        self.readings.end_epoch(batches)
        batches.fetch = None  # a deleted view takes room for as long as it is mapped
        self.bank.let_go()
        # Without class weights and, the layer being silent outside training, without ACR.
        checked = self._pass(self._batches("validation"), train=False)
        return {
            "loss": logs["loss"],
            "accuracy": logs["accuracy"],
            "val_loss": checked.get("nll", checked["loss"]),
            "val_accuracy": checked["accuracy"],
            "seconds": time.perf_counter() - start,
        }

    def _try_others(self, epoch: int, kept: list[dict]) -> None:
        """The validation loss by each other reading of the statistics; keeps its best epoch."""
        for name in self.readings.others:
            before = [row for row in kept if row["statistics"] == name]
            with self.readings.applied(name):
                checked = self._pass(self._batches("validation"), train=False)
                row = {"statistics": name, "phase": self.plan.phase, "epoch": epoch + 1}
                loss = checked.get("nll", checked["loss"])
                row |= {"val_loss": loss, "val_accuracy": checked["accuracy"]}
                kept.append(row)
                if all(better(row, earlier) for earlier in before):
                    save_variables(self._other_file(name), self._kept)

    def _other_file(self, name) -> Path:
        return self.folder / f"statistics_{name}.npz"

    def _batches(self, part: str, epoch: int | None = None, order=None) -> Batches:
        """A part of the images; of the training images, the view of an epoch."""
        rows = getattr(self.bank.split, part)
        view = None if epoch is None else self.plan.view(epoch, self.config)
        order = np.arange(len(rows)) if order is None else order
        if self.cut is None:

            def fetch(chosen):
                return batch(self.dataset, rows[chosen], self.config, view)

        else:
            # Phase 2's features in the same pass over the images, where it will see them
            also = self._later if view is None or view in self._later_views else ()
            stored = self.bank.features(part, self.cut, view, also=also)

            def fetch(chosen):
                return np.asarray(stored[chosen], dtype=np.float32)

        labels = self.objective.targets(self.dataset.labels[rows], epoch)
        if part not in self._fed:
            self._fed[part] = Batches(fetch, labels, order, self.config.batch_size)
        fed = self._fed[part]
        fed.fetch, fed.labels, fed.order = fetch, labels, order
        return fed

    def _cut_of_phase_2(self) -> tuple[tuple[str, ...], set[int | None]]:
        """What Phase 1 stores for Phase 2 in passing: its cut, and the views that both will see.

        Views only where there is room to keep them; plain images always.
        """
        later = phases(self.config)[-1]
        if self.plan.phase == later.phase or self.plan.phase == 2 or self.cut != POOL:
            return (), set()
        self._free(2)
        cut = frozen_cut(self.model)
        self._free(1)
        if cut is None:
            return (), set()
        shared = self.plan.views(self.config) & later.views(self.config)
        kept = shared and self.bank.keeps(cut, later.views(self.config))
        return (cut,), shared if kept else set()

    def _pass(self, batches: Batches, train: bool) -> dict[str, float]:
        """Train on all batches, or evaluate them; means over the images.

        Step by step, where a call does not hold many: at the end of ``fit`` and ``evaluate``
        TensorFlow 2.21 now and then sleeps until the next round of tuning its input pipeline
        (``tf.data``'s autotuning), so that an epoch may take up to twice its time.
        """
        stage = self.stage
        weighted = {"class_weight": self.objective.class_weight} if train else {}
        if stage.steps_per_execution == 1:
            step = stage.train_on_batch if train else stage.test_on_batch
            sizes, logs = [], []  # each call answers for its own batch
            for x, labels in map(batches.__getitem__, range(len(batches))):
                sizes.append(len(labels))
                logs.append(step(x, labels, return_dict=True, **weighted))
            return {k: float(np.average([log[k] for log in logs], weights=sizes)) for k in logs[0]}
        given = {"x": batches}
        if len(batches.order) * np.prod(stage.input_shape[1:]) * 4 <= _IN_MEMORY:
            given = dict(zip("xy", batches.take(), strict=True), batch_size=batches.batch_size)
        if not train:
            return stage.evaluate(**given, verbose=0, return_dict=True)
        history = stage.fit(**given, **weighted, shuffle=False, verbose=0).history
        return {name: values[-1] for name, values in history.items()}

    def _variables(self) -> list:
        """What an epoch changes; the frozen rest is as the model was built."""
        counted = [self.objective.hits.counts] if self.objective.hits else []
        return [*self.stage.weights, *self.stage.optimizer.variables, *counted]

    def _checkpoint(self, epoch: int, state: dict) -> None:
        tables = {"history": state["history"], "scales": state["scales"]}
        for name, rows in (tables | {"statistics": state["others"]}).items():
            if rows or name in tables:
                pd.DataFrame(rows).to_csv(self.folder / f"{name}.csv", index=False)
        # weights and what belongs to them in one file, so that a stop never parts them
        save_variables(self._last_file, self._variables(), {**state, "epoch": epoch})

    def _resume(self) -> dict:
        """Where this phase stands: epochs done, best row, and the rows so far of both phases."""
        if self._last_file.exists():
            return load_variables(self._last_file, self._variables())
        state = {"epoch": 0, "best": None, "history": [], "scales": [], "others": []}
        first = self.folder / "last_1.npz"
        if self.plan.phase == 2 and first.exists():
            earlier = load_variables(first, [])
            state |= {name: earlier[name] for name in ("history", "scales")}
        return state


def better(row: dict, best: dict | None) -> bool:
    """Whether an epoch's validation loss beats the best one; NaN is worse than any number."""
    if best is None:
        return True
    loss, least = (np.nan_to_num(r["val_loss"], nan=np.inf) for r in (row, best))
    return bool(loss < least)


def seed_dropout(model: keras.Model, rng: np.random.Generator) -> None:
    """Make Dropout's randomness follow from ``rng``, so that a resumed run equals an unbroken one.

    Neither a saved model nor Keras's ``BackupAndRestore`` brings back the state of its generator.
    """
    for layer in model.layers:
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign(rng.integers(0, 2**31, size=2).astype("uint32"))
