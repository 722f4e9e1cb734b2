"""The figures: ``prepare_*`` gives arrays, ``plot_*`` draws on given axes or new ones."""

from acrlls.figures.architecture import plot_architecture, prepare_architecture
from acrlls.figures.comparisons import (
    plot_ablation,
    plot_confusion,
    plot_estimators,
    plot_floor,
    plot_growth,
    plot_intervals,
    plot_repeated_intervals,
    prepare_ablation,
)
from acrlls.figures.curves import plot_learning, plot_lls, prepare_curves
from acrlls.figures.explore import explore_reliability, explore_scaling, explore_simplex
from acrlls.figures.explore_seeds import explore_seeds
from acrlls.figures.images import (
    choose_examples,
    plot_augmentation,
    plot_examples,
    plot_gradcam,
    plot_masks,
    plot_truth,
    prepare_augmentation,
    prepare_examples,
)
from acrlls.figures.published import plot_ece_floors, plot_gap_floors, plot_mcnemar
from acrlls.figures.reliability import plot_reliability
from acrlls.figures.style import COLOURS, style
from acrlls.figures.tuning import plot_tuning, prepare_tuning
from acrlls.figures.verdict import plot_networks

__all__ = [
    "COLOURS",
    "choose_examples",
    "explore_reliability",
    "explore_scaling",
    "explore_seeds",
    "explore_simplex",
    "plot_ablation",
    "plot_architecture",
    "plot_augmentation",
    "plot_confusion",
    "plot_ece_floors",
    "plot_estimators",
    "plot_examples",
    "plot_floor",
    "plot_gap_floors",
    "plot_gradcam",
    "plot_growth",
    "plot_intervals",
    "plot_learning",
    "plot_lls",
    "plot_masks",
    "plot_networks",
    "plot_mcnemar",
    "plot_reliability",
    "plot_repeated_intervals",
    "plot_truth",
    "plot_tuning",
    "prepare_ablation",
    "prepare_architecture",
    "prepare_augmentation",
    "prepare_curves",
    "prepare_examples",
    "prepare_tuning",
    "style",
]
