"""Synthetic chest radiographs whose true class probabilities are known.

Picture ``i`` is made in three steps, each from its own random stream of ``(seed, i)``:

1. *quantities*: the physical quantities of :data:`QUANTITIES`: three severities, body size, pose, exposure;
2. *picture*: a radiograph drawn from the quantities alone (``_drawing.py``), with random detail and grain;
3. *label*: drawn from :func:`eta`, the probabilities that :data:`FORMULA` gives for the quantities.

The picture never sees the label, so ``eta`` is the true probability of each class given the quantities, and
its mean over pictures that a model scores alike is what a calibrated model must say there.
"""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from acrlls.config import UserError
from acrlls.phantom import source as _source
from acrlls.phantom.drawing import Board, Chest, F, chest, develop, mix, radiate

CLASSES = ("COVID", "Lung Opacity", "Normal", "Viral Pneumonia")
SOURCE_CLASSES = _source.CLASSES

QUANTITIES = {
    "ground_glass": "severity of bilateral, peripheral, lower ground-glass haze, 0 to 1",
    "consolidation": "severity of one focal consolidation, 0 to 1",
    "interstitial": "severity of diffuse streaks around the hila, 0 to 1",
    "body": "size of the body, 0 a small child to 1 an adult",
    "focus_side": "side of the consolidation, -1 the patient's right, +1 left",
    "focus_depth": "its place from the heart (0) to the chest wall (1)",
    "focus_height": "its place from the apex (0) to the base (1)",
    "focus_radius": "its radius in half sides of the film",
    "width": "relative width of the chest",
    "fat": "thickness of the chest wall, 0 to 1",
    "inspiration": "depth of the breath, 0 to 1",
    "dome": "relative height of the diaphragm's domes",
    "heart": "relative size of the heart",
    "bend": "sideways swing of the spine in half sides",
    "shrug": "height of the shoulders, 0 to 1",
    "bone": "relative density of bone",
    "rib_phase": "place of the ribs within their spacing, 0 to 1",
    "vessels": "relative strength of the lung's vessels",
    "breasts": "attenuation of breast shadows, 0 for none",
    "stomach": "contrast of the air bubble in the stomach, 0 for none",
    "tilt": "rotation of the patient in degrees",
    "zoom": "magnification",
    "shift_u": "displacement to the right in half sides",
    "shift_v": "displacement downwards in half sides",
    "scatter": "share of scattered radiation",
    "grain": "standard deviation of the quantum noise",
    "blur": "standard deviation of the focus blur, pixels at 96 px",
    "black": "attenuation shown black",
    "white": "attenuation shown white",
    "gamma": "exponent of the display",
    "vignette": "loss of light in the corners",
    "marker": "brightness of the lead letter, 0 for none",
    "marker_u": "its place across, -1 to 1",
    "marker_v": "its place down, -1 to 1",
}

# Logits of the four classes: intercept and slopes.  Normal is the reference, at 0.  The slopes were chosen so
# that max(eta), the best possible accuracy, has a mean of about 0.94 and Lung Opacity against Normal is the
# hard pair.
TERMS = {"ground_glass": "g", "consolidation": "c", "interstitial": "s", "body": "b"}
COEFFICIENTS = {
    "COVID": {"intercept": -5.6, "ground_glass": 16.0},
    "Lung Opacity": {"intercept": -4.4, "consolidation": 12.0},
    "Normal": {"intercept": 0.0},
    "Viral Pneumonia": {"intercept": -4.8, "interstitial": 16.0, "body": -3.0},
}
# Shares of the main complaints: solved for, so that the mean of eta is the paper's share of each class
# (17.1, 28.4, 48.1 and 6.4 %).
SHARES = (0.1663, 0.2993, 0.4722, 0.0622)


class Phantom(NamedTuple):
    """Drawn pictures and everything that is known about them."""

    images: np.ndarray  # (n, size, size) uint8
    labels: np.ndarray  # (n,) int, positions in CLASSES
    eta: np.ndarray  # (n, 4) true probabilities
    lungs: np.ndarray  # (n, size, size) bool
    findings: np.ndarray  # (n, size, size) bool
    quantities: pd.DataFrame  # n rows, the columns of QUANTITIES


def draw(
    n: int, *, seed: int = 0, size: int = 96, first: int = 0, workers: int | None = None
) -> Phantom:
    """Draw pictures ``first`` to ``first + n - 1`` of the phantom ``seed``.

    Args:
        n: number of pictures.
        seed: which phantom; picture ``i`` depends on ``(seed, i)`` and the size alone.
        size: pixels a side, 32 to 1024.  The same anatomy at every size; the grain differs.
        first: index of the first picture, so that a large phantom can be drawn in parts.
        workers: processes; ``None`` uses every core, 1 stays in this process.

    Raises:
        UserError: a value outside its range.
    """
    images, labels, probabilities, lungs, findings, rows = _collect(
        _draw_one, n, seed, size, first, workers
    )
    quantities = pd.DataFrame(rows, columns=list(QUANTITIES))
    return Phantom(images, labels, probabilities, lungs, findings, quantities)


def patients(n: int, *, seed: int = 0, first: int = 0, workers: int | None = 1):
    """The same patients as :func:`draw`, without their pictures: more than ten times as fast.

    Returns:
        labels (n,) int, eta (n, 4), and the quantities as a DataFrame of n rows.
    """
    labels, probabilities, rows = _collect(_patient_one, n, seed, 96, first, workers)
    return labels, probabilities, pd.DataFrame(rows, columns=list(QUANTITIES))


def eta(quantities) -> np.ndarray:
    """True class probabilities (n, 4): the softmax of :data:`FORMULA`.

    Args:
        quantities: anything whose ``[name]`` gives the values (n,) of a quantity: a DataFrame, a dictionary.
    """
    size = np.shape(quantities["body"])
    logits = []
    for name in CLASSES:
        z = np.zeros(size)
        for term, value in COEFFICIENTS[name].items():
            z = z + (value if term == "intercept" else value * np.asarray(quantities[term], float))
        logits.append(z)
    z = np.stack(logits, axis=-1)
    z = np.exp(z - z.max(axis=-1, keepdims=True))
    return z / z.sum(axis=-1, keepdims=True)


def source_task(n: int, *, seed: int, size: int = 96, first: int = 0, workers: int | None = None):
    """The task on which the shipped backbone is trained: other findings, drawn with the same pen.

    The label is drawn first, every class as likely, and the picture shows it; no target finding occurs.

    Args:
        n, seed, size, first, workers: as in :func:`draw`.

    Returns:
        images (n, size, size) uint8, labels (n,) int, and :data:`SOURCE_CLASSES`.
    """
    images, labels = _collect(_draw_source, n, seed, size, first, workers)
    return images, labels, SOURCE_CLASSES


def _formula() -> str:
    """The logits as LaTeX, made from the coefficients so that the book cannot fall behind the code."""
    lines = []
    for name in CLASSES:
        text = ""
        for term, value in COEFFICIENTS[name].items():
            symbol = "" if term == "intercept" else rf"\,{TERMS[term]}"
            text += f"{value:+g}{symbol} " if text else f"{value:g}{symbol} "
        lines.append(rf"z_{{\text{{{name}}}}} &= {text.strip()}")
    body = " \\\\\n".join(lines + [r"\eta_k &= \frac{e^{z_k}}{\sum_j e^{z_j}}"])
    return "\\begin{aligned}\n" + body + "\n\\end{aligned}"


FORMULA = _formula()


# --- one picture ---

_QUANTITIES, _PICTURE, _LABEL, _SOURCE = range(4)  # names of the random streams


def _draw_one(seed: int, index: int, size: int):
    label, probabilities, row = _patient_one(seed, index, size)
    q = SimpleNamespace(**dict(zip(QUANTITIES, row)))
    image, lungs, findings = picture(q, np.random.default_rng([seed, index, _PICTURE]), size)
    return image, label, probabilities, lungs, findings, row


def _patient_one(seed: int, index: int, size: int):
    q = sample_quantities(np.random.default_rng([seed, index, _QUANTITIES]))
    probabilities = eta(vars(q))
    # The inverse of the distribution function: one uniform number a label.
    u = np.random.default_rng([seed, index, _LABEL]).random()
    label = min(int(np.searchsorted(np.cumsum(probabilities), u, side="right")), len(CLASSES) - 1)
    return label, probabilities, [float(getattr(q, name)) for name in QUANTITIES]


def sample_quantities(rng: np.random.Generator) -> SimpleNamespace:
    """One patient before one film.

    A patient has one main complaint or none, and a little of everything else.  The complaint is forgotten at
    once: picture and label know the severities only.
    """
    complaint = rng.choice(4, p=np.asarray(SHARES) / sum(SHARES))
    trace = rng.beta(1.1, 6.0, 3) * 0.45
    child = rng.random() < (0.03, 0.04, 0.13, 0.95)[complaint]
    g, c, s = trace
    if complaint == 0:
        g = 0.35 + 0.65 * rng.beta(2.0, 1.6)
    elif complaint == 1:
        c = 0.25 + 0.75 * rng.beta(1.7, 1.3)
    elif complaint == 3:
        s = 0.35 + 0.65 * rng.beta(2.0, 1.4)
    return SimpleNamespace(ground_glass=g, consolidation=c, interstitial=s, **_patient(rng, child))


def _patient(rng: np.random.Generator, child: bool) -> dict:
    """Every quantity but the severities."""
    body = 0.45 * rng.beta(1.5, 2.0) if child else 1 - 0.35 * rng.beta(1.5, 3.0)
    side = 1 if rng.random() < 0.5 else -1
    return {
        "body": body,
        "focus_side": side,
        "focus_depth": rng.uniform(0.15, 0.9),
        "focus_height": rng.uniform(0.25, 0.9),
        "focus_radius": rng.uniform(0.15, 0.27),
        "width": rng.normal(1, 0.05),
        "fat": rng.beta(2, 3),
        "inspiration": rng.beta(3, 2),
        "dome": rng.normal(1, 0.10),
        "heart": rng.normal(1, 0.08),
        "bend": rng.normal(0, 0.012),
        "shrug": rng.random(),
        "bone": rng.normal(1, 0.14),
        "rib_phase": rng.random(),
        "vessels": rng.uniform(0.6, 1.3),
        "breasts": rng.uniform(0.05, 0.16) if body > 0.6 and rng.random() < 0.4 else 0.0,
        "stomach": rng.uniform(0.06, 0.2) if rng.random() < 0.55 else 0.0,
        "tilt": rng.normal(0, 2.5),
        "zoom": rng.normal(mix(1.22, 1.12, body), 0.06),
        "shift_u": rng.normal(0, 0.035),
        "shift_v": rng.normal(0.06, 0.04),
        "scatter": rng.uniform(0.05, 0.28),
        "grain": 0.008 + 0.04 * rng.beta(1.4, 3.0),
        "blur": rng.uniform(0.0, 0.6),
        "black": rng.normal(0.16, 0.05),
        "white": rng.normal(1.12, 0.08),
        "gamma": np.exp(rng.normal(0.0, 0.18)),
        "vignette": rng.uniform(0.0, 0.35),
        "marker": rng.uniform(0.75, 1.0) if rng.random() < 0.6 else 0.0,
        "marker_u": (1 if rng.random() < 0.5 else -1) * rng.uniform(0.78, 0.9),
        "marker_v": rng.uniform(-0.9, -0.7),
    }


def picture(q: SimpleNamespace, rng: np.random.Generator, size: int):
    """Radiograph uint8, lungs bool and findings bool, each (size, size), of the quantities ``q``."""
    board = _board(q, rng, size)
    body = chest(board, q)
    lungs = body.air > 0.4
    _ground_glass(board, body, q)
    _consolidation(board, body, q)
    _interstitial(board, body, q)
    findings = lungs & (body.filled > 0.22)
    return develop(board, body, q), lungs, findings


def _board(q: SimpleNamespace, rng: np.random.Generator, size: int) -> Board:
    return Board(
        size, rng, tilt=q.tilt, zoom=q.zoom, shift_u=q.shift_u, shift_v=q.shift_v, bend=q.bend
    )


# --- the target's findings ---


def _ground_glass(board: Board, body: Chest, q) -> None:
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
    body.fill(F(0.70) * (1 - np.exp(F(-1.2 * q.ground_glass) * haze)))


def _consolidation(board: Board, body: Chest, q) -> None:
    """One dense patch with a ragged border."""
    s = body.shape
    inner = s.middle + 0.10
    u = q.focus_side * (inner + q.focus_depth * (0.85 * s.width - inner))
    v = s.apex + q.focus_height * (s.base - s.apex)
    warp = F(0.28) * board.noise(6) + F(0.12) * board.noise(14)
    a, angle = q.focus_radius, board.rng.uniform(-0.8, 0.8)
    patch = board.ellipse(u, v, a, 1.15 * a, angle=angle, edge=0.16, warp=warp)
    body.fill(
        F(0.95 * q.consolidation) * patch * np.clip(F(0.92) + F(0.14) * board.noise(18), 0, 1.1)
    )


def _interstitial(board: Board, body: Chest, q) -> None:
    """Streaks from the hila and a fine net, in both lungs alike."""
    s = body.shape
    net = np.clip(1 - F(2.0) * np.abs(board.noise(30)), 0, 1)
    net *= np.clip(F(0.8) + F(0.5) * board.noise(6), 0, 2)
    streaks = radiate(board, s, spread=0.34, sharpness=1.4)
    centre = np.exp(
        F(-2.2) * (np.square(board.r - F(s.hilum[0])) + np.square(board.v - F(s.hilum[1])))
    )
    body.fill(F(q.interstitial) * centre * (F(0.62) * streaks + F(0.34) * net + F(0.08)))


# --- the source task ---


def _draw_source(seed: int, index: int, size: int):
    rng = np.random.default_rng([seed, index, _SOURCE])
    label = int(rng.integers(len(SOURCE_CLASSES)))
    name = SOURCE_CLASSES[label]
    q = SimpleNamespace(**_patient(rng, child=rng.random() < 0.25))
    _source.alter(name, q, rng)
    board = _board(q, rng, size)
    body = chest(board, q)
    _source.paint(name, board, body)
    return develop(board, body, q), label


# --- many pictures ---


def _collect(
    one, n: int, seed: int, size: int, first: int, workers: int | None
) -> list[np.ndarray]:
    """Run ``one(seed, index, size)`` for every index and stack each of its results."""
    for name, value, low, high in (
        ("n", n, 1, 10_000_000),
        ("seed", seed, 0, 2**63 - 1),
        ("size", size, 32, 1024),
        ("first", first, 0, 2**62),
        ("workers", 1 if workers is None else workers, 1, 1024),
    ):
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, np.integer))
            or not low <= value <= high
        ):
            raise UserError(f"{name} is {value!r}; it must be a whole number from {low} to {high}")
    workers = min(workers or os.cpu_count() or 1, n // 100 + 1)
    if workers == 1:
        parts = [_chunk(one, seed, first, first + n, size)]
    else:
        edges = np.linspace(first, first + n, 4 * workers + 1).astype(int).tolist()
        parts = Parallel(n_jobs=workers)(
            delayed(_chunk)(one, seed, a, b, size) for a, b in zip(edges[:-1], edges[1:])
        )
    return [np.concatenate(column) for column in zip(*parts)]


def _chunk(one, seed: int, start: int, stop: int, size: int) -> list[np.ndarray]:
    return [np.stack(column) for column in zip(*(one(seed, i, size) for i in range(start, stop)))]
