"""The film that a chest leaves: scatter, grain, blur, exposure and a lead letter."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from acrlls.phantom.anatomy import Chest
from acrlls.phantom.board import Board, F

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
