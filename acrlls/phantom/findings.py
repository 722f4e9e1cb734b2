"""The three findings of the phantom's classes."""

import numpy as np

from acrlls.phantom.anatomy import Chest, radiate
from acrlls.phantom.board import Board, F


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
