"""One phase of Algorithm 1: its plan, network, epochs and checkpoints (Section II-D)."""

import json
import logging
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from scipy.special import log_softmax

from acrlls.config import Config
from acrlls.data import batch
from acrlls.method import between, frozen_cut, unfreeze_top
from acrlls.store import damage_told, writing
from acrlls.training.bank import FeatureBank
from acrlls.training.batches import Batches
from acrlls.training.batchnorm import Readings
from acrlls.training.engines import jit_compile, steps_per_execution
from acrlls.training.objective import Objective
from acrlls.training.stored import take

_IN_MEMORY = 256 * 2**20  # bytes of features that are handed to Keras as one array
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PhasePlan:
    """A phase: its number (1 or 2), its learning rate, and for each epoch the augmented view that
    it trains on, ``None`` without augmentation.
    """

    phase: int
    learning_rate: float
    views: tuple[int | None, ...]


def phases(config: Config) -> list[PhasePlan]:
    """The phases of Algorithm 1 by a config: two, or the first alone if the second has no epoch."""
    first, total = config.phase1_epochs, config.phase1_epochs + config.phase2_epochs
    views = [k % (config.views or total) if config.augment else None for k in range(total)]
    plans = [
        PhasePlan(1, config.phase1_learning_rate, tuple(views[:first])),
        PhasePlan(2, config.phase2_learning_rate, tuple(views[first:])),
    ]
    return [plan for plan in plans if plan.views]


def stored_layers(
    plan: PhasePlan, config: Config, model: keras.Model
) -> tuple[str | None, dict[int | None, tuple[str, ...]]]:
    """Freeze a model's layers as a phase wants them.  Gives the layer where what is frozen ends,
    ``None`` if there is none, and for some views the layers to be stored in the same pass.
    """

    def cut(phase):
        unfreeze_top(model, config.unfrozen_layers if phase == 2 else 0, config.batchnorm)
        return frozen_cut(model)

    later, also = phases(config)[-1], {}
    # Phase 1 has Phase 2's features stored in passing, of views that both see and of all plain
    if plan.phase == 1 != later.phase and (second := cut(2)):
        also = dict.fromkeys({*plan.views} & {*later.views} | {None}, (second,))
    return cut(plan.phase), also


class Phase:
    """The training of a phase: ``stage``, the part of the bank's model behind the layer ``cut``
    whose outputs are stored, on these outputs, with tables and checkpoints in ``folder``.

    Where ``cut`` is ``None``, ``stage`` is the whole network and is trained on images.
    """

    def __init__(self, plan: PhasePlan, bank: FeatureBank, folder: Path):
        self.plan, self.bank, self.folder = plan, bank, folder
        self.config, self.dataset, self.model = bank.config, bank.dataset, bank.model
        self._last_file, config = folder / f"last_{plan.phase}.npz", bank.config
        self.cut, self._also = stored_layers(plan, config, self.model)
        # Softmax is left to the loss, which is exact from logits; ACR and LLS stand before it.
        plain = between(self.model, self.cut, self.model.layers[-2].name)
        self.readings = Readings(plain, config.batchnorm_statistics)
        self.stage = self.readings.stage
        rows = bank.split.train
        labels, classes = self.dataset.labels[rows], len(self.dataset.class_names)
        self.objective = Objective(config, labels, classes)
        size = len(rows) * np.prod(self.stage.input_shape[1:]) * 4
        many = self.cut and len(self.stage.input_shape) == 2 and size <= _IN_MEMORY
        self.stage.compile(
            keras.optimizers.Adam(plan.learning_rate),
            self.objective.loss,
            metrics=self.objective.metrics,
            jit_compile=jit_compile(),
            steps_per_execution=steps_per_execution(len(rows) // config.batch_size) if many else 1,
        )
        # What the best epoch is restored from; without Phase 2 the backbone stays as it is.
        self._restored = self.model.weights if config.phase2_epochs else self.stage.weights

    def train(self) -> dict:
        """Train from the last checkpoint on and restore the best epoch; returns its row."""
        self.stage.optimizer.build(self.stage.trainable_variables)
        state, own = self._resume(), str(self.readings.own)
        for epoch in range(state["epoch"], len(self.plan.views)):
            best, patience = state["best"].get(own), self.config.patience
            if patience and best and epoch - best["epoch"] >= patience:
                break
            which = {"phase": self.plan.phase, "epoch": epoch + 1}
            row = which | self._epoch(epoch)
            state["history"].append(row)
            for lls in (layer for layer in self.model.layers if layer.name == "lls"):
                scales = keras.ops.convert_to_numpy(lls.scale).tolist()
                scales = dict(zip(self.dataset.class_names, scales, strict=True))
                state["scales"].append(which | scales)
            self._keep_if_best(own, row, state)
            for name in self.readings.others:
                with self.readings.applied(name):
                    other = {"statistics": name, **which, **self._validate()}
                    state["statistics"].append(other)
                    self._keep_if_best(name, other, state)
            self._checkpoint(epoch + 1, state)
            _log.info("%s", "  ".join(f"{k} {v:.4g}" for k, v in row.items()))
        self._tabulate(state)  # what an earlier process wrote may be damaged
        load_variables(self.best_file(own), self._restored)
        return state["best"][own]

    def predictions(self) -> dict[float | str, pd.DataFrame]:
        """What enters softmax for every validation and test image, by each reading's best epoch.

        Columns part, phase, name, label and one ``logit_<class>`` a class; the run's own is last.
        """
        found = {}
        for reading in (*self.readings.others, self.readings.own):
            load_variables(self.best_file(reading), self._restored)
            tables = []
            for part in ("validation", "test"):
                rows = getattr(self.bank.split, part)
                columns = [f"logit_{c}" for c in self.dataset.class_names]
                names, labels = self.dataset.names[rows], self.dataset.labels[rows]
                first = {"part": part, "phase": self.plan.phase, "name": names, "label": labels}
                logits = zip(columns, self._logits(part).T, strict=True)
                tables.append(pd.DataFrame({**first, **dict(logits)}))
            found[reading] = pd.concat(tables)
        return found

    def best_file(self, reading) -> Path:
        return self.folder / f"best_{self.plan.phase}_{reading}.npz"

    def _epoch(self, epoch: int) -> dict[str, float]:
        start = time.perf_counter()
        rng = np.random.default_rng((self.config.seed, self.plan.phase, epoch))
        seed_dropout(self.model, rng)
        order = rng.permutation(len(self.bank.split.train))
        batches = self._batches("train", order, epoch)
        if self.config.loss == "mixup":
            batches.mix(rng, self.objective.strength)
        logs = self._fit(batches)
        batches.mixing = None
        self.readings.end_epoch(batches)
        row = {"loss": logs["loss"], "accuracy": logs["accuracy"], **self._validate()}
        return row | {"seconds": time.perf_counter() - start}

    def _validate(self) -> dict[str, float]:
        """By plain cross-entropy: without class weights, ACR or a rival loss."""
        labels, z = self.dataset.labels[self.bank.split.validation], self._logits("validation")
        losses = -log_softmax(z.astype(float), axis=1)[np.arange(len(labels)), labels]
        right = z.argmax(axis=1) == labels
        return {"val_loss": float(losses.mean()), "val_accuracy": float(right.mean())}

    def _logits(self, part: str) -> np.ndarray:
        """What enters softmax for the images of a part, `(n, classes)`."""
        n, size = len(getattr(self.bank.split, part)), self.config.batch_size
        # the last batch is filled up with images seen already: another shape is compiled anew
        batches = self._batches(part, np.resize(np.arange(n), -(-n // size) * size))
        each = [self.stage.predict_on_batch(batches[k][0]) for k in range(len(batches))]
        return np.concatenate(each)[:n]

    def _keep_if_best(self, reading, row: dict, state: dict) -> None:
        if better(row, state["best"].get(str(reading))):
            state["best"][str(reading)] = row
            save_variables(self.best_file(reading), self._restored)

    def _batches(self, part: str, order, epoch: int | None = None) -> Batches:
        """A part of the images; of the training images, the view of an epoch."""
        rows = getattr(self.bank.split, part)
        view = None if epoch is None else self.plan.views[epoch]
        if self.cut is None:

            def fetch(chosen):
                return batch(self.dataset, rows[chosen], self.config, view)

        else:
            stored = self.bank.features(part, self.cut, view, also=self._also.get(view, ()))
            fetch = partial(take, stored)
        labels = self.dataset.labels[rows]
        if epoch is not None:
            labels = self.objective.targets(labels, epoch)
        return Batches(fetch, labels, order, self.config.batch_size)

    def _fit(self, batches: Batches) -> dict[str, float]:
        """Train on all batches; means over the images.

        Step by step, unless a call holds many: at the end of ``fit`` TensorFlow 2.21 now and then
        sleeps until its input pipeline is tuned anew, so that an epoch may take twice its time; and
        it never frees a dataset that it was given.
        """
        stage, weighted = self.stage, {"class_weight": self.objective.class_weight}
        if stage.steps_per_execution == 1:
            sizes, logs = [], []  # each call answers for its own batch
            for x, labels in map(batches.__getitem__, range(len(batches))):
                sizes.append(len(labels))
                logs.append(stage.train_on_batch(x, labels, return_dict=True, **weighted))
            return {k: float(np.average([log[k] for log in logs], weights=sizes)) for k in logs[0]}
        given = dict(zip("xy", batches.take(), strict=True), batch_size=batches.batch_size)
        history = stage.fit(**given, **weighted, shuffle=False, verbose=0).history
        return {name: values[-1] for name, values in history.items()}

    def _variables(self) -> list:
        """What an epoch changes; the frozen rest is as the model was built."""
        counted = [self.objective.hits.counts] if self.objective.hits else []
        return [*self.stage.weights, *self.stage.optimizer.variables, *counted]

    def _tabulate(self, state: dict) -> None:
        for name in ("history", "scales", "statistics"):
            if state[name] or name != "statistics":
                pd.DataFrame(state[name]).to_csv(self.folder / f"{name}.csv", index=False)

    def _checkpoint(self, epoch: int, state: dict) -> None:
        self._tabulate(state)
        # weights and what belongs to them in one file, so that a stop never parts them
        save_variables(self._last_file, self._variables(), {**state, "epoch": epoch})

    def _resume(self) -> dict:
        """Where this phase stands: epochs done, best rows, and the rows so far of both phases."""
        if self._last_file.exists():
            return load_variables(self._last_file, self._variables())
        first, none = self.folder / "last_1.npz", {"history": [], "scales": [], "statistics": []}
        state = load_variables(first, []) if first.exists() else none
        return {**state, "epoch": 0, "best": {}}


def better(row: dict, best: dict | None) -> bool:
    """Whether an epoch's validation loss beats the best one; NaN is worse than any number."""
    losses = [np.nan_to_num(r["val_loss"], nan=np.inf) for r in (row, best or row)]
    return best is None or bool(losses[0] < losses[1])


def seed_dropout(model: keras.Model, rng: np.random.Generator) -> None:
    """Make Dropout's randomness follow from ``rng``, so that a resumed run equals an unbroken one.

    Neither a saved model nor Keras's ``BackupAndRestore`` brings back the state of its generator.
    """
    for layer in model.layers:
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign(rng.integers(0, 2**31, size=2).astype("uint32"))


def save_variables(file: Path, variables, note: dict | None = None) -> None:
    """Values of variables and what is known beside them, in one file."""
    with writing(file) as handle:
        np.savez(handle, *map(keras.ops.convert_to_numpy, variables), note=json.dumps(note))


def load_variables(file: Path, variables) -> dict | None:
    """Give variables the values of a checkpoint; returns what was saved beside them."""
    with damage_told(file), np.load(file) as kept:
        values = [kept[f"arr_{k}"] for k in range(len(variables))]
        note = json.loads(str(kept["note"]))
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return note
