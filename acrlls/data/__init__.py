"""Images: folders or phantoms, split, weighed, augmented."""

from acrlls.data.dataset import (
    Augmentation,
    Dataset,
    batch,
    class_weights,
    load_data,
    split_counts,
    split_of,
)

__all__ = [
    "Augmentation",
    "Dataset",
    "batch",
    "class_weights",
    "load_data",
    "split_counts",
    "split_of",
]
