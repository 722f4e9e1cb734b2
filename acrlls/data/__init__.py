"""Images: folders or phantoms, split, weighed, augmented."""

from acrlls.data.augment import Augmentation, batch, render, to_input
from acrlls.data.dataset import Dataset, load_data, write_folder
from acrlls.data.split import Split, class_weights, duplicates, split_counts, split_of

__all__ = [name for name, value in vars().items() if callable(value)]
