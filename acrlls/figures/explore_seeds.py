"""The figure on studies repeated with other seeds and other test images."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from acrlls.figures.explore import Explorable, slider
from acrlls.figures.style import ACCENT, COLOURS


def study_spread(gap: float, images: int, spread: float, seeds: int, disagree: float) -> float:
    """Standard deviation of a study's difference in accuracy, in percentage points.

    Args:
        gap: true difference in accuracy, in percentage points.
        images: test images, the same for both methods.
        spread: standard deviation of a method's accuracy over seeds, in percentage points.
        seeds: seeds whose accuracies are averaged, for each method.
        disagree: images on which one method is right and the other wrong, in percent.
    """
    sampling = max(disagree / 100 - (gap / 100) ** 2, 0) / images
    return 100 * float(np.sqrt(sampling + 2 * (spread / 100) ** 2 / seeds))


def explore_seeds(spread: float, disagree: float, gap: float = 0.5, images: int = 3177):
    """How often the better of two methods looks worse; arguments as of :func:`study_spread`."""
    spread, disagree = round(float(spread), 2), round(float(disagree), 1)  # the sliders' steps
    sd = study_spread(gap, images, spread, 1, disagree)
    wrong = norm.cdf(0, gap, sd)

    def draw(ax):
        x = np.linspace(-4, 4, 401)
        for side, colour in ((x <= 0, COLOURS[0]), (x >= 0, ACCENT)):
            ax.fill_between(x[side], norm.pdf(x[side], gap, sd), color=colour)
        ax.set(xlabel="better minus worse, percentage points", ylabel="density of studies")
        ax.set_title(f"Looks worse in {100 * wrong:.0f} % of studies")

    return Explorable(
        "seeds",
        f"Differences in accuracy that repeated studies would find where one method is {gap:g}"
        f" percentage points better, with {images} test images and one seed each: in"
        f" {100 * wrong:.0f} % of the studies the better method looks worse.",
        "Each study trains both methods and tests them on the same images. Orange: studies in"
        " which the better method looks worse. The spread over seeds and the disagreement, the"
        " share of images that only one method gets right, begin at what the recorded runs show.",
        {
            "gap": slider("True gap (points)", 0, 3, 0.1, gap),
            "images": slider("Test images", 177, 10177, 500, images),
            "spread": slider("Spread over seeds", 0, 2, 0.01, spread),
            "seeds": slider("Seeds a method", 1, 20, 1, 1),
            "disagree": slider("Disagreement (%)", 1, 20, 0.1, disagree),
        },
        draw,
    )
