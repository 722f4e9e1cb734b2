"""The paper's whole job, scaled down, side by side: in plain Keras and through the feature bank.

The plain side is what a good Keras user writes: ``fit`` on a ``PyDataset`` that decodes and
augments. Both sides take the same images, seeds, views, order and BatchNormalization setting;
validation, prediction and the filling of the bank count. Every part of each side runs in a process
of its own, so that its peak memory is its own.

The plain side has TensorFlow as it is installed, the bank's side switches its faster kernels on
(:mod:`acrlls.backend`). What plain Keras gains by the same switch is measured on its first variant.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from acrlls.backend import environment_as_found
from acrlls.bench import cost
from acrlls.config import Config, UserError
from acrlls.data import Dataset, load_data, split_of
from acrlls.store import digest

VARIANTS = ("baseline", "single_dense", "proposed")
SIDES = ("plain", "bank")
PARTS = ("grid", "phase 1", "phase 2 frozen", "phase 2 update")


@dataclass(frozen=True)
class Task:
    """What is timed: settings, how many images, and how many grid points the plain side trains.

    Its other grid points would take as long, so its time for the grid is scaled up to all of them.
    """

    config: Config
    images: int = 1000
    plain_points: int = 2

    def dataset(self) -> Dataset:
        """The first stratified draw of ``images`` images; all of them where there are no more."""
        whole = load_data(self.config)
        return whole if self.images >= len(whole) else _Sample(whole, self.images)

    def of_part(self, part: str) -> list[Config]:
        """The runs of one of :data:`PARTS`."""
        c = self.config.replace(variant="proposed", patience=None)
        if part == "grid":
            c = c.replace(phase1_epochs=c.grid_epochs, phase2_epochs=0)
            return [c.replace(alpha=alpha, tau=tau) for alpha in c.grid_alpha for tau in c.grid_tau]
        change = {"phase2_epochs": 0} if part == "phase 1" else {"batchnorm": part.split()[-1]}
        return [c.replace(variant=variant, **change) for variant in VARIANTS]


class _Sample(Dataset):
    """Some images of a dataset, stratified, always the same ones."""

    def __init__(self, whole: Dataset, n: int):
        from sklearn.model_selection import train_test_split

        rows = np.arange(len(whole))
        rows, _ = train_test_split(rows, train_size=n, stratify=whole.labels, random_state=0)
        self.whole, self.rows = whole, np.sort(rows)
        fingerprint = digest(whole.fingerprint, self.rows.tobytes())
        names, labels = whole.names[self.rows], whole.labels[self.rows]
        super().__init__(whole.class_names, names, labels, fingerprint)

    def image(self, i):
        return self.whole.image(self.rows[i])


def bench(task: Task, output: Path, say=print) -> None:
    """Time every part on both sides and record ``bench.json`` and ``epochs.csv`` in ``output``.

    Raises:
        UserError: a part failed; the message ends with what it wrote.
    """
    train = len(split_of(task.dataset(), task.config).train)  # a folder is checked when first seen
    say(f"{task.images} images, {train} to train on", flush=True)
    found = {}
    with tempfile.TemporaryDirectory(prefix="acrlls-bench-") as folder:
        note = {**vars(task), "config": task.config.as_dict()}
        (Path(folder) / "task.json").write_text(json.dumps(note))
        sides = [f"{side} {part}" for part in PARTS for side in SIDES]
        tuned = [f"tuned {part}" for part in PARTS[1:]]  # the grid's epochs are Phase 1's
        for name in ("machine", *sides, *tuned):
            start = time.perf_counter()
            found[name] = _in_a_process(Path(folder), name)
            say(f"{name:<20} {time.perf_counter() - start:6.0f} s", flush=True)
    settings = task.config.as_dict()
    for name in ("data", "backbone", "profile"):  # names, not paths
        settings[name] = Path(str(settings[name])).name
    result = {
        "config": settings,
        "images": task.images,
        "train": train,
        "grid_points": len(task.of_part("grid")),
        "plain_points": task.plain_points,
        "machine": found["machine"],
        "parts": [_speed(found, side, part, train) for part in PARTS for side in SIDES],
        "agreement": {part: _agreement(found, part) for part in ("grid", "phase 1")},
    }
    output.mkdir(parents=True, exist_ok=True)
    _epochs(found, train).to_csv(output / "epochs.csv", index=False, float_format="%.7g")
    (output / "bench.json").write_text(json.dumps(result, indent=1) + "\n")


def _in_a_process(folder: Path, name: str) -> dict:
    command = [sys.executable, "-m", "acrlls.bench.parts", str(folder), name]
    done = subprocess.run(command, capture_output=True, text=True, env=environment_as_found())
    if (status := done.returncode) != 0:
        raise UserError(f"the part {name!r} failed with status {status}:\n{done.stderr[-2000:]}")
    return json.loads((folder / f"{name}.json").read_text())


def _rows(found: dict, side: str, part: str) -> list[list[dict]]:
    """The epochs of each run that belong to a part; the bank's Phase 2 went through Phase 1 too."""
    number = 2 if part.startswith("phase 2") else 1
    histories = found[f"{side} {part}"]["histories"]
    return [[row for row in run if row["phase"] == number] for run in histories]


def _speed(found: dict, side: str, part: str, train: int) -> dict:
    """Seconds, images a second and peak memory of a part on one side."""
    done, before = found[f"{side} {part}"], {}
    if side == "bank" and part.startswith("phase 2"):
        before = found["bank phase 1"]
    times = {what: done[what] - before.get(what, 0) for what in ("seconds", "cpu_seconds")}
    passes = sum(map(len, _rows(found, "bank", part)))  # plain Keras is scaled up to as many
    speed, memory = passes * train / times["seconds"], done["peak_bytes"] / 1e9
    return {"part": part, "side": side, **times, "images_per_second": speed, "peak_gb": memory}


def _agreement(found: dict, part: str) -> float:
    """Largest relative difference of the sides' validation losses, over runs and epochs of both."""
    both = zip(_rows(found, "plain", part), _rows(found, "bank", part), strict=False)
    losses = [(a["val_loss"], b["val_loss"]) for runs in both for a, b in zip(*runs, strict=True)]
    return max(abs(b / a - 1) for a, b in losses)


def _epochs(found: dict, train: int) -> pd.DataFrame:
    """Every epoch as a row: side, part, run, train (images), epoch, seconds."""
    rows = [
        ({"tuned": cost.TUNED}.get(side, side), part, k, train, row["epoch"], row["seconds"])
        for side, _, part in (name.partition(" ") for name in found if name != "machine")
        for k, run in enumerate(_rows(found, side, part))
        for row in run
    ]
    return pd.DataFrame(rows, columns=["side", "part", "run", "train", "epoch", "seconds"])


def load(folder: str | Path) -> tuple[dict, pd.DataFrame]:
    """A recorded benchmark: what ``bench.json`` says, and its epochs."""
    folder = Path(folder)
    return json.loads((folder / "bench.json").read_text()), pd.read_csv(folder / "epochs.csv")
