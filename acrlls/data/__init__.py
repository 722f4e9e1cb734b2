"""Images: folders or phantoms, split, weighed, augmented."""

from acrlls.data.augment import Augmentation, batch, render, to_input
from acrlls.data.dataset import Dataset, load_data
from acrlls.data.export import write_folder
from acrlls.data.folder import decode
from acrlls.data.split import (
    Split,
    balanced_weights,
    class_weights,
    duplicates,
    split_counts,
    split_of,
)

__all__ = [
    "Augmentation",
    "Dataset",
    "Split",
    "balanced_weights",
    "batch",
    "class_weights",
    "decode",
    "duplicates",
    "load_data",
    "render",
    "split_counts",
    "split_of",
    "to_input",
    "write_folder",
]
