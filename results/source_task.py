"""The task on which the shipped backbone is trained: other findings, drawn with the phantom's pen.

None of its findings is one of the phantom's.  ``backbone.py`` trains on it.
"""

import itertools
from types import SimpleNamespace

import numpy as np
from joblib import Parallel, delayed

from acrlls.phantom.anatomy import Chest, chest
from acrlls.phantom.board import Board, F, rounded, step
from acrlls.phantom.patients import healthy
from acrlls.phantom.phantom import develop


def source_task(n: int, *, seed: int, size: int = 96):
    """Images ``(n, size, size)`` uint8, labels ``(n,)`` int, and the names of the classes.

    The label is drawn first, every class equally likely, and the picture shows it.
    """
    drawn = Parallel(n_jobs=-1, batch_size=25)(delayed(_draw)(seed, i, size) for i in range(n))
    images, labels = map(np.stack, zip(*drawn, strict=True))
    return images, labels, tuple(SOURCE_PAINTERS)


def _draw(seed: int, index: int, size: int):
    rng = np.random.default_rng([seed, index, 3])  # the phantom has the streams 0 to 2
    label = int(rng.integers(len(SOURCE_PAINTERS)))
    name, painter = list(SOURCE_PAINTERS.items())[label]
    q = SimpleNamespace(**healthy(rng, child=rng.random() < 0.25))
    _alter(name, q, rng)
    board = Board(size, rng, q)
    body = chest(board, q)
    if painter:
        painter(board, body)
    return develop(board, body, q), label


def _alter(name: str, q, rng: np.random.Generator) -> None:
    """Change a healthy patient's quantities where a source finding is one of size or shape."""
    if name == "Cardiomegaly":
        q.heart = rng.uniform(1.35, 1.75)
    elif name == "Scoliosis":
        q.bend = rng.choice((-1, 1)) * rng.uniform(0.07, 0.15)
    elif name == "Hyperinflation":
        q.inspiration, q.dome = rng.uniform(1.2, 1.7), rng.uniform(0.15, 0.45)
        q.heart = 0.85 * q.heart


def _lung_point(board: Board, s, side: int) -> tuple[float, float]:
    """A random place well inside a lung."""
    u = side * (s.middle + 0.12 + board.rng.uniform(0.1, 0.8) * (0.85 * s.width - s.middle - 0.12))
    return u, s.apex + board.rng.uniform(0.28, 0.72) * (s.base - s.apex)


def _effusion(board: Board, body: Chest) -> None:
    """Fluid at the base of one lung, rising towards the wall."""
    s, rng = body.shape, board.rng
    side = rng.choice((-1, 1))
    level = s.base - rng.uniform(0.16, 0.45)
    surface = F(level) - F(0.22) * np.clip(board.r / F(s.width) - F(0.45), 0, 1) ** 2 * 4
    fluid = step(board.v - surface, 0.09) * (board.u * side > 0)
    body.fill(F(rng.uniform(0.8, 1.0)) * fluid)


def _pneumothorax(board: Board, body: Chest) -> None:
    """Air outside a shrunken lung: black and without vessels, behind a fine line."""
    s, rng = body.shape, board.rng
    side = rng.choice((-1, 1))
    here = (board.u * side > 0).astype(F)
    u, v = side * (s.middle + 0.21 * s.width), s.apex + 0.62 * (s.base - s.apex)
    a, b = rng.uniform(0.46, 0.66) * s.width, rng.uniform(0.55, 0.72)
    lung = board.ellipse(u, v, a, b, edge=0.03) * here
    rim = lung - board.ellipse(u, v, a - 0.022, b - 0.022, edge=0.03) * here
    body.vessels *= 1 - (here - lung)
    body.tissue += F(0.10) * rim * body.air
    body.air *= 1 + F(0.22) * (here - lung) - F(0.16) * lung


def _pacemaker(board: Board, body: Chest) -> None:
    """A metal box under one clavicle and its lead to the heart."""
    s, rng = body.shape, board.rng
    side = rng.choice((-1, 1))
    u, v = side * (s.width * rng.uniform(0.62, 0.92)), s.apex + rng.uniform(0.16, 0.34)
    box = board.ellipse(u, v, 0.095, 0.075, angle=rng.uniform(-0.5, 0.5), edge=0.02)
    tip = (rng.uniform(0.08, 0.28), s.dome_left - rng.uniform(0.02, 0.12))
    lead = [(u, v - 0.05), (side * 0.22, s.apex + 0.12), (-0.05, -0.32), (-0.10, 0.05), tip]
    body.tissue += F(0.55) * np.maximum(box, F(0.75) * _line(board, lead, 0.014))


def _line(board: Board, points, width: float) -> np.ndarray:
    """Smooth line along ``points`` [(u, v), ...] of the given width, values 0 to 1."""
    nearest = np.full(board.u.shape, 9, F)
    for (u0, v0), (u1, v1) in itertools.pairwise(rounded(points)):
        (u, v), du, dv = board.around(u0, v0), u1 - u0, v1 - v0
        t = np.clip((u * F(du) + v * F(dv)) / F(du * du + dv * dv), 0, 1)
        nearest = np.minimum(nearest, np.hypot(u - t * F(du), v - t * F(dv)))
    return step(F(width / 2) - nearest, 0.012)


def _nodule(board: Board, body: Chest) -> None:
    """One or two sharp round shadows."""
    for _ in range(board.rng.integers(1, 3)):
        u, v = _lung_point(board, body.shape, board.rng.choice((-1, 1)))
        density, radius = board.rng.uniform(0.20, 0.34), board.rng.uniform(0.045, 0.085)
        body.tissue += F(density) * board.ellipse(u, v, radius, radius, edge=0.03)


def _cavity(board: Board, body: Chest) -> None:
    """A ring with air in it."""
    u, v = _lung_point(board, body.shape, board.rng.choice((-1, 1)))
    a = board.rng.uniform(0.10, 0.17)
    warp = F(0.10) * board.noise(6)
    outer, inner = (board.ellipse(u, v, k * a, k * a, edge=0.04, warp=warp) for k in (1, 0.62))
    ring = outer - inner
    body.fill(F(board.rng.uniform(0.6, 0.9)) * np.clip(ring, 0, 1))


def _miliary(board: Board, body: Chest) -> None:
    """Seeds everywhere in both lungs."""
    seeds = np.clip(board.noise(42) - F(0.7), 0, 1.2)
    body.fill(F(board.rng.uniform(0.30, 0.55)) * seeds)


# What the classes of the source task show; None is for a clear film and for findings of shape.
SOURCE_PAINTERS = {
    "Clear": None,
    "Effusion": _effusion,
    "Pneumothorax": _pneumothorax,
    "Cardiomegaly": None,
    "Pacemaker": _pacemaker,
    "Nodule": _nodule,
    "Cavity": _cavity,
    "Miliary": _miliary,
    "Scoliosis": None,
    "Hyperinflation": None,
}
