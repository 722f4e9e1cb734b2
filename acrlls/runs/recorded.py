"""Finished runs, and records of them: no weights, ``results/<profile>[-<change>]/<variant>/``."""

import contextlib
import functools
import json
import os.path
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import softmax

from acrlls.config import PROJECT, Config, UserError, hint
from acrlls.data import class_weights, split_counts
from acrlls.store import MANIFEST, Damaged, damage, damage_told, writing

RESULTS = PROJECT / "results"
_OPTIONAL = ("statistics.csv", "statistics_predictions.csv.gz")
_RECORDED = ("config.json", "history.csv", "scales.csv", "predictions.csv.gz")


@dataclass(frozen=True)
class Predictions:
    """Predictions for ``n`` images of a part (``"validation"`` or ``"test"``): their names `(n,)`,
    true classes `(n,)`, and what enters softmax, after LLS where there is one, `(n, classes)`.
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
        """Provenance: digests, versions, backend, commit, time, best epoch of each phase."""
        return self._read(MANIFEST, lambda file: dict(json.loads(file.read_text("utf-8"))))

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.manifest["class_names"])

    @functools.cached_property
    def history(self) -> pd.DataFrame:
        """A row an epoch: phase, epoch, loss, accuracy, val_loss, val_accuracy, seconds."""
        return self._read("history.csv", pd.read_csv)

    @functools.cached_property
    def scales(self) -> pd.DataFrame:
        """LLS scales at the end of each epoch: phase, epoch, a column a class; no rows without."""
        if self._read("scales.csv", Path.read_bytes).strip():
            return self._read("scales.csv", pd.read_csv)
        return pd.DataFrame(columns=["phase", "epoch", *self.class_names])

    def best_epoch(self, phase: int) -> pd.Series:
        """The row of the history whose weights a phase kept (lowest validation loss)."""
        rows = self.history[self.history.phase == phase]
        if rows.empty:
            there = ", ".join(map(str, self.history.phase.unique()))
            raise ValueError(f"{self.folder} has no phase {phase!r}; there are: {there}")
        return rows.loc[rows.val_loss.fillna(np.inf).idxmin()]

    def best_scales(self, phase: int) -> pd.Series:
        """LLS scales, one a class, of the epoch that a phase kept."""
        if self.scales.empty:
            raise ValueError(f"{self.folder} has no scales: {self.config.variant} has no LLS")
        epoch = self.best_epoch(phase).epoch
        row = self.scales[(self.scales.phase == phase) & (self.scales.epoch == epoch)].iloc[0]
        return row[list(self.class_names)].astype(float)

    @functools.cached_property
    def _predictions(self) -> dict[tuple[str, int], Predictions]:
        # a name such as 007 or NA is text
        columns = [f"logit_{c}" for c in self.class_names]
        how = {"dtype": {"name": str}, "keep_default_na": False}
        how["na_values"] = dict.fromkeys(columns, [""])
        table, found = self._read("predictions.csv.gz", functools.partial(pd.read_csv, **how)), {}
        for (part, phase), rows in table.groupby(["part", "phase"], sort=False):
            arrays = rows.name.to_numpy(str), rows.label.to_numpy(), rows[columns].to_numpy()
            for array in arrays:
                array.flags.writeable = False  # all who ask are given the same
            found[part, phase] = Predictions(*arrays, self.class_names, part)
        return found

    def predictions(self, part: str = "test", phase: int | None = None) -> Predictions:
        """Predictions for ``"validation"`` or ``"test"``, by the best model of Phase 1 or, with 2
        or ``None`` for the last phase, by the returned model; a ``ValueError`` if there are none, a
        ``UserError`` if the training diverged, so that they are no numbers.
        """
        phase = max(k for _, k in self._predictions) if phase is None else phase
        if (part, phase) not in self._predictions:
            there = "; ".join(f"{one!r}, phase {k}" for one, k in self._predictions)
            raise ValueError(f"no predictions for {part!r}, phase {phase!r}; there are: {there}")
        found = self._predictions[part, phase]
        if not np.isfinite(found.logits).all():
            what = f"{self.folder}: the predictions for {part!r}, phase {phase}, are no numbers"
            raise UserError(f"{what}: the training diverged; try a smaller learning rate")
        return found

    def model(self):
        """The returned Keras model, images `(n, size, size, 3)` to probabilities `(n, classes)`."""
        if not (weights := self.folder / "model.weights.h5").exists():
            how = "acrlls.run(config) gives a run that has them"
            raise UserError(f"{self.folder} is a record, which holds no weights; {how}")
        from acrlls.method import build_model

        model = build_model(self.config, len(self.class_names))
        model.load_weights(weights)
        return model

    def _read(self, name: str, read: Callable):
        with damage_told(self.folder / name, f"; {_mend(self.folder)}"):
            return read(self.folder / name)


def _mend(folder: Path) -> str:
    return f"delete {folder} and have it recorded again with `acrlls reproduce`"


def record(done: Run, folder: str | Path) -> Path:
    """Copy what may be published of a run, no weights and no images, for :func:`load_run`.

    What was recorded there stays until all is written.  Then the manifest goes first and comes
    last: a folder without one, left by a process that was killed, is no record.
    """
    folder = Path(folder).expanduser()
    optional = [name for name in _OPTIONAL if (done.folder / name).exists()]
    with contextlib.ExitStack() as files:  # renamed into place in reverse order
        for name in (MANIFEST, *optional, *_RECORDED):
            handle = files.enter_context(writing(folder / name))
            handle.write((done.folder / name).read_bytes())
            handle.flush()
        (folder / MANIFEST).unlink(missing_ok=True)
    for left in folder.glob("*.aside"):  # by a process that was killed
        left.unlink()
    return folder


def load_run(folder: str | Path) -> Run:
    """A recorded run; a ``UserError`` where there is none, or one not as it was recorded."""
    folder = Path(folder).expanduser()
    # one alone may be another program's
    if sum(os.path.isfile(folder / name) for name in (MANIFEST, *_RECORDED)) < 2:
        raise UserError(_no_record(folder))
    if wrong := damage(folder, among=(*_RECORDED, *_OPTIONAL)):
        raise Damaged(f"the record {folder} cannot be used: {wrong}; {_mend(folder)}")
    with damage_told(file := folder / "config.json", f"; {_mend(folder)}"):
        return Run(folder, Config(**json.loads(file.read_text("utf-8"))))


def _no_record(folder: Path) -> str:
    near = next(place for place in (folder, *folder.parents) if os.path.isdir(place))
    below = [near.glob(f"{way}/{_RECORDED[-1]}") for way in ("*", "*/*")]
    known = sorted(str(file.parent) for files in below for file in files)
    meant = hint(folder, known, known[:3]) if known else f"give one that holds {_RECORDED[-1]}"
    wrong = "holds no record of a run" if near == folder else "is no folder"
    return f"{str(folder)!r} {wrong}; {meant}"


def records(profile: str = "laptop", folder: str | Path = RESULTS) -> dict[tuple[str, str], Run]:
    """Every record of a profile by (change, variant), ``""`` for the profile as it stands; a
    ``UserError`` if there is none.
    """
    found = {}
    for manifest in sorted(Path(folder).expanduser().glob("*/*/manifest.json")):
        group, variant = manifest.parts[-3:-1]
        if f"{group}-".startswith(f"{profile}-"):  # another profile's name may begin with its own
            found[group[len(str(profile)) + 1 :], variant] = load_run(manifest.parent)
    if not found:
        none = f"no run of profile {profile!r} is recorded in {folder}"
        raise UserError(f"{none}; `acrlls reproduce` records one")
    return found


def tuning(profile: str = "laptop", folder: str | Path = RESULTS) -> pd.DataFrame | None:
    """The recorded grid of a profile, as :func:`acrlls.tune` gives it; ``None`` if not there."""
    file = Path(folder).expanduser() / profile / "tuning.csv"
    return pd.read_csv(file) if file.is_file() else None


def training_weights(done: Run) -> np.ndarray:
    """The class weights `(classes,)` that a run was trained with; ones if it was without."""
    if not done.config.class_weights:
        return np.ones(len(done.class_names))
    fractions = done.config.train_fraction, done.config.validation_fraction
    counts = split_counts(done.manifest["class_counts"], *fractions)[0]
    return class_weights(np.repeat(np.arange(len(counts)), counts))
