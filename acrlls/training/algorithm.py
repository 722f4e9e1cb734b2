"""Algorithm 1: two phases of training, each keeping its best epoch (Section II-D)."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from acrlls.config import Config
from acrlls.data import dataset as data
from acrlls.method.model import (
    POOL,
    between,
    build_backbone,
    build_model,
    freeze_backbone,
    frozen_cut,
    unfreeze_top,
    weights_digest,
)
from acrlls.training.bank import FeatureBank
from acrlls.training.batchnorm import Readings, tracked
from acrlls.training.engines import jit_compile, steps_per_execution
from acrlls.training.folding import lean

_DONE = "best.json"  # written when all else is
_IN_MEMORY = 256 * 2**20  # bytes of features that are handed to Keras as one array
_log = logging.getLogger(__name__)


def train(config: Config, dataset: data.Dataset, folder: Path) -> keras.Model:
    """Phase 1, then Phase 2 from the best of Phase 1; returns the better of the two bests, by validation loss.

    Writes ``history.csv``, ``scales.csv``, ``predictions.csv.gz``, ``model.weights.h5`` and ``best.json`` into
    ``folder``, and a checkpoint after every epoch, from which a later call with the same arguments goes on.
    """
    ((_, model),) = train_together([(config, dataset, folder)])
    return model


def train_together(
    jobs: Sequence[tuple[Config, data.Dataset, Path]],
) -> Iterator[tuple[int, keras.Model]]:
    """Like :func:`train` for several runs, each as if it were alone.

    Where there is room to keep the views of the images, one run is trained after the other.  Where there is not, runs
    go on epoch by epoch side by side: one view is computed, used by all and let go.

    Args:
        jobs: (config, data set, folder) of each run.

    Yields:
        Position in ``jobs`` and model of each run, as soon as it is done.
    """
    bases: dict[
        tuple, keras.Model
    ] = {}  # of runs that leave the backbone as it is, one for all that start from the same
    waiting = {}  # runs that share views which are let go: their next epoch, themselves and their steps
    for k, job in enumerate(jobs):
        run = _Training(*job, base=_frozen_base(job[0], bases))
        steps = run.steps()
        for epoch in steps:
            if run.bank.lets_go:
                waiting[k] = epoch, run, steps
                break
        else:
            yield k, run.model
    while waiting:
        now = min(epoch for epoch, *_ in waiting.values())
        group = {k: entry for k, entry in waiting.items() if entry[0] == now}
        for k, (_, run, steps) in group.items():
            epoch = next(steps, None)
            if epoch is None:
                del waiting[k]
                yield k, run.model
            else:
                waiting[k] = epoch, run, steps
        for _, run, _ in group.values():
            run.bank.let_go()


def _frozen_base(config: Config, known: dict[tuple, keras.Model]) -> keras.Model | None:
    """The backbone of a run without Phase 2, built once; None for a run that changes it."""
    if config.phase2_epochs:
        return None
    key = weights_digest(config), config.backbone_width, config.image_size
    if key not in known:
        known[key] = build_backbone(config)
    return known[key]


class _Training:
    """One run of Algorithm 1."""

    def __init__(
        self, config: Config, dataset: data.Dataset, folder: Path, base: keras.Model | None = None
    ):
        self.config, self.dataset, self.folder = config, dataset, folder
        self.model = build_model(config, len(dataset.class_names), base)
        self.bank = FeatureBank(config, dataset, self.model)

    def steps(self) -> Iterator[tuple[int, int]]:
        """Train; stops before each epoch to say (phase, epoch), the epoch from 0."""
        config, model, folder = self.config, self.model, self.folder
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / _DONE).exists():  # cut off while it was tidied up
            model.load_weights(folder / "model.weights.h5")
            return self._tidy_up()
        plans = [plan for plan in phases(config) if plan.epochs]
        tables, bests, others = [], {}, []
        for plan in plans:
            if plan.phase == 1:
                freeze_backbone(model)
            else:
                unfreeze_top(model, config.unfrozen_layers, config.batchnorm)
            phase = _Phase(plan, config, self.dataset, model, self.bank, folder)
            for epoch in phase.epochs():
                yield plan.phase, epoch
            bests[plan.phase] = phase.best
            tables.append(phase.predictions(("validation", "test")))
            others += phase.other_predictions(("validation", "test"))
        selected = min(bests, key=lambda p: (bests[p]["val_loss"], p))
        if selected != plans[-1].phase:
            _load(folder / f"best_{selected}.npz", model.weights)
            # the returned model is Phase 1's, so what phase 2 stands for in the tables is too
            tables[-1] = tables[0].assign(phase=plans[-1].phase)
        pd.concat(tables).to_csv(folder / "predictions.csv.gz", index=False, float_format="%.7g")
        if others:
            pd.concat(others).to_csv(
                folder / "statistics_predictions.csv.gz", index=False, float_format="%.5g"
            )
        model.save_weights(folder / "model.weights.h5")
        note = {"phases": bests, "selected": selected, "engines": sorted(self.bank.engines)}
        _replace_text(folder / _DONE, json.dumps(note, indent=1))
        self._tidy_up()

    def _tidy_up(self) -> None:
        for checkpoint in (*self.folder.glob("best_?.npz"), *self.folder.glob("last_?.npz")):
            checkpoint.unlink()


@dataclass(frozen=True)
class PhasePlan:
    """What one phase does: its number (1 or 2), epochs, learning rate, and the augmented view of each epoch."""

    phase: int
    epochs: int
    learning_rate: float
    first_epoch: int

    def view(self, epoch: int, config: Config) -> int | None:
        """The view that epoch ``epoch`` (from 0) trains on; ``None`` without augmentation."""
        if not config.augment:
            return None
        number = self.first_epoch + epoch
        return number if config.views is None else number % config.views


def phases(config: Config) -> list[PhasePlan]:
    """The two phases of Algorithm 1 with a config's epochs and learning rates."""
    return [
        PhasePlan(1, config.phase1_epochs, config.phase1_learning_rate, 0),
        PhasePlan(2, config.phase2_epochs, config.phase2_learning_rate, config.phase1_epochs),
    ]


class Batches(keras.utils.PyDataset):
    """Batches in a given order: ``fetch(rows)`` gives the inputs, float32 `(batch, ...)`."""

    def __init__(self, fetch: Callable, labels, order, batch_size: int):
        super().__init__()
        self.fetch, self.labels, self.order, self.batch_size = fetch, labels, order, batch_size

    def __len__(self):
        return -(-len(self.order) // self.batch_size)

    def __getitem__(self, index):
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return self.fetch(rows), self.labels[rows]


class _Phase:
    """One phase: the part of the network that comes after all frozen, storable layers, trained on stored features."""

    def __init__(self, plan: PhasePlan, config, dataset, model, bank: FeatureBank, folder: Path):
        self.plan, self.config, self.dataset, self.model, self.bank, self.folder = (
            plan,
            config,
            dataset,
            model,
            bank,
            folder,
        )
        # One data set a part, used again every epoch: Keras on TensorFlow never lets go of one that it was given.
        self._fed: dict[str, Batches] = {}
        self.cut = frozen_cut(model)
        # Softmax is left to the loss, which is exact from logits; ACR and LLS stand before it.
        self.stage = lean(
            between(model, self.cut, model.layers[-2].name), tracked(config.batchnorm_statistics)
        )
        self.readings = Readings(self.stage, config.batchnorm_statistics)
        batches = len(bank.split.train) // config.batch_size
        self.stage.compile(
            keras.optimizers.Adam(plan.learning_rate),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            # by its object, for by its name it would be made in the first step, which TensorFlow then compiles twice
            metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")],
            jit_compile=jit_compile(),
            steps_per_execution=steps_per_execution(batches) if self.cut == POOL else 1,
        )
        train_labels = dataset.labels[bank.split.train]
        weights = data.class_weights(train_labels, len(dataset.class_names))
        self.class_weight = dict(enumerate(weights.tolist())) if config.class_weights else None
        if self.cut is not None:
            bank.keeps(self.cut, self._views(plan))
        self._later, self._later_views = self._cut_of_phase_2()

    def fit(self) -> dict:
        """All epochs; returns the row of the history of the best one."""
        for _ in self.epochs():
            pass
        return self.best

    def epochs(self) -> Iterator[int]:
        """Train, and leave the best epoch's weights in the model; stops before each epoch to say its number, from 0."""
        self.stage.optimizer.build(self.stage.trainable_variables)
        state = self._resume()
        history, scales = state["history"], state["scales"]
        for epoch in range(state["epoch"], self.plan.epochs):
            if self._out_of_patience(epoch, state["best"]):
                break
            yield epoch
            row = {"phase": self.plan.phase, "epoch": epoch + 1, **self._epoch(epoch)}
            history.append(row)
            if "lls" in [layer.name for layer in self.model.layers]:
                values = keras.ops.convert_to_numpy(self.model.get_layer("lls").scale).tolist()
                scales.append(
                    {
                        "phase": row["phase"],
                        "epoch": row["epoch"],
                        **dict(zip(self.dataset.class_names, values, strict=True)),
                    }
                )
            if _better(row, state["best"]):
                state["best"] = row
                _save(self._best_file, self.model.weights)
            self._try_others(epoch, state["others"])
            self._checkpoint(epoch + 1, state)
            _log.info("%s", "  ".join(f"{k} {v:.4g}" for k, v in row.items()))
        _load(self._best_file, self.model.weights)
        self.best = state["best"]

    def _out_of_patience(self, epochs_done: int, best: dict | None) -> bool:
        return bool(
            self.config.patience and best and epochs_done - best["epoch"] >= self.config.patience
        )

    def predictions(self, parts) -> pd.DataFrame:
        """What enters softmax for every image of the parts: part, phase, name, label, one ``logit_<class>`` a class."""
        tables = []
        for part in parts:
            rows = getattr(self.bank.split, part)
            logits = self.stage.predict(self._batches(part, None, np.arange(len(rows))), verbose=0)
            columns = {f"logit_{c}": logits[:, k] for k, c in enumerate(self.dataset.class_names)}
            tables.append(
                pd.DataFrame(
                    {
                        "part": part,
                        "phase": self.plan.phase,
                        "name": self.dataset.names[rows],
                        "label": self.dataset.labels[rows],
                        **columns,
                    }
                )
            )
        return pd.concat(tables)

    def _try_others(self, epoch: int, kept: list[dict]) -> None:
        """What the other readings of BatchNormalization's statistics say of the validation images, and their best."""
        for name in self.readings.others:
            before = [row for row in kept if row["statistics"] == name]
            with self.readings.applied(name):
                checked = self._pass(self._plain("validation"), train=False)
                kept.append(
                    {
                        "statistics": name,
                        "phase": self.plan.phase,
                        "epoch": epoch + 1,
                        "val_loss": checked["loss"],
                        "val_accuracy": checked["accuracy"],
                    }
                )
                if all(_better(kept[-1], row) for row in before):
                    _save(self._other_file(name), self.model.weights)

    def other_predictions(self, parts) -> list[pd.DataFrame]:
        """Like :meth:`predictions`, of the best epoch by each other reading of BatchNormalization's statistics."""
        own = [keras.ops.convert_to_numpy(v).copy() for v in self.model.weights]
        tables = []
        for name in self.readings.others:
            _load(self._other_file(name), self.model.weights)
            tables.append(self.predictions(parts).assign(statistics=name))
        for variable, value in zip(self.model.weights, own, strict=True):
            variable.assign(value)
        return tables

    def _other_file(self, name) -> Path:
        return self.folder / f"statistics_{name}.npz"

    def _plain(self, part: str) -> Batches:
        return self._batches(part, None, np.arange(len(getattr(self.bank.split, part))))

    def _epoch(self, epoch: int) -> dict[str, float]:
        start = time.perf_counter()
        c = self.config
        rng = np.random.default_rng((c.seed, self.plan.phase, epoch))
        seed_dropout(self.model, rng)
        order = rng.permutation(len(self.bank.split.train))
        batches = self._batches("train", self.plan.view(epoch, c), order)
        logs = self._pass(batches, train=True)
        self.readings.end_epoch(batches)
        batches.fetch = None  # a view that is let go takes room for as long as it is mapped
        # Without class weights and, the layer being silent outside training, without ACR.
        checked = self._pass(self._plain("validation"), train=False)
        return {
            "loss": logs["loss"],
            "accuracy": logs["accuracy"],
            "val_loss": checked["loss"],
            "val_accuracy": checked["accuracy"],
            "seconds": time.perf_counter() - start,
        }

    def _batches(self, part: str, view: int | None, order) -> Batches:
        rows = getattr(self.bank.split, part)
        if self.cut is None:

            def fetch(chosen):
                return data.batch(self.dataset, rows[chosen], self.config, view)

        else:
            stored = self.bank.features(part, self.cut, view, also=self._needed_later(view))

            def fetch(chosen):
                return np.asarray(stored[chosen], dtype=np.float32)

        labels = self.dataset.labels[rows]
        if part not in self._fed:
            self._fed[part] = Batches(fetch, labels, order, self.config.batch_size)
        self._fed[part].fetch, self._fed[part].order = fetch, order
        return self._fed[part]

    def _views(self, plan: PhasePlan) -> set[int | None]:
        return {plan.view(epoch, self.config) for epoch in range(plan.epochs)}

    def _cut_of_phase_2(self) -> tuple[tuple[str, ...], set[int | None]]:
        """Phase 2's cut, if Phase 1 can fill it in passing, and the views of which: those both see, where there is room
        to keep them, and the plain images."""
        later = phases(self.config)[1]
        if self.plan.phase != 1 or self.cut != POOL or not later.epochs:
            return (), set()
        unfreeze_top(self.model, self.config.unfrozen_layers, self.config.batchnorm)
        cut = frozen_cut(self.model)
        freeze_backbone(self.model)
        if cut is None:
            return (), set()
        shared = self._views(self.plan) & self._views(later)
        return (cut,), shared if shared and self.bank.keeps(cut, self._views(later)) else set()

    def _needed_later(self, view: int | None) -> tuple[str, ...]:
        """What is stored in the same pass over a view, because Phase 2 will see it."""
        return self._later if view is None or view in self._later_views else ()

    def _pass(self, batches: Batches, train: bool) -> dict[str, float]:
        """Train on all batches, or evaluate them; means over the images.

        Step by step, where a call does not hold many: at the end of ``fit`` and ``evaluate`` TensorFlow 2.21 now and then
        sleeps until the next round of tuning its input pipeline (``tf.data``'s autotuning), and the rounds double, so
        that an epoch may take up to twice its time.
        """
        stage, weighted = self.stage, {"class_weight": self.class_weight} if train else {}
        if stage.steps_per_execution == 1:
            step = stage.train_on_batch if train else stage.test_on_batch
            sizes, each = [], []  # each call answers for its own batch
            for x, labels in map(batches.__getitem__, range(len(batches))):
                sizes.append(len(labels))
                each.append(step(x, labels, return_dict=True, **weighted))
            return {
                name: float(np.average([means[name] for means in each], weights=sizes))
                for name in each[0]
            }
        if len(batches.order) * np.prod(stage.input_shape[1:]) * 4 <= _IN_MEMORY:
            given = {
                "x": batches.fetch(batches.order),
                "y": batches.labels[batches.order],
                "batch_size": batches.batch_size,
            }
        else:
            given = {"x": batches}
        if not train:
            return stage.evaluate(**given, verbose=0, return_dict=True)
        history = stage.fit(**given, **weighted, shuffle=False, verbose=0).history
        return {name: values[-1] for name, values in history.items()}

    @property
    def _best_file(self) -> Path:
        return self.folder / f"best_{self.plan.phase}.npz"

    def _variables(self) -> list:
        """What an epoch changes; the frozen rest is as the model was built."""
        return [*self.stage.weights, *self.stage.optimizer.variables]

    def _checkpoint(self, epoch: int, state: dict) -> None:
        pd.DataFrame(state["history"]).to_csv(self.folder / "history.csv", index=False)
        pd.DataFrame(state["scales"]).to_csv(self.folder / "scales.csv", index=False)
        if state["others"]:
            pd.DataFrame(state["others"]).to_csv(self.folder / "statistics.csv", index=False)
        # weights and what belongs to them in one file, so that a stop never parts them
        _save(self._last_file(self.plan.phase), self._variables(), {**state, "epoch": epoch})

    def _resume(self) -> dict:
        """Where this phase stands: epochs done, best row, and the rows so far of both phases."""
        state = {"epoch": 0, "best": None, "history": [], "scales": [], "others": []}
        if self._last_file(self.plan.phase).exists():
            return _load(self._last_file(self.plan.phase), self._variables())
        if self.plan.phase == 2 and self._last_file(1).exists():
            earlier = _load(self._last_file(1), [])
            return {**state, "history": earlier["history"], "scales": earlier["scales"]}
        return state

    def _last_file(self, phase: int) -> Path:
        return self.folder / f"last_{phase}.npz"


def _better(row: dict, best: dict | None) -> bool:
    """Whether an epoch's validation loss beats the best one; a loss that is no number is worse than any."""
    return best is None or np.nan_to_num(row["val_loss"], nan=np.inf) < np.nan_to_num(
        best["val_loss"], nan=np.inf
    )


def seed_dropout(model: keras.Model, rng: np.random.Generator) -> None:
    """Dropout's randomness as a function of seed and epoch, so that a resumed run equals an unbroken one."""
    for layer in model.layers:
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign(rng.integers(0, 2**31, size=2).astype("uint32"))


def _save(file: Path, variables, note: dict | None = None) -> None:
    """Values of variables and what is known beside them, in one file that is there as a whole or not at all."""
    aside = file.with_suffix(".aside.npz")
    np.savez(aside, *[keras.ops.convert_to_numpy(v) for v in variables], note=json.dumps(note))
    aside.replace(file)


def _load(file: Path, variables) -> dict | None:
    """Give variables their saved values; returns the note."""
    with np.load(file) as kept:
        for k, variable in enumerate(variables):
            variable.assign(kept[f"arr_{k}"])
        return json.loads(str(kept["note"]))


def _replace_text(file: Path, text: str) -> None:
    aside = file.with_suffix(".aside")
    aside.write_text(text)
    aside.replace(file)
