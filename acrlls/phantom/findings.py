"""Findings: three of the target task, and those of the source task that trains the backbone.

None of the source's findings is one of the target's.
"""

import numpy as np

from acrlls.phantom.anatomy import Chest, radiate
from acrlls.phantom.board import Board, F, step


def paint_target(board: Board, body: Chest, q) -> None:
    """Draw the three findings of the target task with the severities of ``q``."""
    _ground_glass(board, body, q.ground_glass)
    _consolidation(board, body, q)
    _interstitial(board, body, q.interstitial)


def _ground_glass(board: Board, body: Chest, severity: float) -> None:
    """Hazy patches in both lungs, near the wall, most in the lower half."""
    s, rng = body.shape, board.rng
    haze = np.zeros_like(body.air)
    for side in (-1, 1):
        places = rng.uniform((0.62, 0.38, 0.10, 0.12, 0.7), (0.98, 0.97, 0.17, 0.22, 1.2), (4, 5))
        places[0, 1] = rng.uniform(0.7, 0.95)  # one always low
        for depth, height, a, b, weight in places:
            v = s.apex + height * (s.base - s.apex)
            haze += F(weight) * board.blob(side * depth * s.width, v, a, b)
    haze *= np.clip(1 + F(0.35) * board.noise(9) + F(0.25) * board.noise(20), 0.1, 2)
    body.fill(F(0.70) * (1 - np.exp(F(-1.2 * severity) * haze)))


def _consolidation(board: Board, body: Chest, q) -> None:
    """One dense patch with a ragged border."""
    s = body.shape
    inner = s.middle + 0.10
    u = q.focus_side * (inner + q.focus_depth * (0.85 * s.width - inner))
    v = s.apex + q.focus_height * (s.base - s.apex)
    warp = F(0.28) * board.noise(6) + F(0.12) * board.noise(14)
    a, angle = q.focus_radius, board.rng.uniform(-0.8, 0.8)
    patch = board.ellipse(u, v, a, 1.15 * a, angle=angle, edge=0.16, warp=warp)
    grain = np.clip(F(0.92) + F(0.14) * board.noise(18), 0, 1.1)
    body.fill(F(0.95 * q.consolidation) * patch * grain)


def _interstitial(board: Board, body: Chest, severity: float) -> None:
    """Streaks from the hila and a fine net, in both lungs alike."""
    s = body.shape
    net = np.clip(1 - F(2.0) * np.abs(board.noise(30)), 0, 1)
    net *= np.clip(F(0.8) + F(0.5) * board.noise(6), 0, 2)
    streaks = radiate(board, s, spread=0.34, sharpness=1.4)
    distance = np.square(board.r - F(s.hilum[0])) + np.square(board.v - F(s.hilum[1]))
    centre = np.exp(F(-2.2) * distance)
    body.fill(F(severity) * centre * (F(0.62) * streaks + F(0.34) * net + F(0.08)))


def alter(name: str, q, rng: np.random.Generator) -> None:
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
    body.tissue += F(0.55) * np.maximum(box, F(0.75) * board.line(lead, 0.014))


def _nodule(board: Board, body: Chest) -> None:
    """One or two sharp round shadows."""
    for _ in range(board.rng.integers(1, 3)):
        u, v = _lung_point(board, body.shape, board.rng.choice((-1, 1)))
        density, radius = board.rng.uniform(0.20, 0.34), board.rng.uniform(0.045, 0.085)
        body.tissue += F(density) * board.ellipse(u, v, radius, edge=0.03)


def _cavity(board: Board, body: Chest) -> None:
    """A ring with air in it."""
    u, v = _lung_point(board, body.shape, board.rng.choice((-1, 1)))
    a = board.rng.uniform(0.10, 0.17)
    warp = F(0.10) * board.noise(6)
    outer, inner = (board.ellipse(u, v, k * a, edge=0.04, warp=warp) for k in (1, 0.62))
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
