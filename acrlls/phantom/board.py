"""The phantom's drawing board: coordinates, soft shapes and random textures of one film.

Everything is a function of continuous coordinates with soft edges, so a picture needs no
supersampling and looks the same at any size. ``u`` runs from the patient's right (-1, left of the
film) to the left (+1), ``v`` from head (-1) to foot (+1). Lengths are in half sides of the film.
"""

from functools import lru_cache

import numpy as np

F = np.float32


class Board:
    """Coordinates of one film of ``size`` pixels a side, and random textures that do not depend on
    it: the calls of ``rng`` are the same at every size, up to the film's grain.  The pose is that
    of the quantities ``q``, whose ``bend`` of the spine everything follows.
    """

    def __init__(self, size: int, rng, q):
        self.size, self.rng = size, rng
        self.x, self.y = _grid(size)
        angle = np.deg2rad(q.tilt)
        cos, sin = F(np.cos(angle) / q.zoom), F(np.sin(angle) / q.zoom)
        x, y = self.x - F(q.shift_u), self.y - F(q.shift_v)
        self.u = cos * x + sin * y
        self.v = cos * y - sin * x
        self.u = self.u - F(q.bend) * np.sin(F(2.6) * (self.v + F(0.15)))
        self.r = np.abs(self.u)
        self.left = self.u > 0  # the patient's left, right of the film

    def noise(self, cells: int) -> np.ndarray:
        """Smooth random field, mean 0 and variance about 1, with ``cells`` bumps a side."""
        basis = _spline_basis(self.size, cells)
        table = self.rng.standard_normal((basis.shape[1], basis.shape[1])).astype(F)
        return basis @ table @ basis.T

    def ellipse(self, u, v, a, b, angle=0.0, edge=0.03, warp=None) -> np.ndarray:
        """Filled ellipse, values 0 to 1; ``warp`` (size, size) bends its soft border."""
        du, dv = self.around(u, v, angle)
        distance = np.sqrt(np.square(du / F(a)) + np.square(dv / F(b)))
        if warp is not None:
            distance = distance + warp
        return step((1 - distance) * F(min(a, b)), edge)

    def around(self, u, v, angle=0.0) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates from the origin (u, v), turned by ``angle`` (radians)."""
        du, dv, cos, sin = self.u - F(u), self.v - F(v), F(np.cos(angle)), F(np.sin(angle))
        return cos * du + sin * dv, cos * dv - sin * du

    def blob(self, u, v, a, b) -> np.ndarray:
        """Gaussian spot of standard deviations ``a`` and ``b``, 1 at its centre."""
        du, dv = self.around(u, v)
        return np.exp(F(-0.5) * (np.square(du / F(a)) + np.square(dv / F(b))))


def step(distance, edge) -> np.ndarray:
    """0 outside, 1 inside, a cubic ramp of width ``edge`` across distance 0."""
    t = np.clip(distance / F(edge) + F(0.5), 0, 1)
    return t * t * (3 - 2 * t)


def rounded(points) -> np.ndarray:
    """A polyline (m, 2) with its corners cut twice (Chaikin's scheme); the ends stay."""
    points = np.asarray(points, float)
    for _ in range(2):
        a, b = points[:-1], points[1:]
        cut = np.stack([0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b], axis=1).reshape(-1, 2)
        points = np.concatenate([points[:1], cut[1:-1], points[-1:]])
    return points


def mix(child: float, adult: float, body: float) -> float:
    """A length between a small child's (``body`` 0) and an adult's (``body`` 1)."""
    return child + (adult - child) * body


@lru_cache(maxsize=8)
def _grid(size: int):
    centres = ((np.arange(size) + 0.5) / size * 2 - 1).astype(F)
    return centres[None, :], centres[:, None]


@lru_cache(maxsize=64)
def _spline_basis(size: int, cells: int) -> np.ndarray:
    """Uniform cubic B-splines over [-1, 1]; normal coefficients give a variance of about 1."""
    x = (np.arange(size) + 0.5) / size * cells
    t = np.abs(x[:, None] - np.arange(-1, cells + 2)[None, :])
    basis = np.where(t < 1, 2 / 3 - t**2 + t**3 / 2, np.where(t < 2, (2 - t).clip(0) ** 3 / 6, 0))
    return (basis / np.sqrt(np.mean(np.sum(basis**2, axis=1)))).astype(F)
