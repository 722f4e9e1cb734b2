"""A healthy chest as attenuation of X-rays.

Attenuation is in units in which a thick chest wall is about 1. Findings take air away from the
lungs (:attr:`Chest.filled`) or add matter (:attr:`Chest.tissue`).
"""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from scipy.ndimage import map_coordinates

from acrlls.phantom.board import Board, F, mix, rounded, step


@dataclass
class Chest:
    """What lies between tube and film; arrays ``(size, size)``."""

    tissue: np.ndarray  # attenuation of everything but air
    air: np.ndarray  # share of a full lung's air, 0 to 1
    vessels: np.ndarray  # attenuation of the lung's own vessels, hidden where air is replaced
    filled: np.ndarray  # share of that air which findings have replaced, 0 to 1
    shape: SimpleNamespace  # named lengths of this body, for placing findings

    def fill(self, share) -> None:
        """Replace a further share of what air is left."""
        self.filled = 1 - (1 - self.filled) * (1 - np.clip(share, 0, 1))


def chest(board: Board, q) -> Chest:
    """A healthy chest of the quantities ``q`` (see ``patients.py``)."""
    s = _shape(q)
    lateral, medial = _lung_edges(board, s)
    dome = _diaphragm(board, s)
    inside = step(lateral - board.r, 0.05) * step(board.r - medial, 0.07)
    inside *= step(dome - board.v, 0.05)
    heart = _heart(board, s)
    air = inside * (1 - F(0.85) * heart) * (1 - F(0.25) * step(board.v - dome + F(0.14), 0.30))
    air *= F(0.80) + F(0.20) * np.sqrt(np.clip((lateral - board.r) / F(0.30), 0, 1))

    tissue = _trunk(board, s, q)
    within = step(_trunk_width(board.v, s) - board.r, 0.05)
    below = step(board.v - dome, 0.06) * step(lateral + F(0.10) - board.r, 0.16)
    tissue += F(0.20) * below * within + F(0.05) * heart
    middle = step(medial + F(0.02) - board.r, 0.14) * (1 - F(0.7) * step(board.v - dome, 0.25))
    tissue += F(0.13) * middle * within
    bones = _spine(board, s) + _ribs(board, s, lateral, dome, q) + _shoulders(board, s, q)
    tissue += bones * within
    tissue -= F(0.10) * _airway(board, s)
    if q.breasts > 0:
        tissue += F(q.breasts) * _breasts(board, s)
    if q.stomach > 0:
        bubble = board.ellipse(0.6 * s.width, s.dome_left + 0.15, 0.16, 0.08, angle=0.2, edge=0.05)
        tissue -= F(q.stomach) * bubble * below
    tissue += F(0.030) * board.noise(7) * within
    return Chest(tissue, air, _vessels(board, s, q) * air, np.zeros_like(air), s)


def _shape(q) -> SimpleNamespace:
    """Lengths of a body in half sides of the film."""
    b = q.body
    width = mix(0.50, 0.62, b) * q.width
    base = mix(0.60, 0.56, b) + 0.12 * (q.inspiration - 0.5)
    rise = mix(0.16, 0.20, b) * q.dome
    return SimpleNamespace(
        body=b,
        width=width,
        trunk=mix(width + 0.10, width + 0.17 + 0.10 * q.fat, b),
        apex=mix(-0.78, -0.70, b),
        base=base,
        rise=rise,
        dome_right=base - rise - 0.06,
        dome_left=base - rise,
        heart=mix(0.28, 0.25, b) * q.heart,
        hilum=(0.19 * width / 0.6, mix(-0.06, -0.04, b)),
        middle=mix(0.105, 0.100, b),
    )


def _lung_edges(board: Board, s):
    """Outer and inner edge of the lungs, as distances from the midline."""
    h = np.clip((board.v - F(s.apex)) / F(s.base - s.apex), 0, 1)
    roof = np.sqrt(np.clip(1 - (1 - h) ** 4, 0, 1))
    tip = F(0.50 * s.width)
    lateral = tip + (F(s.width) - tip) * roof * (1 - F(0.05) * h**4) * (F(0.86) + F(0.14) * h)
    medial = tip - (tip - F(s.middle)) * np.sqrt(roof) + F(0.05) * h**3
    return lateral, medial


def _diaphragm(board: Board, s) -> np.ndarray:
    """Height of the two domes above each point."""
    across = np.clip((board.r - F(0.42 * s.width)) / F(0.58 * s.width), -0.25, 1.3)
    dome = F(s.base) - F(s.rise) * (1 - across * across)
    return dome - F(0.06) * step(-board.u, 0.25)


def _heart(board: Board, s) -> np.ndarray:
    """Shadow of heart and great vessels, 0 to 1: solid bodies, so thinner at their borders."""
    h, floor = s.heart, s.dome_left + 0.05
    left = _solid(board, 0.50 * h, floor - 0.72 * h, 1.25 * h, 0.84 * h, angle=0.62)
    right = _solid(board, -0.28 * h, floor - 0.95 * h, 0.62 * h, 0.95 * h)
    outflow = _solid(board, 0.06, floor - 1.75 * h, 0.125, 0.85 * h, angle=-0.22)
    knob = _solid(board, 0.085, mix(-0.30, -0.34, s.body), mix(0.05, 0.080, s.body), 0.085)
    vein = _solid(board, -0.055, -0.30, mix(0.085, 0.075, s.body), 0.36)
    return np.sqrt(np.max([left, right, outflow, knob, vein], axis=0))


def _solid(board: Board, u, v, a, b, angle=0.0) -> np.ndarray:
    """Squared thickness of an ellipsoid, 0 to 1."""
    du, dv = board.around(u, v, angle)
    du, dv = du / F(a), dv / F(b)
    return np.clip((1 - du * du - dv * dv) * F(1.3), 0, 1)


def _trunk_width(v, s):
    """Half width of neck, shoulders and trunk at height ``v``."""
    t = s.trunk
    shoulder = mix(-0.72, -0.62, s.body)
    below_shoulder = (-0.16, -0.04, 0.10, 0.32, 0.5)
    heights = (-1.6, -1.05, *(shoulder + d for d in below_shoulder), 0.9, 1.6)
    reach = mix(t + 0.10, t + 0.42, s.body)
    widths = (0.22, 0.22, 0.25, 0.60, reach, reach - 0.06, t + 0.01, t - 0.02, t + 0.02)
    height, width = rounded(np.column_stack([heights, widths])).T
    return np.interp(v, height, width).astype(F)


def _trunk(board: Board, s, q) -> np.ndarray:
    """Soft tissue of neck, shoulders, chest wall and belly."""
    w = _trunk_width(board.v, s)
    t = np.clip(1 - np.square(board.r / w), 0, 1)
    thick = np.sqrt(np.sqrt(t)) * (F(0.68) + F(0.16 * q.fat) + F(0.08) * board.v)
    neck = step(F(-0.70) - board.v, 0.30)
    return thick * (1 - F(0.18) * neck)


def _spine(board: Board, s) -> np.ndarray:
    """Vertebral column with its discs and the row of spinous processes."""
    pitch = mix(0.105, 0.125, s.body)
    disc = F(0.5) + F(0.5) * np.cos(board.v * F(2 * np.pi / pitch))
    column = step(F(mix(0.062, 0.072, s.body)) - board.r, 0.06)
    column *= 1 - F(0.4) * step(board.v - F(s.dome_left), 0.3)
    process = step(F(0.016) - board.r, 0.02) * disc
    return F(0.10) * column * (1 - F(0.45) * disc**3) + F(0.035) * process


def _ribs(board: Board, s, lateral, dome, q) -> np.ndarray:
    """Posterior ribs, which fall outwards, and anterior ribs, which fall inwards."""
    r, v = board.r, board.v
    pitch = mix(0.135, 0.150, s.body)
    slope = F(mix(0.28, 0.52, s.body)) * (F(0.85) + F(0.35) * v) / F(s.width / 0.6)
    cage = step(lateral + F(0.035) - r, 0.04) * step(v - F(s.apex + 0.02), 0.06)
    cage *= 1 - F(0.75) * step(v - dome - F(0.02), 0.12)
    phase = F(q.rib_phase * pitch)
    back = _band(v - slope * r * r + phase, pitch * (1 + 0.10 * s.body), mix(0.042, 0.050, s.body))
    front = _band(v + F(mix(0.42, 0.72, s.body)) * r + phase + F(0.05), pitch * 1.22, 0.050)
    front *= step(r - F(0.52 * s.width), 0.20) * step(v - F(s.apex + 0.22), 0.2)
    end_on = step(F(0.022) - np.abs(r - lateral - F(0.012)), 0.03)  # along the chest wall
    bands = back * step(r - F(0.06), 0.05) * (1 + F(0.25) * end_on) + F(0.60) * front
    return F(0.115 * q.bone) * bands * cage


def _band(position, pitch, thickness) -> np.ndarray:
    """Periodic stripes with brighter borders, as cortical bone has."""
    phase = position / F(pitch)
    off = np.abs(phase - np.round(phase)) * F(pitch) - F(thickness / 2)
    return F(0.8) * step(-off, 0.020) + F(0.35) * step(F(0.010) - np.abs(off), 0.02)


def _shoulders(board: Board, s, q) -> np.ndarray:
    """Clavicles, shoulder blades and the heads of the upper arms."""
    r, v = board.r, board.v
    top = s.apex + mix(0.12, 0.16, s.body) + 0.10 * (q.shrug - 0.5)
    reach = s.width + mix(0.04, 0.16, s.body)
    t = np.clip(r / F(reach), 0, 1.2)
    course = F(top) - F(mix(0.05, 0.10, s.body)) * t + F(0.035) * np.sin(F(5.0) * t)
    edge = np.abs(v - course) - (F(0.021) + F(0.012) * np.square(t - F(0.5)) * 4)
    clavicle = F(0.75) * step(-edge, 0.02) + F(0.35) * step(F(0.008) - np.abs(edge), 0.018)
    clavicle *= step(r - F(0.075), 0.03) * step(F(reach) - r, 0.05)
    blade_u, blade_v = s.width * 0.98 + 0.06, s.apex + 0.40
    bones = F(0.20) * clavicle
    for side in (-1, 1):
        blade = board.ellipse(side * blade_u, blade_v, 0.10, 0.27, angle=-side * 0.25, edge=0.05)
        head = board.ellipse(side * (reach + 0.09), top - 0.01, 0.085, 0.10, edge=0.04)
        bones += F(0.05) * blade + F(0.13) * head
    return F(q.bone) * bones


def _airway(board: Board, s) -> np.ndarray:
    """Windpipe down to its fork."""
    fork = F(-0.20)
    d = np.abs(board.r - np.clip(board.v - fork, 0, 0.14))
    return step(F(0.034) - d, 0.025) * step(fork + F(0.13) - board.v, 0.06)


def _breasts(board: Board, s) -> np.ndarray:
    """Soft shadows over the lower chest, sharp below."""
    u, v = 0.64 * s.width, s.base - 0.36
    right, left = (board.ellipse(side * u, v, 0.29, 0.26, edge=0.05) for side in (-1, 1))
    return (right + left) * np.clip(F(0.45) + (board.v - F(v)) / F(0.5), 0.05, 1)


def _vessels(board: Board, s, q) -> np.ndarray:
    """Branching vessels and their roots at the hila."""
    du, dv = board.r - F(s.hilum[0] + 0.01), board.v - F(s.hilum[1])
    root = np.exp(F(-0.5) * (np.square(du / F(0.055)) + np.square(dv / F(0.10))))
    root *= np.clip(F(0.75) + F(0.35) * board.noise(16), 0, 2)
    return F(q.vessels) * (
        F(0.115) * radiate(board, s, spread=0.27, sharpness=1.1) + F(0.09) * root
    )


def radiate(board: Board, s, spread: float, sharpness: float) -> np.ndarray:
    """Random streaks from both hila outwards, 0 to about 1, fading with distance ``spread``.

    A table of random numbers by direction and distance is laid around each hilum: numbers that last
    over distance make streaks, fresh ones make them begin and end, and a drift of the direction
    bends them.
    """
    du, dv = board.r - F(s.hilum[0] * 0.6), board.v - F(s.hilum[1])
    distance = np.sqrt(du * du + F(0.8) * dv * dv)
    turns = np.arctan2(dv, du) * F(1 / (2 * np.pi)) + F(0.012) * board.noise(11)
    spokes, rings = 40, 10
    table = board.rng.standard_normal((2, rings, spokes))
    table = table + 0.8 * board.rng.standard_normal((2, 1, spokes))
    table = table.reshape(2 * rings, spokes).astype(F)
    ring = np.minimum(distance * F(11), F(rings - 1)) + np.where(board.left, F(rings), F(0))
    streaks = map_coordinates(table, (ring, turns * F(spokes)), order=1, mode="grid-wrap")
    streaks = np.clip((streaks - F(0.2)) * F(sharpness), 0, 1.3)
    return np.exp(-np.square(distance / F(2 * spread))) * streaks * step(distance - F(0.11), 0.12)
