"""What the job costs: multiply-adds counted from the model, and seconds of the whole job from the measured parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

VARIANTS = 3  # Baseline, Single Dense, Proposed
TUNED = (
    "plain, oneDNN"  # plain Keras with the kernels of TensorFlow that the bank's side switches on
)


@dataclass(frozen=True)
class Job:
    """The size of a job; the defaults are the paper's (Sections II-D and III)."""

    train: int = 14_814
    grid_points: int = 16
    grid_epochs: int = 10
    phase1_epochs: int = 30
    phase2_epochs: int = 50

    @property
    def shared_views(self) -> int:
        """How many views both the grid and Phase 1 see."""
        return min(self.grid_epochs, self.phase1_epochs)


def multiply_adds(layer) -> int:
    """Multiply-adds of a Keras layer for one image: convolutions and dense layers, the rest counts as nothing."""
    import keras

    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return int(np.prod(layer.output.shape[1:]) * np.prod(layer.kernel.shape[:2]))
    if isinstance(layer, keras.layers.Conv2D):
        return int(np.prod(layer.output.shape[1:3]) * np.prod(layer.kernel.shape))
    if isinstance(layer, keras.layers.Dense):
        return int(np.prod(layer.kernel.shape))
    return 0


def step_multiply_adds(layers) -> int:
    """Multiply-adds of one image's training step through some layers in order.

    Forward through all; a gradient of its kernel for each layer that learns; a gradient of its input for each layer
    after the first that learns.  Each costs as much as the forward pass of the layer.
    """
    total, learning = 0, False
    for layer in layers:
        count = multiply_adds(layer)
        trains = bool(layer.trainable_weights)
        total += count * (1 + trains + learning)
        learning = learning or trains
    return total


def rates(epochs: pd.DataFrame, head_seconds: float | None = None) -> pd.Series:
    """Seconds for one training image and epoch, its share of validation included, from the epochs of a benchmark.

    The first epoch of a run, which compiles, is left out; the rest is summed up by medians.  Views are filled by the
    run that comes first, so the filling is what its epochs take more than the others'.

    Args:
        epochs: columns side, part, run, epoch, train (images), seconds.
        head_seconds: for an image and epoch of the head through the bank, if it was measured apart.

    Returns:
        By (side, what): for each side, ``"phase 1"``, ``"phase 2 frozen"``, ``"phase 2 update"``; for ``"bank"`` also
        ``"fill pool"`` and ``"fill cut"``.
    """
    steady = epochs[epochs.epoch > 1].assign(each=lambda t: t.seconds / t.train)
    found = {}
    for (side, part), rows in steady[steady.part != "grid"].groupby(["side", "part"], sort=False):
        others = rows[rows.run > 0] if side == "bank" else rows
        found[side, part] = others.each.median()
        if side == "bank":
            filling = rows[rows.run == 0].each.median() - others.each.median()
            found.setdefault(
                ("bank", "fill pool" if part == "phase 1" else "fill cut"), max(filling, 0.0)
            )
    if head_seconds is not None:
        found["bank", "phase 1"] = head_seconds
    return pd.Series(found)


def project(rate: pd.Series, job: Job, batchnorm: str = "frozen") -> pd.DataFrame:
    """Seconds of a job by part (grid, Phase 1, Phase 2, whole job) in plain Keras and through the bank.

    A fresh view every epoch, shared by grid points and by variants.  The views of the grid are the first ones of Phase 1
    too, so that the whole job, its parts' sum otherwise, fills them once.  Building and compiling are left out, on both
    sides.

    Returns:
        Columns ``plain``, ``bank`` and their ``ratio``; where the rates have :data:`TUNED`, its seconds and ratio too.
    """
    n, second = job.train, f"phase 2 {batchnorm}"
    head, suffix = ("phase 1", second)
    trainings = {
        "grid": (job.grid_points, job.grid_epochs, head, "fill pool"),
        "Phase 1": (VARIANTS, job.phase1_epochs, head, "fill pool"),
        "Phase 2": (VARIANTS, job.phase2_epochs, suffix, "fill cut"),
    }
    plain = [side for side in ("plain", TUNED) if (side, head) in rate]
    rows = {
        part: {
            **{side: runs * epochs * n * rate[side, what] for side in plain},
            "bank": n * epochs * (runs * rate["bank", what] + rate["bank", fill]),
        }
        for part, (runs, epochs, what, fill) in trainings.items()
    }
    table = pd.DataFrame(rows).T
    table.loc["whole job"] = table.sum()
    table.loc["whole job", "bank"] -= n * job.shared_views * rate["bank", "fill pool"]
    table = (
        table[["plain", "bank"]]
        .assign(ratio=table.plain / table.bank)
        .join(table.drop(columns=["plain", "bank"]))
    )
    return table.assign(**{f"ratio, {side}": table[side] / table.bank for side in plain[1:]})


def arithmetic(counts: dict[str, int], job: Job) -> pd.Series:
    """Floating-point operations of each part through the bank, two a multiply-add.

    Args:
        counts: multiply-adds an image: ``"frozen forward"``, ``"cut forward"`` (up to Phase 2's cut), ``"head step"``,
            ``"suffix step"``.
    """
    n = job.train
    parts = {
        "grid": job.grid_epochs
        * (counts["frozen forward"] + job.grid_points * counts["head step"]),
        "Phase 1": job.phase1_epochs * (counts["frozen forward"] + VARIANTS * counts["head step"]),
        "Phase 2": job.phase2_epochs * (counts["cut forward"] + VARIANTS * counts["suffix step"]),
    }
    flops = pd.Series(parts, dtype=float) * 2 * n
    flops["whole job"] = flops.sum() - job.shared_views * counts["frozen forward"] * 2 * n
    return flops


def growth(rate: pd.Series, batchnorm: str = "frozen") -> dict[str, pd.DataFrame]:
    """Hours of the whole job (columns plain, bank) by what is turned, the rest as in the paper."""
    paper = Job()

    def hours(**changes):
        return (
            project(rate, Job(**{**vars(paper), **changes}), batchnorm).loc[
                "whole job", ["plain", "bank"]
            ]
            / 3600
        )

    images, factors, points = (
        np.geomspace(500, 50_000, 9).round(),
        np.geomspace(0.1, 2, 9),
        np.array([1, 2, 4, 8, 16, 32, 64]),
    )
    names = ("grid_epochs", "phase1_epochs", "phase2_epochs")
    return {
        "training images": pd.DataFrame({n: hours(train=n) for n in images}).T,
        "epochs, relative to the paper's": pd.DataFrame(
            {f: hours(**{name: f * getattr(paper, name) for name in names}) for f in factors}
        ).T,
        "grid points": pd.DataFrame({k: hours(grid_points=k) for k in points}).T,
    }
