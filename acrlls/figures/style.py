"""One look for every figure of the book: colour-blind safe, legible at 700 px."""

import contextlib
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import rc_params_from_file
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

INK, MUTED, FAINT, BAND = "#222222", "#6B6B6B", "#E3E3E3", "#D5D5D5"
ACCENT = "#1B4F8A"
WRONG = "#B2182B"
SEQUENTIAL = LinearSegmentedColormap.from_list(
    "acrlls", ["#FFFFFF", "#D6E4F2", "#8DB7DC", "#3B7BB5", "#12406F"]
)
DASHES = (0, (4, 2))
WIDTH = 7.0  # inches: 700 px at 100 dpi
NARROW = 4.6  # of a figure that a phone shows without scrolling
MOST = 12  # classes that a figure has room for

# What figures take on under :func:`style`.
LOOK = rc_params_from_file(Path(__file__).with_name("book.mplstyle"), use_default_template=False)
COLOURS = LOOK["axes.prop_cycle"].by_key()["color"]  # of the classes, by position


@contextlib.contextmanager
def style():
    """Under this, as a context or decorator, figures take the look of the book."""
    # Not rc_context: it would undo what a notebook's backend sets at its first figure.
    before = {name: plt.rcParams[name] for name in LOOK}
    plt.rcParams.update(LOOK)
    try:
        yield
    finally:
        plt.rcParams.update(before)


def colour(k: int) -> str:
    return COLOURS[k % len(COLOURS)]


def panels(count: int, columns: int, height: float, pictures: bool = False, **how) -> np.ndarray:
    """New axes for small multiples, ``(count,)``, ``height`` inches a row; the rest of the last row
    stays empty, and there is hardly any space between ``pictures``."""
    rows = -(-count // columns)
    how |= {"figsize": (WIDTH, rows * height), "squeeze": False}
    figure, grid = plt.subplots(rows, columns, **how)
    grid = grid.ravel()
    if pictures:
        figure.get_layout_engine().set(w_pad=0.015, h_pad=0.015, wspace=0.01, hspace=0)
    for ax in grid[count:]:
        ax.set_axis_off()
    for ax in grid[max(count - columns, 0) : count]:  # also where no panel is below
        ax.tick_params(labelbottom=True)
    return grid[:count]


def note(ax, text: str = "", classes: int = 0) -> None:
    """A grey line under the whole figure, and one where it leaves out some of many classes."""
    if classes > MOST:
        text += f"\nthe first {MOST} of {classes} classes are shown"
    ax.figure.supxlabel(text.strip(), size=8.5, color=MUTED)


def frame_pairs(ax, alphas, taus, best: int, published: int) -> None:
    """Names the rows and columns of a grid, with a full frame at the best cell and a dashed one at
    the published, -1 where it has none; both count the cells row by row."""
    ax.set_xticks(range(len(taus)), map("{:.2f}".format, taus))
    ax.set_yticks(range(len(alphas)), map("{:.2f}".format, alphas))
    for cell, line, side in ((best, "solid", 0.96), (published, "dashed", 0.88)):
        if cell >= 0:
            i, j = divmod(cell, len(taus))
            corner = (j - side / 2, i - side / 2)
            ax.add_patch(Rectangle(corner, side, side, fill=False, ec=COLOURS[0], lw=2, ls=line))


def bare(ax) -> None:
    """No ticks and no frame: for pictures and matrices."""
    ax.tick_params(length=0, labelcolor=INK)
    ax.spines[:].set_visible(False)
