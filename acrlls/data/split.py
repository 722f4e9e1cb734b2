"""Training, validation and test images, and the weights of the classes (Section III-A)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from acrlls.config import Config, UserError
from acrlls.data.dataset import Dataset


@dataclass(frozen=True)
class Split:
    """Indices of the images in each part, sorted; disjoint, and all images together."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_counts(
    class_counts, train_fraction: float = 0.70, validation_fraction: float = 0.15
) -> np.ndarray:
    """Images a part and class, `(3, classes)`: floor of each fraction a class, the rest to test.

    This rule gives the published 14,814 / 3,172 / 3,179 and the test supports of Table III.  A
    ``UserError`` names a class too small to reach all three parts.
    """
    counts = np.asarray(class_counts, dtype=np.int64)
    # 1e-9: a product such as 0.29 * 100 falls short of its whole number in binary
    train = np.floor(counts * train_fraction + 1e-9).astype(np.int64)
    validation = np.floor(counts * validation_fraction + 1e-9).astype(np.int64)
    parts = np.stack([train, validation, counts - train - validation])
    if (parts < 1).any():
        c = int(np.argmax((parts < 1).any(axis=0)))
        raise UserError(
            f"class {c} has {counts[c]} images: too few for {train_fraction:g} training and "
            f"{validation_fraction:g} validation with at least one image in each part, which takes "
            f"about {np.ceil(1 / min(train_fraction, validation_fraction)):.0f}"
        )
    return parts


def split(
    labels, train_fraction: float = 0.70, validation_fraction: float = 0.15, seed: int = 0
) -> Split:
    """Random stratified split by the rule of :func:`split_counts`, deterministic by ``seed``."""
    labels = np.asarray(labels)
    counts = split_counts(np.bincount(labels), train_fraction, validation_fraction)
    rng = np.random.default_rng(seed)
    parts = ([], [], [])
    for c in range(counts.shape[1]):
        shuffled = rng.permutation(np.flatnonzero(labels == c))
        for part, indices in zip(parts, np.split(shuffled, np.cumsum(counts[:2, c])), strict=True):
            part.append(indices)
    return Split(*(np.sort(np.concatenate(part)) for part in parts))


def split_of(dataset: Dataset, config: Config) -> Split:
    """The split that ``config`` asks for."""
    fractions = config.train_fraction, config.validation_fraction
    try:
        return split(dataset.labels, *fractions, config.split_seed)
    except UserError as error:
        numbered = ", ".join(f"{k} is {name}" for k, name in enumerate(dataset.class_names))
        raise UserError(f"{error} ({numbered})") from None


def duplicates(dataset: Dataset, parts: Split) -> tuple[int, int]:
    """How many files equal another byte for byte, and how many of them one in another part."""
    if dataset.contents is None:
        return 0, 0
    part = pd.Series(0, range(len(dataset)))
    part[parts.validation], part[parts.test] = 1, 2
    same = part.groupby(dataset.contents)
    return int((same.transform("size") > 1).sum()), int((same.transform("nunique") > 1).sum())


def class_weights(labels, classes: int | None = None) -> np.ndarray:
    """Inverse-frequency weights of labels `(n,)`: total / (classes x count), `(classes,)`, whose
    mean over the samples is one.  A ``UserError`` names a class without an image.
    """
    counts = np.bincount(np.asarray(labels), minlength=classes or 0)
    if not counts.all():
        raise UserError(f"class {counts.argmin()} has no image to weigh")
    return counts.sum() / (len(counts) * counts)
