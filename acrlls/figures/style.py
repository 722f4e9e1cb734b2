"""One look for every figure of the book: restrained, colour-blind-safe, legible at 700 px."""

from __future__ import annotations

import contextlib
import functools

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap

# By position of the class: Okabe and Ito's colours, apart for every common kind of colour vision.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#B8528F", "#E69F00", "#56B4E9", "#7A6A00", "#555555")
INK, MUTED, FAINT = "#222222", "#6B6B6B", "#E3E3E3"
ACCENT = "#1B4F8A"
WRONG = "#B2182B"
SEQUENTIAL = LinearSegmentedColormap.from_list(
    "acrlls", ["#FFFFFF", "#D6E4F2", "#8DB7DC", "#3B7BB5", "#12406F"]
)

WIDTH = 7.0  # inches: 700 px at 100 dpi, drawn at twice that for sharp screens

STYLE = {
    "axes.edgecolor": "#8A8A8A",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "figure.dpi": 150,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "image.cmap": "gray",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "savefig.dpi": 200,
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.color": MUTED,
    "ytick.labelsize": 8.5,
}


@contextlib.contextmanager
def style():
    """Context manager in which figures take the look of the book: ``with plots.style(): …``."""
    try:
        with plt.rc_context(STYLE):
            try:
                yield
            finally:
                interactive = plt.isinteractive()
    finally:
        # A notebook's backend sets this at the first figure.  Restored with the rest it would hide all later ones.
        matplotlib.interactive(interactive)


def styled(function):
    """Draws with :data:`STYLE`, whatever the reader's own settings are."""

    @functools.wraps(function)
    def inside(*args, **kwargs):
        with style():
            return function(*args, **kwargs)

    return inside


def colour(k: int) -> str:
    """Colour of class ``k``."""
    return COLOURS[k % len(COLOURS)]


def spread(values, gap: float) -> np.ndarray:
    """Positions near ``values`` and in their order, at least ``gap`` apart, so that labels do not overlap."""
    values = np.asarray(values, float)
    order = values.argsort(kind="stable")
    steps = gap * np.arange(len(values))
    # Least squares under "at least gap apart" is isotonic regression once the gaps are taken out.
    blocks: list[list[float]] = []
    for v in values[order] - steps:
        blocks.append([v, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, n), (b, m) = blocks[-2:]
            blocks[-2:] = [[(a * n + b * m) / (n + m), n + m]]
    placed = np.empty(len(values))
    placed[order] = np.repeat([b[0] for b in blocks], [int(b[1]) for b in blocks]) + steps
    return placed


def bare(ax) -> None:
    """No ticks and no frame: for pictures."""
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
