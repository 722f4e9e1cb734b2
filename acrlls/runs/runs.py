"""Ask for a run: kept, resumed or trained.

``runs/<digest>/`` holds everything about a run.  The digest covers what determines the result: the settings that reach
training, the data, the initial weights and the source of the modules that training imports.  Versions, backend and
device are recorded, not hashed.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import json
import logging
import platform
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.model_selection import ParameterGrid

from acrlls.config import PROJECT, Config
from acrlls.store import digest, locked, source_digest, store
from acrlls.data.dataset import Dataset, load_data

_SOURCES = ("method/layers.py", "method/model.py", "data/dataset.py",
            *(f"training/{name}.py" for name in ("algorithm", "bank", "batchnorm", "chunked", "engines", "folding")))
_RECORDED = ("config.json", "manifest.json", "history.csv", "scales.csv", "predictions.csv.gz")
_RECORDED_IF_THERE = ("statistics.csv", "statistics_predictions.csv.gz")


@dataclass(frozen=True)
class Predictions:
    """Predictions for ``n`` images.

    Attributes:
        names: `(n,)` image names.
        labels: `(n,)` true classes.
        logits: `(n, classes)` what enters softmax (after LLS, where there is one).
        class_names: of the columns.
        part: ``"validation"`` or ``"test"``.
    """

    names: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    class_names: tuple[str, ...]
    part: str

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits, float64 `(n, classes)`, rows summing to one."""
        return softmax(self.logits.astype(np.float64), axis=1)

    @property
    def classes(self) -> np.ndarray:
        """`(n,)` predicted classes."""
        return self.logits.argmax(axis=1)


@dataclass(frozen=True)
class Run:
    """A finished run, read from its folder."""

    folder: Path
    config: Config

    @functools.cached_property
    def manifest(self) -> dict:
        """Provenance: digests, versions, backend, device, git commit, wall time, best epoch of each phase."""
        return json.loads((self.folder / "manifest.json").read_text())

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.manifest["class_names"])

    @functools.cached_property
    def history(self) -> pd.DataFrame:
        """One row an epoch: phase, epoch, loss, accuracy, val_loss, val_accuracy, seconds."""
        return pd.read_csv(self.folder / "history.csv")

    @functools.cached_property
    def scales(self) -> pd.DataFrame:
        """LLS scales at the end of each epoch: phase, epoch, one column a class; no rows without LLS."""
        try:
            return pd.read_csv(self.folder / "scales.csv")
        except pd.errors.EmptyDataError:
            return pd.DataFrame(columns=["phase", "epoch", *self.class_names])

    def best_epoch(self, phase: int) -> pd.Series:
        """The row of the history whose weights a phase kept (lowest validation loss)."""
        rows = self.history[self.history.phase == phase]
        return rows.loc[rows.val_loss.idxmin()]

    def best_scales(self, phase: int) -> pd.Series:
        """LLS scales, one a class, of the epoch that a phase kept."""
        epoch = self.best_epoch(phase).epoch
        row = self.scales[(self.scales.phase == phase) & (self.scales.epoch == epoch)].iloc[0]
        return row[list(self.class_names)].astype(float)

    @functools.cached_property
    def _tables(self) -> pd.DataFrame:
        return pd.read_csv(self.folder / "predictions.csv.gz")

    def predictions(self, part: str = "test", phase: int | None = None) -> Predictions:
        """Predictions for ``"validation"`` or ``"test"`` of the best model of Phase 1 (``phase=1``) or of the
        returned model (``phase=2``, or ``None``: the last phase that was trained)."""
        table = self._tables
        phase = int(table.phase.max()) if phase is None else phase
        table = table[(table.part == part) & (table.phase == phase)]
        if table.empty:
            raise ValueError(f"no predictions for part {part!r}, phase {phase}")
        logits = table[[f"logit_{c}" for c in self.class_names]].to_numpy()
        return Predictions(table.name.to_numpy(str), table.label.to_numpy(), logits, self.class_names, part)

    def model(self):
        """The returned Keras model, images `(n, size, size, 3)` to probabilities `(n, classes)`."""
        from acrlls.method.model import build_model

        model = build_model(self.config, len(self.class_names))
        model.load_weights(self.folder / "model.weights.h5")
        return model


def run(config: Config) -> Run:
    """The run that ``config`` describes: taken from the store, resumed where it was cut off, or trained."""
    return run_all([config])[0]


def run_all(configs: Iterable[Config]) -> list[Run]:
    """The runs that some configs describe, in their order, each as :func:`run` gives it.

    Those that are not kept yet are trained together, so that they share every view of the images even where there is no
    room to keep the views (:func:`acrlls.training.algorithm.train_together`).  What another process is training is waited for, after
    all else is done; each run is free for others as soon as it is in its place.
    """
    configs = list(configs)
    jobs: dict[Path, tuple[Config, Dataset]] = {}
    folders = []
    for config in configs:
        dataset = load_data(config)
        folders.append(store() / run_digest(config, dataset))
        jobs[folders[-1]] = (config, dataset)
    while missing := {folder: job for folder, job in jobs.items() if not _is_kept(folder)}:
        with contextlib.ExitStack() as stack:
            mine = _locks(missing, stack)
            lacking = {folder: missing[folder] for folder in mine if not _is_kept(folder)}
            if lacking:
                _train(lacking, mine)
    return [Run(folder, config) for folder, config in zip(folders, configs, strict=True)]


def grid(config: Config) -> dict[tuple[float, float], Run]:
    """The runs of the grid of Section III-B by (alpha, tau): Phase 1 of the proposed model for every pair of
    ``grid_alpha`` and ``grid_tau``."""
    shared = {"variant": "proposed", "phase1_epochs": config.grid_epochs, "phase2_epochs": 0,
              "patience": config.grid_patience}
    pairs = ParameterGrid({"alpha": config.grid_alpha, "tau": config.grid_tau})
    points = [(pair["alpha"], pair["tau"]) for pair in pairs]
    runs = run_all(config.replace(**shared, alpha=alpha, tau=tau) for alpha, tau in points)
    return dict(zip(points, runs, strict=True))


def tune(config: Config) -> pd.DataFrame:
    """The table of :func:`grid`.

    Returns:
        One row a grid point, best validation loss first: alpha, tau, val_accuracy, val_loss, epoch (the best),
        epochs (trained before early stopping).
    """
    rows = []
    for (alpha, tau), done in grid(config).items():
        best = done.best_epoch(1)
        rows.append({"alpha": alpha, "tau": tau, "val_accuracy": best.val_accuracy, "val_loss": best.val_loss,
                     "epoch": int(best.epoch), "epochs": len(done.history)})
    table = pd.DataFrame(rows).sort_values("val_loss", ignore_index=True)
    return table[["alpha", "tau", "val_accuracy", "val_loss", "epoch", "epochs"]]


def record(done: Run, folder: str | Path) -> Path:
    """Copy what may be published of a run (no weights, no images) into ``folder``, readable by :func:`load_run`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in _RECORDED:
        shutil.copyfile(done.folder / name, folder / name)
    for name in _RECORDED_IF_THERE:
        if (done.folder / name).exists():
            shutil.copyfile(done.folder / name, folder / name)
    return folder


def load_run(folder: str | Path) -> Run:
    """A recorded run.

    Raises:
        FileNotFoundError: the folder holds no record.
    """
    folder = Path(folder)
    settings = json.loads((folder / "config.json").read_text())
    return Run(folder, Config(**settings))


def run_digest(config: Config, dataset: Dataset) -> str:
    """Digest of everything that determines the result of a run."""
    from acrlls.method.model import weights_digest

    return digest(config.training_settings(), dataset.fingerprint, weights_digest(config), source_digest(*_SOURCES))


def _locks(folders: Iterable[Path], stack: contextlib.ExitStack) -> dict[Path, contextlib.ExitStack]:
    """The locks of all runs that no other process is training now, or else of the first one as soon as it is free.

    Nobody waits with a lock in hand, so no two processes wait for each other.
    """
    held = {}
    for folder in folders:
        lock = stack.enter_context(contextlib.ExitStack())
        if lock.enter_context(locked(folder.with_suffix(".lock"), wait=False)):
            held[folder] = lock
    if not held:
        folder, lock = next(iter(folders)), stack.enter_context(contextlib.ExitStack())
        lock.enter_context(locked(folder.with_suffix(".lock")))
        held[folder] = lock
    return held


def _is_kept(folder: Path) -> bool:
    return (folder / "manifest.json").exists()  # the folder is renamed into place when all of it is there


def _train(jobs: dict[Path, tuple[Config, Dataset]], locks: dict[Path, contextlib.ExitStack]) -> None:
    """Train what each folder is to hold, put each into place as soon as it is done, and unlock it."""
    from acrlls.training import algorithm as training

    start = time.perf_counter()
    for folder, (config, _) in jobs.items():
        aside = _aside(folder)
        aside.mkdir(parents=True, exist_ok=True)
        settings = {**config.as_dict(), "data": "phantom" if config.data == "phantom" else "folder"}
        settings["profile"] = Path(config.profile).name  # names, not folders of this machine
        if config.backbone not in ("imagenet", "phantom", "random"):
            settings["backbone"] = Path(config.backbone).name
        (aside / "config.json").write_text(json.dumps(settings, indent=1))
    # Every run compiles functions of its own, which TensorFlow takes for an oversight and warns of on stderr.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    folders = list(jobs)
    for k, _ in training.train_together([(*jobs[folder], _aside(folder)) for folder in folders]):
        session = {"seconds_in_last_session": round(time.perf_counter() - start, 1), "runs_in_last_session": len(jobs)}
        _put_into_place(folders[k], *jobs[folders[k]], session)
        locks[folders[k]].close()


def _aside(folder: Path) -> Path:
    return folder.with_suffix(".partial")


def _put_into_place(folder: Path, config: Config, dataset: Dataset, session: dict) -> None:
    from acrlls.method.model import weights_digest

    aside = _aside(folder)
    best = json.loads((aside / "best.json").read_text())
    history = pd.read_csv(aside / "history.csv")
    manifest = {
        "digest": folder.name,
        "class_names": list(dataset.class_names),
        "images": len(dataset),
        "class_counts": np.bincount(dataset.labels, minlength=len(dataset.class_names)).tolist(),
        "data_fingerprint": dataset.fingerprint,
        "weights_digest": weights_digest(config),
        "feature_engines": best["engines"],
        "selected_phase": best["selected"],
        "best": best["phases"],
        "seconds_in_epochs": round(float(history.seconds.sum()), 1),
        **session,
        **environment(),
    }
    (aside / "manifest.json").write_text(json.dumps(manifest, indent=1))
    aside.rename(folder)


def environment() -> dict:
    """Versions, backend, machine and commit, as recorded with every run."""
    import keras

    packages = ("acrlls", "keras", "tensorflow", "tensorflow_cpu", "jax", "torch", "numpy", "scipy", "scikit-learn",
                "pandas", "pillow", "openvino")
    versions = {}
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    commit = subprocess.run(
        ["git", "-C", str(PROJECT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return {
        "python": platform.python_version(),
        "versions": versions,
        "backend": keras.backend.backend(),
        "machine": f"{platform.system()} {platform.machine()}",
        "commit": commit.stdout.strip() or None,
    }
