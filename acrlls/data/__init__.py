"""Images: folders or phantoms, split, weighed, augmented."""

from acrlls.data.augment import Augmentation, batch, render, to_input
from acrlls.data.dataset import Dataset, load_data, write_folder
from acrlls.data.split import Split, class_weights, duplicates, split_counts, split_of

__all__ = ["Augmentation", "Dataset", "Split", "batch", "class_weights", "duplicates", "load_data"]
__all__ += ["render", "split_counts", "split_of", "to_input", "write_folder"]
