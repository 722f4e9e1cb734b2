"""Synthetic chest radiographs whose true class probabilities are known.

Picture ``i`` is made in three steps, each from its own random stream of ``(seed, i)``:

1. *quantities*: three severities, body size, pose and exposure (``patients.py``);
2. *picture*: a radiograph drawn from the quantities alone, with random detail and grain;
3. *label*: drawn from :func:`eta`, the probabilities that :data:`FORMULA` gives for the quantities.

The picture never sees the label, so ``eta`` is the true probability of each class given the
quantities, and its mean over pictures that a model scores alike is what a calibrated model must
say there.
"""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from acrlls.config import UserError
from acrlls.phantom.anatomy import chest
from acrlls.phantom.board import Board
from acrlls.phantom.film import develop
from acrlls.phantom.findings import SOURCE_PAINTERS, alter, paint_target
from acrlls.phantom.patients import CLASSES, eta, healthy, sample_quantities

_QUANTITIES, _PICTURE, _LABEL, _SOURCE = range(4)  # names of the random streams


class Phantom(NamedTuple):
    """Drawn pictures and everything that is known about them."""

    images: np.ndarray  # (n, size, size) uint8
    labels: np.ndarray  # (n,) int, positions in CLASSES
    eta: np.ndarray  # (n, 4) true probabilities
    lungs: np.ndarray  # (n, size, size) bool
    findings: np.ndarray  # (n, size, size) bool
    quantities: pd.DataFrame  # n rows, a column for each quantity


def draw(n: int, *, seed: int = 0, size: int = 96, first: int = 0) -> Phantom:
    """Draw pictures ``first`` to ``first + n - 1`` of the phantom ``seed``, on all cores.

    Args:
        n: number of pictures.
        seed: which phantom; picture ``i`` depends on ``(seed, i)`` and the size alone.
        size: pixels a side, 32 to 1024. The same anatomy at every size; the grain differs.
        first: index of the first picture, so that a large phantom can be drawn in parts.

    Raises:
        UserError: a value outside its range.
    """
    *rows, quantities = _collect(_draw_one, n, seed, size, first)
    return Phantom(*map(np.stack, rows), pd.DataFrame(quantities, dtype=float))


def source_task(n: int, *, seed: int, size: int = 96):
    """The task on which the shipped backbone is trained: other findings, drawn with the same pen.

    The label is drawn first, every class equally likely, and the picture shows it. No target
    finding occurs.

    Args:
        n, seed, size: as in :func:`draw`.

    Returns:
        images ``(n, size, size)`` uint8, labels ``(n,)`` int, and the names of the classes.
    """
    images, labels = map(np.stack, _collect(_draw_source, n, seed, size, 0))
    return images, labels, tuple(SOURCE_PAINTERS)


def picture(q: SimpleNamespace, rng: np.random.Generator, size: int):
    """Radiograph uint8, lungs bool and findings bool, each ``(size, size)``, of ``q``."""
    board = _board(q, rng, size)
    body = chest(board, q)
    lungs = body.air > 0.4
    paint_target(board, body, q)
    return develop(board, body, q), lungs, lungs & (body.filled > 0.22)


def _board(q: SimpleNamespace, rng: np.random.Generator, size: int) -> Board:
    pose = {name: getattr(q, name) for name in ("tilt", "zoom", "shift_u", "shift_v", "bend")}
    return Board(size, rng, **pose)


def patient(seed: int, index: int) -> tuple[int, np.ndarray, SimpleNamespace]:
    """Label, true probabilities ``(4,)`` and quantities of one patient, without the picture."""
    q = sample_quantities(np.random.default_rng([seed, index, _QUANTITIES]))
    probabilities = eta(vars(q))
    # The inverse of the distribution function: one uniform number a label.
    u = np.random.default_rng([seed, index, _LABEL]).random()
    label = min(int(np.searchsorted(np.cumsum(probabilities), u, side="right")), len(CLASSES) - 1)
    return label, probabilities, q


def _draw_one(seed: int, index: int, size: int):
    label, probabilities, q = patient(seed, index)
    image, lungs, findings = picture(q, np.random.default_rng([seed, index, _PICTURE]), size)
    return image, label, probabilities, lungs, findings, vars(q)


def _draw_source(seed: int, index: int, size: int):
    rng = np.random.default_rng([seed, index, _SOURCE])
    label = int(rng.integers(len(SOURCE_PAINTERS)))
    name, painter = list(SOURCE_PAINTERS.items())[label]
    q = SimpleNamespace(**healthy(rng, child=rng.random() < 0.25))
    alter(name, q, rng)
    board = _board(q, rng, size)
    body = chest(board, q)
    if painter:
        painter(board, body)
    return develop(board, body, q), label


def _collect(one, n: int, seed: int, size: int, first: int) -> list[tuple]:
    """``one(seed, index, size)`` for every index: each of its results as a tuple of ``n``."""
    for name, value, low, high in (
        ("n", n, 1, 10**7),
        ("seed", seed, 0, 2**63 - 1),
        ("size", size, 32, 1024),
        ("first", first, 0, 2**62),
    ):
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole or not low <= value <= high:
            raise UserError(f"{name} is {value!r}; it must be a whole number from {low} to {high}")
    workers = min(os.cpu_count() or 1, n // 100 + 1)
    rows = Parallel(n_jobs=workers, batch_size=25)(
        delayed(one)(seed, index, size) for index in range(first, first + n)
    )
    return list(zip(*rows, strict=True))
