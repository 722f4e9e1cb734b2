"""What the whole job costs, projected from the measured parts."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

VARIANTS = 3  # Baseline, Single Dense, Proposed
TUNED = "plain, oneDNN"  # plain Keras with the kernels that the bank's side switches on


@dataclass(frozen=True)
class Job:
    """The size of a job; the defaults are the paper's (Sections II-D and III)."""

    train: int = 14_814
    grid_points: int = 16
    grid_epochs: int = 10
    phase1_epochs: int = 30
    phase2_epochs: int = 50


def rates(epochs: pd.DataFrame, head_seconds: float | None = None) -> pd.Series:
    """Seconds for one training image and epoch, with its share of validation.

    The first epoch of a run, which compiles, is left out; of the rest the median counts. Views are
    filled by the run that comes first, so the filling is what its epochs take more than the
    others'.

    Args:
        epochs: columns side, part, run, epoch, train (images), seconds; from :func:`load`.
        head_seconds: for an image and epoch of the head through the bank, if it was measured apart.

    Returns:
        By (side, what): ``"phase 1"``, ``"phase 2 frozen"`` and ``"phase 2 update"`` of each side;
        of ``"bank"`` also ``"fill pool"`` and ``"fill cut"``.
    """
    steady = epochs[(epochs.epoch > 1) & (epochs.part != "grid")]
    each, found = steady.seconds / steady.train, {}
    for (side, part), rows in each.groupby([steady.side, steady.part], sort=False):
        fills = (side == "bank") & (steady.run[rows.index] == 0)
        found[side, part] = rows[~fills].median()
        if side == "bank":
            filling = max(rows[fills].median() - found[side, part], 0.0)
            found.setdefault(("bank", "fill pool" if part == "phase 1" else "fill cut"), filling)
    if head_seconds is not None:
        found["bank", "phase 1"] = head_seconds
    return pd.Series(found)


def project(rate: pd.Series, job: Job, batchnorm: str = "frozen") -> pd.DataFrame:
    """Seconds of a job by part: grid, Phase 1, Phase 2, whole job.

    A fresh view every epoch, shared by grid points and by variants. The grid's views are the first
    ones of Phase 1 too, so the whole job, otherwise its parts' sum, fills them once. Building and
    compiling are left out on both sides.

    Returns:
        Columns ``plain``, ``bank`` and their ``ratio``; where the rates have :data:`TUNED`, its
        seconds and ratio too.
    """
    n = job.train
    trainings = {
        "grid": (job.grid_points, job.grid_epochs, "phase 1", "fill pool"),
        "Phase 1": (VARIANTS, job.phase1_epochs, "phase 1", "fill pool"),
        "Phase 2": (VARIANTS, job.phase2_epochs, f"phase 2 {batchnorm}", "fill cut"),
    }
    rows = {}
    for part, (runs, epochs, what, fill) in trainings.items():
        row = {side: runs * rate[side, what] for side in ("plain", "bank", TUNED) if side in rate}
        row["bank"] += rate["bank", fill]
        rows[part] = pd.Series(row) * n * epochs
    table = pd.DataFrame(rows).T
    table.loc["whole job"] = table.sum()
    shared = min(job.grid_epochs, job.phase1_epochs)
    table.loc["whole job", "bank"] -= n * shared * rate["bank", "fill pool"]
    table.insert(2, "ratio", table.plain / table.bank)
    return table.assign(**{f"ratio, {s}": table[s] / table.bank for s in table if s == TUNED})
