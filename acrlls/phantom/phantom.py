"""Synthetic chest radiographs whose true class probabilities are known.

Picture ``i`` is made in three steps, each from its own random stream of ``(seed, i)``:

1. *quantities*: three severities, body size, pose and exposure (``patients.py``);
2. *picture*: a radiograph drawn from the quantities alone, with random detail and grain;
3. *label*: drawn from :func:`eta`, the probabilities that :data:`FORMULA` gives for the quantities.

The picture never sees the label, so ``eta`` is the true probability of each class given the
quantities, and its mean over pictures that a model scores alike is what a calibrated model must
say there.
"""

import os
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.ndimage import gaussian_filter

from acrlls.config import UserError
from acrlls.phantom.anatomy import Chest, chest
from acrlls.phantom.board import Board, F
from acrlls.phantom.findings import paint_target
from acrlls.phantom.patients import CLASSES, eta, sample_quantities

_QUANTITIES, _PICTURE, _LABEL = range(3)  # names of the random streams


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

    Picture ``i`` depends on ``(seed, i)`` and the size alone, so a large phantom can be drawn in
    parts.  ``size`` is in pixels a side, 32 to 1024: the same anatomy at every size, another grain.
    Raises ``UserError`` for a value outside its range.
    """
    for name, value, low, high in (
        ("n", n, 1, 10**7),
        ("seed", seed, 0, 2**63 - 1),
        ("size", size, 32, 1024),
        ("first", first, 0, 2**62),
    ):
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole or not low <= value <= high:
            raise UserError(f"{name} is {value!r}; it must be a whole number from {low} to {high}")
    each = Parallel(n_jobs=min(os.cpu_count() or 1, n // 100 + 1), batch_size=25)
    drawn = each(delayed(_draw_one)(seed, index, size) for index in range(first, first + n))
    *rows, quantities = zip(*drawn, strict=True)
    return Phantom(*map(np.stack, rows), pd.DataFrame(quantities, dtype=float))


def picture(q: SimpleNamespace, rng: np.random.Generator, size: int):
    """Radiograph uint8, lungs bool and findings bool, each ``(size, size)``, of ``q``."""
    board = Board(size, rng, q)
    body = chest(board, q)
    lungs = body.air > 0.4
    paint_target(board, body, q)
    return develop(board, body, q), lungs, lungs & (body.filled > 0.22)


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


# --- The film that a chest leaves: scatter, grain, blur, exposure and a lead letter -------------

AIR = 0.50  # attenuation that a full lung takes off the chest
GLYPHS = {"R": ("110", "101", "110", "101", "101"), "L": ("100", "100", "100", "100", "111")}


def develop(board: Board, body: Chest, q) -> np.ndarray:
    """Grey values ``(size, size)`` uint8 of a chest."""
    attenuation = body.tissue - (F(AIR) * body.air - body.vessels) * (1 - body.filled)
    attenuation = np.maximum(attenuation, 0)
    attenuation += F(q.scatter) * (_spread(attenuation) - attenuation)
    grain = board.rng.standard_normal(attenuation.shape, dtype=F) * F(q.grain)
    film = attenuation + grain * (F(0.35) + attenuation)
    if q.blur > 0:
        film = gaussian_filter(film, q.blur * board.size / 96, mode="nearest", truncate=2.5)
    film = (film - F(q.black)) / F(q.white - q.black)
    film = np.clip(film, 0, None)
    film = film / np.sqrt(np.sqrt(1 + film**4)) * F(1.04)  # a shoulder instead of a hard white
    film = np.clip(film, 0, 1) ** F(q.gamma)
    film *= 1 - F(q.vignette) * np.square(board.x * board.x + board.y * board.y) / 4
    if q.marker > 0:
        _marker(board, film, q)
    return np.round(film * 255).clip(0, 255).astype(np.uint8)


def _spread(picture) -> np.ndarray:
    """Blur of about a twelfth of the side, most of it on every fourth pixel, where it is cheap."""
    size = len(picture)
    coarse = gaussian_filter(picture[::4, ::4], size / 48, mode="nearest")
    fine = np.repeat(np.repeat(coarse, 4, 0), 4, 1)[:size, :size]
    return gaussian_filter(fine, size / 40, mode="nearest")


def _marker(board: Board, film, q) -> None:
    """Lay the side's lead letter on the film; a pixel in which a stroke ends is covered in part."""
    glyph = GLYPHS["L" if q.marker_u > 0 else "R"]
    letter = np.array([[int(bit) for bit in line] for line in glyph], F)
    rows = _coverage(board.size, q.marker_v - 0.065, 0.026, 5)
    columns = _coverage(board.size, q.marker_u - 0.035, 0.024, 3)
    ink = rows @ letter @ columns.T
    film += (F(q.marker) - film) * ink


def _coverage(size: int, start: float, width: float, cells: int) -> np.ndarray:
    """Share of each pixel (rows) in each of ``cells`` neighbouring intervals (columns)."""
    edges = np.arange(size + 1) / size * 2 - 1
    low = np.maximum(edges[:-1, None], start + width * np.arange(cells))
    high = np.minimum(edges[1:, None], start + width * np.arange(1, cells + 1))
    return ((high - low).clip(0) * size / 2).astype(F)
