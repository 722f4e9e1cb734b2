"""Ask for a run: kept, resumed or trained."""

import contextlib
import itertools
import json
import logging
import platform
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from acrlls import store
from acrlls.backend import versions
from acrlls.config import PROJECT, Config, UserError
from acrlls.data import Dataset, load_data
from acrlls.method import weights_digest
from acrlls.runs.recorded import Run

_SOURCES = ("method/layers.py", "method/losses.py", "method/model.py", "method/variants.py")
_SOURCES += ("data", "training")
_log = logging.getLogger(__name__)


def run(config: Config) -> Run:
    """The run that ``config`` describes: taken from the store, resumed, or trained."""
    folder, fingerprint = _place(config)
    _make(folder, config, fingerprint, wait=True)
    return Run(folder, config)


def run_all(configs: Iterable[Config]) -> list[Run]:
    """The runs that some configs describe, in their order, each as :func:`run` gives it.

    Those that are not kept are trained one by one, or where and as many at once as
    ``joblib.parallel_config`` says around the call; another process's are waited for at the end.
    """
    configs = list(configs)
    places = [_place(config) for config in configs]
    jobs = {folder: (c, data) for (folder, data), c in zip(places, configs, strict=True)}
    for wait in (False, True):
        had = joblib.Parallel()(joblib.delayed(_make)(f, *job, wait) for f, job in jobs.items())
        jobs = {f: job for (f, job), done in zip(jobs.items(), had, strict=True) if not done}
    return [Run(folder, config) for (folder, _), config in zip(places, configs, strict=True)]


def grid(config: Config) -> dict[tuple[float, float], Run]:
    """The runs of the grid of Section III-B by (alpha, tau): Phase 1 of the proposed model for
    every pair of ``grid_alpha`` and ``grid_tau``.
    """
    epochs = {"phase1_epochs": config.grid_epochs, "phase2_epochs": 0}
    shared = {"variant": "proposed", **epochs, "patience": config.grid_patience}
    points = list(itertools.product(config.grid_alpha, config.grid_tau))
    runs = run_all(config.replace(**shared, alpha=alpha, tau=tau) for alpha, tau in points)
    return dict(zip(points, runs, strict=True))


def tune(config: Config) -> pd.DataFrame:
    """The table of :func:`grid`: a row a grid point, best validation loss first, with alpha, tau,
    val_accuracy, val_loss, epoch (the best), epochs (trained before early stopping).
    """
    rows = []
    for (alpha, tau), done in grid(config).items():
        best = done.best_epoch(1)[["val_accuracy", "val_loss", "epoch"]]
        rows.append({"alpha": alpha, "tau": tau, **best, "epochs": len(done.history)})
    table = pd.DataFrame(rows).astype({"epoch": int})
    return table.sort_values("val_loss", ignore_index=True)


def run_digest(config: Config, dataset: Dataset) -> str:
    """Digest of everything that determines the result of a run."""
    settings, weights = config.training_settings(), weights_digest(config)
    return store.digest(settings, dataset.fingerprint, weights, store.source_digest(*_SOURCES))


def _place(config: Config) -> tuple[Path, str]:
    """The folder of a run, and the fingerprint of the data that it is to be trained on."""
    dataset = load_data(config)
    return store.store() / run_digest(config, dataset), dataset.fingerprint


def _make(folder: Path, config: Config, fingerprint: str, wait: bool) -> bool:
    """Train what a folder is to hold, unless it is whole; ``False`` if another process is at it."""

    def is_kept():
        return folder.exists() and not store.damage(folder)  # renamed into place as a whole

    if is_kept():
        return True
    with store.locked(folder.with_suffix(".lock"), wait) as had, store.disk_told(folder):
        if had and not is_kept():
            if folder.exists():
                _log.warning("run %s: %s; it is trained again", folder.name, store.damage(folder))
                store.remove(folder)
            dataset = load_data(config)
            if dataset.fingerprint != fingerprint:
                raise UserError(f"run {folder.name}: its images have changed; ask for it again")
            try:
                _train(folder, config, dataset)
            except store.Damaged as found:
                _log.warning("run %s: %s; it is trained from the start", folder.name, found)
                store.remove(folder.with_suffix(".partial"))
                _train(folder, config, dataset)
        return had


def _train(folder: Path, config: Config, dataset: Dataset) -> None:
    from acrlls.training import train

    start, aside = time.perf_counter(), folder.with_suffix(".partial")
    settings = config.as_dict()
    settings["data"] = "phantom" if config.data == "phantom" else "folder"
    for name in ("profile", "backbone"):  # names, not folders of this machine
        settings[name] = Path(settings[name]).name
    store.write_text(aside / "config.json", json.dumps(settings, indent=1))
    # Every run compiles its own functions, of which TensorFlow warns as if it were by mistake.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    train(config, dataset, aside)
    best, classes = store.read_json(aside / "best.json"), list(dataset.class_names)
    history = pd.read_csv(aside / "history.csv")
    if diverged := int((~np.isfinite(history.val_loss)).sum()):
        which = f"{diverged} of {len(history)} epochs: the training diverged"
        _log.warning("run %s: the validation loss is no number in %s", folder.name, which)
    manifest = {
        "digest": folder.name,
        "class_names": classes,
        "images": len(dataset),
        "class_counts": np.bincount(dataset.labels, minlength=len(classes)).tolist(),
        "data_fingerprint": dataset.fingerprint,
        "weights_digest": weights_digest(config),
        "feature_engines": best["engines"],
        "selected_phase": best["selected"],
        "best": best["phases"],
        "seconds_in_epochs": round(float(history.seconds.sum()), 1),
        **environment(),
        "seconds_in_last_session": round(time.perf_counter() - start, 1),
    }
    store.seal(aside, manifest)
    aside.rename(folder)


def environment() -> dict:
    """Versions, backend, machine, device and commit, as recorded with every run."""
    import keras

    device = keras.ops.zeros(1).device  # each backend names it in its own way
    command, commit = ["git", "-C", str(PROJECT), "describe", "--always", "--dirty"], ""
    with contextlib.suppress(OSError):  # where git is not installed
        commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return {
        "versions": versions(),
        "backend": keras.backend.backend(),
        "machine": f"{platform.system()} {platform.machine()}",
        "device": getattr(device, "device_kind", str(device).rsplit("device:")[-1]),
        "commit": commit.strip() or None,
    }
