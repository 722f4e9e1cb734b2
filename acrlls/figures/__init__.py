"""The figures of the book: each ``plot_*`` draws a figure and returns its axes."""

from acrlls.figures.architecture import plot_architecture, prepare_architecture
from acrlls.figures.comparisons import (
    plot_confusion,
    plot_ece_floors,
    plot_intervals,
    plot_mcnemar,
    plot_networks,
    plot_tuning,
)
from acrlls.figures.curves import plot_learning, plot_lls
from acrlls.figures.explore import (
    explore_reliability,
    explore_scaling,
    explore_seeds,
    explore_simplex,
    explore_tuning,
)
from acrlls.figures.images import (
    choose_examples,
    plot_augmentation,
    plot_examples,
    plot_gradcam,
    plot_pictures,
    plot_truth,
)
from acrlls.figures.reliability import plot_estimators, plot_floor, plot_reliability
from acrlls.figures.style import style

__all__ = [n for n in dir() if n.startswith(("choose", "explore_", "plot", "prepare", "style"))]
