"""Finished and recorded runs.

A record is a run without its weights, in ``results/<profile>[-<change>]/<variant>/``: what
``acrlls reproduce`` writes.
"""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import softmax
from scipy.stats import binomtest

import acrlls
from acrlls.calibration import registry as calibration
from acrlls.calibration.posthoc import METHODS, PriorCorrection, Recalibrator
from acrlls.config import PROJECT, Config, UserError
from acrlls.data import balanced_weights, split_counts
from acrlls.paper import paper

RESULTS = PROJECT / "results"
_OPTIONAL = ("statistics.csv", "statistics_predictions.csv.gz")
_RECORDED = ("config.json", "manifest.json", "history.csv", "scales.csv", "predictions.csv.gz")
_RECORDED += _OPTIONAL


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
        """Provenance: digests, versions, backend, commit, time, best epoch of each phase."""
        return json.loads((self.folder / "manifest.json").read_text())

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.manifest["class_names"])

    @functools.cached_property
    def history(self) -> pd.DataFrame:
        """A row an epoch: phase, epoch, loss, accuracy, val_loss, val_accuracy, seconds."""
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
        """Predictions for one part of the images.

        Args:
            part: ``"validation"`` or ``"test"``.
            phase: 1 for the best model of Phase 1; 2, or ``None`` for the last phase that was
                trained, for the returned model.

        Raises:
            ValueError: there are none for that part or phase.
        """
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


def record(done: Run, folder: str | Path) -> Path:
    """Copy what may be published of a run, no weights and no images, for :func:`load_run`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in _RECORDED:
        if (done.folder / name).exists() or name not in _OPTIONAL:
            shutil.copyfile(done.folder / name, folder / name)
    return folder


def load_run(folder: str | Path) -> Run:
    """A recorded run.

    Raises:
        FileNotFoundError: the folder holds no record.
    """
    folder = Path(folder)
    return Run(folder, Config(**json.loads((folder / "config.json").read_text())))


def records(profile: str = "laptop", folder: str | Path = RESULTS) -> dict[tuple[str, str], Run]:
    """Every record of a profile, by (change, variant); the change is ``""`` for the profile as it stands.

    Raises:
        UserError: there is none.
    """
    found = {}
    for manifest in sorted(Path(folder).glob(f"{profile}*/*/manifest.json")):
        group, variant = manifest.parts[-3:-1]
        found[(group.removeprefix(profile).lstrip("-"), variant)] = load_run(manifest.parent)
    if not found:
        raise UserError(
            f"no run of profile {profile!r} is recorded in {folder}; `acrlls reproduce` records one"
        )
    return found


def tuning(profile: str = "laptop", folder: str | Path = RESULTS) -> pd.DataFrame | None:
    """The recorded grid of a profile, as :func:`acrlls.tune` gives it; ``None`` where none is recorded."""
    file = Path(folder) / profile / "tuning.csv"
    return pd.read_csv(file) if file.is_file() else None


def training_weights(done: Run) -> np.ndarray:
    """The class weights `(classes,)` that a run was trained with; ones where it was trained without."""
    if not done.config.class_weights:
        return np.ones(len(done.class_names))
    fractions = done.config.train_fraction, done.config.validation_fraction
    return balanced_weights(split_counts(done.manifest["class_counts"], *fractions)[0])


# --- moves to tables

MISCALIBRATION = "Brier, miscalibration"  # the row of a paired difference that is not in the registry of metrics


def recalibrate(done: Run, method: str | Recalibrator) -> np.ndarray:
    """Test probabilities `(n, classes)` of a run after a post-hoc method, fitted on its validation images.

    No test label reaches the fit.

    Args:
        method: a name in :data:`acrlls.calibration.posthoc.METHODS`, or a method, which is then fitted.

    Raises:
        ValueError: no method has that name.
    """
    if isinstance(method, str):
        if method not in METHODS:
            raise ValueError(f"there is no method {method!r}; choose from: {', '.join(METHODS)}")
        method = METHODS[method].make(training_weights(done))
    return method.fit(done.predictions("validation")).predict_proba(done.predictions("test"))


def summary(done: Run, bins: int = 15) -> pd.Series:
    """What the paper publishes, for one run: index (quantity, class), where the class ``""`` is all of them."""
    test = done.predictions("test")
    p, y, names = test.probabilities, test.labels, done.class_names
    first = done.predictions("test", 1)
    by_class = {
        "images": done.manifest["class_counts"],
        "test images": np.bincount(y, minlength=len(names)),
        "AUC": calibration.classwise_auc(p, y),
        "Brier score": calibration.classwise_brier(p, y),
        "class-wise ECE": calibration.classwise_ece(p, y, bins),
    }
    for phase in (1, 2) if len(done.scales) else ():
        by_class[f"LLS scale, Phase {phase}"] = done.best_scales(phase).to_numpy()
    rows = {(quantity, name): v for quantity, values in by_class.items() for name, v in zip(names, values, strict=True)}
    rows[("accuracy, Phase 1", "")] = float((first.classes == first.labels).mean())
    rows[("accuracy, Phase 2", "")] = calibration.accuracy(p, y)
    rows[("macro F1", "")] = calibration.f1(p, y)
    return pd.Series(rows)


def published() -> pd.Series:
    """The paper's numbers for its proposed model, indexed like :func:`summary`."""
    table_2, support = paper.table("II"), paper.table("III").Support
    by_class = {
        "images": paper.by_class("images"),
        "test images": support.reindex(paper.CLASSES),
        "AUC": paper.by_class("auc"),
        "Brier score": paper.by_class("brier"),
        "class-wise ECE": paper.by_class("ece"),
        "LLS scale, Phase 1": table_2["Phase 1"],
        "LLS scale, Phase 2": table_2["Phase 2"],
    }
    rows = {(quantity, name): values[name] for quantity, values in by_class.items() for name in paper.CLASSES}
    rows[("accuracy, Phase 1", "")] = paper.NUMBERS["accuracy.phase1"].value
    rows[("accuracy, Phase 2", "")] = paper.NUMBERS["accuracy.proposed"].value
    rows[("macro F1", "")] = paper.table("IV").loc["Proposed", "F1"]
    return pd.Series(rows)


ORDER = ("images", "test images", "accuracy, Phase 1", "accuracy, Phase 2", "macro F1", "LLS scale, Phase 1",
         "LLS scale, Phase 2", "AUC", "Brier score", "class-wise ECE")


def side_by_side(columns: dict[str, pd.Series]) -> pd.DataFrame:
    """Summaries as columns of one table, rows in the order of the paper."""
    joined = pd.DataFrame(columns)
    keys = sorted(joined.index, key=lambda row: (ORDER.index(row[0]), (*paper.CLASSES, "").index(row[1])))
    return joined.loc[keys].rename_axis(["", "class"])


def calibration_table(runs: dict[str, Run], bins: int = 15, resamples: int = 1000) -> pd.DataFrame:
    """One row a run: accuracy, NLL and mean class-wise ECE as trained, its noise floor, and after prior correction.

    ``floor`` is the 95 % quantile of the mean class-wise ECE under perfect calibration with the run's own scores;
    ``low`` and ``high`` are the ends of the 95 % interval for the true mean error, above which the ECE itself may lie.
    """
    rows = {}
    for title, done in runs.items():
        test = done.predictions("test")
        corrected = PriorCorrection(training_weights(done)).predict_proba(test.logits)
        row = {}
        for label, p in (("as trained", test.probabilities), ("prior corrected", corrected)):
            floor = calibration.noise_floor(p, bins=bins, resamples=resamples).classwise.mean(axis=1)
            row[("accuracy", label)] = calibration.accuracy(p, test.labels)
            row[("NLL", label)] = calibration.nll(p, test.labels)
            row[("ECE", label)] = calibration.classwise_ece(p, test.labels, bins).mean()
            row[("floor", label)] = np.quantile(floor, 0.95)
            true = calibration.ece_interval(p, test.labels, bins, of="mean", resamples=resamples)
            row[("low", label)], row[("high", label)] = true.low, true.high
        rows[title] = row
    return pd.DataFrame(rows).T


def over_seeds(
    runs: Iterable[Run], bins: int = 15, resamples: int = 200, by: Sequence[str] = ("variant", "class_weights")
) -> pd.DataFrame:
    """Mean and standard deviation over seeds of :func:`calibration_table`, a row a value of the settings ``by``.

    Raises:
        ValueError: two runs of one seed differ in something that is not among ``by``.
    """
    groups: dict[tuple[str, ...], dict[str, Run]] = {}
    for done in runs:
        key = tuple(_setting(name, getattr(done.config, name)) for name in by)
        members = groups.setdefault(key, {})
        if str(done.config.seed) in members:
            raise ValueError(f"two runs of seed {done.config.seed} have {dict(zip(by, key, strict=True))}")
        members[str(done.config.seed)] = done
    rows = {}
    for key, members in groups.items():
        table = calibration_table(members, bins, resamples)
        spread = pd.concat({"mean": table.mean(), "sd": table.std(ddof=1)}, axis=1)
        rows[key] = pd.concat([pd.Series({("seeds", "", ""): len(members)}), spread.stack()])
    table = pd.DataFrame(rows).T
    table.index = pd.MultiIndex.from_tuples(rows, names=[name.replace("_", " ") for name in by])
    return table


def _setting(name: str, value) -> str:
    """A value of a setting as a table shows it."""
    if name == "variant":
        return acrlls.VARIANTS[value].title
    if name == "views" and value is None:
        return "one an epoch"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def paired(first: Run, second: Run, resamples: int = 1000, bins: int = 15) -> pd.DataFrame:
    """``second`` minus ``first`` on the same test images, as in :func:`paired_scores`.

    Raises:
        ValueError: the runs were tested on different images.
    """
    a, b = first.predictions("test"), second.predictions("test")
    if not np.array_equal(a.names, b.names):
        raise ValueError("the runs were tested on different images")
    return paired_scores(a.probabilities, b.probabilities, a.labels, resamples, bins)


def paired_scores(first, second, labels, resamples: int = 1000, bins: int = 15) -> pd.DataFrame:
    """Probabilities ``second`` minus ``first``, each `(n, classes)`: accuracy, NLL and Brier score with a 95 % paired
    bootstrap interval, and the exact McNemar p-value of the accuracies.

    The last row is the part of the Brier score that the bins see as miscalibration, with the 95 % interval of
    :func:`acrlls.calibration.registry.calibration_difference`.
    """
    rows = {}
    for name in ("accuracy", "nll", "brier"):
        interval = calibration.bootstrap(second, labels, name, resamples=resamples, p2=first)
        rows[calibration.METRICS[name].title] = [interval.estimate, interval.low, interval.high, np.nan]
    interval = calibration.calibration_difference(second, labels, first, bins, resamples=resamples)
    rows[MISCALIBRATION] = [interval.estimate, interval.low, interval.high, np.nan]
    right, right_then = first.argmax(axis=1) == labels, second.argmax(axis=1) == labels
    won, differ = int((right_then & ~right).sum()), int((right_then != right).sum())
    rows[calibration.METRICS["accuracy"].title][-1] = mcnemar(won, differ)
    return pd.DataFrame(rows, index=["difference", "low", "high", "McNemar p"]).T


def mcnemar(won: int, differ: int) -> float:
    """Exact two-sided p-value of McNemar's test: ``won`` of the ``differ`` images that exactly one model gets right."""
    return float(binomtest(won, differ).pvalue) if differ else 1.0
