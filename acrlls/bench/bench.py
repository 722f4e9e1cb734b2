"""The paper's whole job, scaled down, side by side: in plain Keras and through the bank (``acrlls bench``).

The plain side is what a good Keras user writes: ``fit`` on a ``PyDataset`` that decodes and augments
(:func:`acrlls.data.batch`), with the number of workers that serves it best.  Both sides take the same images, seeds,
views, order and BatchNormalization setting; validation, prediction and the filling of the bank count.  Every part of
each side runs in a process of its own, so that its peak memory is its own.

The plain side has TensorFlow as it is installed, the bank's side switches its faster kernels on (``acrlls.backend``).
What plain Keras gains by the same switch is measured on its first variant.
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

from acrlls import data
from acrlls.backend import environment_as_found
from acrlls.bench import cost
from acrlls.config import Config, UserError
from acrlls.store import digest

VARIANTS = ("baseline", "single_dense", "proposed")
SIDES = ("plain", "bank")
PARTS = ("grid", "phase 1", "phase 2 frozen", "phase 2 update")


@dataclass(frozen=True)
class Task:
    """What is benchmarked: settings, how many images, and how many grid points the plain side trains of all.

    The plain side's other grid points would take as long as these; its time for the grid is scaled up to all points.
    """

    config: Config
    images: int = 1000
    plain_points: int = 2
    workers: tuple[int, ...] = (1, 2, 4)
    seeds: tuple[int, ...] = (
        1,
        2,
    )  # further seeds, whose spread is the yardstick of the final loss

    def dataset(self) -> data.Dataset:
        """The first stratified draw of ``images`` images."""
        whole = data.load_data(self.config)
        return sample(whole, self.images)

    def grid(self) -> list[Config]:
        c = self.config.replace(
            variant="proposed",
            phase1_epochs=self.config.grid_epochs,
            phase2_epochs=0,
            patience=None,
        )
        return [c.replace(alpha=alpha, tau=tau) for alpha in c.grid_alpha for tau in c.grid_tau]

    def of_part(self, part: str) -> list[Config]:
        """The runs of one of the parts."""
        if part == "grid":
            return self.grid()
        return self.variants(
            **({"phase2_epochs": 0} if part == "phase 1" else {"batchnorm": part.split()[-1]})
        )

    def variants(self, **changes) -> list[Config]:
        return [self.config.replace(variant=v, patience=None, **changes) for v in VARIANTS]


def sample(dataset: data.Dataset, n: int) -> data.Dataset:
    """``n`` images of a data set, stratified, always the same ones; all where it has no more."""
    return dataset if n >= len(dataset) else _Sample(dataset, n)


class _Sample(data.Dataset):
    def __init__(self, whole: data.Dataset, n: int):
        from sklearn.model_selection import train_test_split

        rows, _ = train_test_split(
            np.arange(len(whole)), train_size=n, stratify=whole.labels, random_state=0
        )
        self.whole, self.rows = whole, np.sort(rows)
        super().__init__(
            whole.class_names,
            whole.names[self.rows],
            whole.labels[self.rows],
            digest(whole.fingerprint, self.rows.tobytes()),
        )

    def image(self, i):
        return self.whole.image(self.rows[i])


def bench(task: Task, output: Path, say=print) -> None:
    """Run every part on both sides, print the tables, and record ``bench.json`` and ``epochs.csv`` in ``output``.

    Raises:
        UserError: a part failed; the message ends with what it wrote.
    """
    n = len(
        task.dataset()
    )  # before anything is timed: a folder's images are checked when it is first seen
    say(
        f"{n} images, {len(task.grid())} grid points ({task.plain_points} in plain Keras), {task.config.phase1_epochs} + "
        f"{task.config.phase2_epochs} epochs",
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="acrlls-bench-") as folder:
        folder = Path(folder)
        (folder / "task.json").write_text(
            json.dumps({**vars(task), "config": task.config.as_dict()})
        )
        found = {}
        sides = [f"{side} {part}" for part in PARTS for side in SIDES]
        for name in (
            "machine",
            "plain workers",
            *sides,
            "tuned plain",
            "bank seeds",
            "plain noise",
            "exactness",
            "metrics",
        ):
            start = time.perf_counter()
            found[name] = _in_a_process(folder, name)
            say(f"{name:<22} {time.perf_counter() - start:6.0f} s", flush=True)
    result, epochs = _summary(task, found)
    output.mkdir(parents=True, exist_ok=True)
    epochs.to_csv(output / "epochs.csv", index=False, float_format="%.7g")
    (output / "bench.json").write_text(json.dumps(result, indent=1) + "\n")
    for title, table in tables(result, epochs).items():
        say(
            f"\n{title}\n{table.to_string(float_format=lambda v: f'{v:,.3g}' if abs(v) < 100 else f'{v:,.0f}')}",
            flush=True,
        )


def _in_a_process(folder: Path, name: str) -> dict:
    command = [sys.executable, "-m", "acrlls.bench.parts", str(folder), name]
    done = subprocess.run(command, capture_output=True, text=True, env=environment_as_found())
    if done.returncode:
        raise UserError(
            f"the part {name!r} failed with status {done.returncode}:\n{done.stderr[-2000:]}"
        )
    return json.loads((folder / f"{name}.json").read_text())


def _summary(task: Task, found: dict) -> tuple[dict, pd.DataFrame]:
    """What is recorded of the parts' results, without paths, and every epoch as a table."""
    train = len(data.split_of(task.dataset(), task.config).train)
    parts, epochs, agreement = [], [], []
    for part in PARTS:
        number = 2 if part.startswith("phase 2") else 1
        done = {side: found[f"{side} {part}"] for side in SIDES}
        rows = {
            s: [[r for r in run if r["phase"] == number] for run in done[s]["histories"]]
            for s in SIDES
        }
        passes = sum(map(len, rows["bank"]))
        for side in SIDES:
            seconds, cpu = (done[side][what] for what in ("seconds", "cpu_seconds"))
            if side == "bank" and number == 2:  # it went through both phases
                seconds -= found["bank phase 1"]["seconds"]
                cpu -= found["bank phase 1"]["cpu_seconds"]
            parts.append(
                {
                    "part": part,
                    "side": side,
                    "seconds": seconds,
                    "cpu_seconds": cpu,
                    "images_per_second": passes * train / seconds,
                    "peak_gb": done[side]["peak_bytes"] / 1e9,
                }
            )
            epochs += [
                {
                    "side": side,
                    "part": part,
                    "run": k,
                    "train": train,
                    **{what: r[what] for what in ("epoch", "seconds", "val_loss")},
                }
                for k, run in enumerate(rows[side])
                for r in run
            ]
        tuned = found["tuned plain"]["histories"].get(part, [])
        epochs += [
            {
                "side": cost.TUNED,
                "part": part,
                "run": 0,
                "train": train,
                **{what: r[what] for what in ("epoch", "seconds", "val_loss")},
            }
            for r in tuned
        ]
        shared = len(rows["plain"])  # of the grid, plain Keras trained the first points
        plain, bank = (
            np.array([[r["val_loss"] for r in run] for run in rows[s][:shared]]) for s in SIDES
        )
        a, b = (np.array(done[s]["logits"][:shared]) for s in SIDES)
        agreement.append(
            {
                "part": part,
                "validation_loss": float(np.abs(bank / plain - 1).max()),
                "test_logits": float(np.linalg.norm(b - a) / np.linalg.norm(a)),
            }
        )
    proposed = {side: found[f"{side} phase 2 frozen"]["histories"][-1] for side in SIDES}
    final = {
        **{side: run[-1]["val_loss"] for side, run in proposed.items()},
        "plain_moved_by_rounding": found["plain noise"]["history"][-1]["val_loss"],
        "bank_other_seeds": [run[-1]["val_loss"] for run in found["bank seeds"]["histories"]],
    }
    settings = task.config.as_dict()
    for name in ("data", "backbone", "profile"):  # names, not paths
        settings[name] = Path(str(settings[name])).name
    return {
        "config": settings,
        "images": task.images,
        "train": train,
        "grid_points": len(task.grid()),
        "plain_points": task.plain_points,
        "machine": found["machine"],
        "workers": found["plain workers"],
        "parts": parts,
        "agreement": agreement,
        "final_loss": final,
        "exactness": found["exactness"],
        "metrics": found["metrics"],
    }, pd.DataFrame(epochs)


def load(folder: str | Path) -> tuple[dict, pd.DataFrame]:
    """A recorded benchmark: what ``bench.json`` says, and its epochs."""
    folder = Path(folder)
    return json.loads((folder / "bench.json").read_text()), pd.read_csv(folder / "epochs.csv")


def tables(result: dict, epochs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The tables of a benchmark by title: what was measured, agreement, exactness, metrics, and the whole job."""
    parts = pd.DataFrame(result["parts"]).pivot(index="part", columns="side").loc[list(PARTS)]
    measured = pd.DataFrame(
        {
            **{
                (column, side): parts[column, side]
                for column in ("seconds", "images_per_second", "peak_gb")
                for side in SIDES
            },
            ("ratio", "of seconds"): parts["seconds", "plain"] / parts["seconds", "bank"],
            ("ratio", "of CPU time"): parts["cpu_seconds", "plain"] / parts["cpu_seconds", "bank"],
        }
    )
    steps = {bn: result["exactness"][f"first_step_{bn}"] for bn in ("frozen", "update")}
    metrics = pd.DataFrame(result["metrics"]["seconds"]).pivot(
        index="metric", columns="by", values="seconds"
    )
    rate = cost.rates(epochs, result["machine"]["head_seconds"])
    timed = [bn for bn in steps if f"phase 2 {bn}" in PARTS]
    whole = {f"BatchNorm {bn}": cost.project(rate, cost.Job(), bn) for bn in timed}
    whole = {
        name: t / [1 if c.startswith("ratio") else 3600 for c in t] for name, t in whole.items()
    }
    return {
        "Measured": measured,
        "Bank beside plain Keras, relative difference": pd.DataFrame(result["agreement"]).set_index(
            "part"
        ),
        "First step of Phase 2, relative difference": pd.DataFrame(steps),
        f"Metrics of {result['metrics']['n']:,} x 4 probabilities, seconds": metrics,
        "The whole job at the paper's size, hours": pd.concat(whole, axis=1),
    }
