"""Patients: their physical quantities, drawn at random, and the true class probabilities."""

from types import SimpleNamespace

import numpy as np
from scipy.special import softmax

from acrlls.phantom.board import mix

CLASSES = ("COVID", "Lung Opacity", "Normal", "Viral Pneumonia")
TERMS = {"ground_glass": "g", "consolidation": "c", "interstitial": "s", "body": "b"}
# Logits of the four classes: intercept, and slopes of the terms, Normal the reference at 0. The
# slopes were chosen so that max(eta), the best possible accuracy, has a mean of about 0.94 and that
# Lung Opacity against Normal is the hard pair.
COEFFICIENTS = {
    "COVID": (-5.6, 16.0, 0, 0, 0),
    "Lung Opacity": (-4.4, 0, 12.0, 0, 0),
    "Normal": (0, 0, 0, 0, 0),
    "Viral Pneumonia": (-4.8, 0, 0, 16.0, -3.0),
}
# Shares of the main complaints, chosen so that the mean of eta is the paper's share of each class:
# 17.1, 28.4, 48.1 and 6.4 %.
SHARES = (0.1663, 0.2993, 0.4722, 0.0622)


def eta(quantities) -> np.ndarray:
    """True class probabilities ``(n, 4)`` in the order of :data:`CLASSES` from quantities, a
    DataFrame or a dictionary whose ``[name]`` gives the values ``(n,)``."""
    terms = [1.0, *(np.asarray(quantities[name], float) for name in TERMS)]
    rows = COEFFICIENTS.values()
    z = [sum(value * x for value, x in zip(row, terms, strict=True)) for row in rows]
    return softmax(np.stack(z, axis=-1), axis=-1)


def _formula() -> str:
    """The logits as LaTeX, made from the coefficients so that the book follows the code."""
    symbols, lines = ["", *(rf"\,{symbol}" for symbol in TERMS.values())], []
    for name, row in COEFFICIENTS.items():
        terms = [f"{value:+g}{s}" for value, s in zip(row, symbols, strict=True) if value]
        lines.append(rf"z_{{\text{{{name}}}}} &= {' '.join(terms) or '0'}")
    body = " \\\\\n".join([*lines, r"\eta_k &= \frac{e^{z_k}}{\sum_j e^{z_j}}"])
    return "\\begin{aligned}\n" + body + "\n\\end{aligned}"


FORMULA = _formula()


def sample_quantities(rng: np.random.Generator) -> SimpleNamespace:
    """The quantities of one patient before one film: severities, body, pose and exposure.

    A patient has one main complaint or none, and a little of everything else. Picture and label
    depend on the severities, not on the complaint itself.
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
    severities = {
        "ground_glass": g,  # severity of bilateral, peripheral, lower ground-glass haze, 0 to 1
        "consolidation": c,  # severity of one focal consolidation, 0 to 1
        "interstitial": s,  # severity of diffuse streaks around the hila, 0 to 1
    }
    return SimpleNamespace(**severities, **healthy(rng, child))


def healthy(rng: np.random.Generator, child: bool) -> dict[str, float]:
    """Every quantity but the severities; the lines stand in the order of the random numbers."""
    body = 0.45 * rng.beta(1.5, 2.0) if child else 1 - 0.35 * rng.beta(1.5, 3.0)
    return {
        "body": body,  # size of the body, 0 a small child to 1 an adult
        "focus_side": _side(rng),  # side of the consolidation, -1 the patient's right, +1 left
        "focus_depth": rng.uniform(0.15, 0.9),  # its place from the heart (0) to the wall (1)
        "focus_height": rng.uniform(0.25, 0.9),  # its place from the apex (0) to the base (1)
        "focus_radius": rng.uniform(0.15, 0.27),  # in half sides of the film
        "width": rng.normal(1, 0.05),  # relative width of the chest
        "fat": rng.beta(2, 3),  # thickness of the chest wall, 0 to 1
        "inspiration": rng.beta(3, 2),  # depth of the breath, 0 to 1
        "dome": rng.normal(1, 0.10),  # relative height of the diaphragm's domes
        "heart": rng.normal(1, 0.08),  # relative size of the heart
        "bend": rng.normal(0, 0.012),  # sideways swing of the spine in half sides
        "shrug": rng.random(),  # height of the shoulders, 0 to 1
        "bone": rng.normal(1, 0.14),  # relative density of bone
        "rib_phase": rng.random(),  # place of the ribs within their spacing, 0 to 1
        "vessels": rng.uniform(0.6, 1.3),  # relative strength of the lung's vessels
        # attenuation of breast shadows and contrast of the stomach's air bubble, 0 for none
        "breasts": rng.uniform(0.05, 0.16) if body > 0.6 and rng.random() < 0.4 else 0.0,
        "stomach": rng.uniform(0.06, 0.2) if rng.random() < 0.55 else 0.0,
        "tilt": rng.normal(0, 2.5),  # rotation of the patient in degrees
        "zoom": rng.normal(mix(1.22, 1.12, body), 0.06),  # magnification
        "shift_u": rng.normal(0, 0.035),  # displacement to the right in half sides
        "shift_v": rng.normal(0.06, 0.04),  # displacement downwards in half sides
        "scatter": rng.uniform(0.05, 0.28),  # share of scattered radiation
        "grain": 0.008 + 0.04 * rng.beta(1.4, 3.0),  # standard deviation of the quantum noise
        "blur": rng.uniform(0.0, 0.6),  # standard deviation of the focus blur, pixels at 96 px
        "black": rng.normal(0.16, 0.05),  # attenuation shown black
        "white": rng.normal(1.12, 0.08),  # attenuation shown white
        "gamma": np.exp(rng.normal(0.0, 0.18)),  # exponent of the display
        "vignette": rng.uniform(0.0, 0.35),  # loss of light in the corners
        "marker": rng.uniform(0.75, 1.0) if rng.random() < 0.6 else 0.0,  # lead letter, 0: none
        "marker_u": _side(rng) * rng.uniform(0.78, 0.9),  # its place across, -1 to 1
        "marker_v": rng.uniform(-0.9, -0.7),  # its place down, -1 to 1
    }


def _side(rng: np.random.Generator) -> int:
    return 1 if rng.random() < 0.5 else -1
