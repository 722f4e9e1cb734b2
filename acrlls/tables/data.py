"""Section 1: images of each class, the split, class weights, augmentation, true probabilities."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from acrlls.config import Config
from acrlls.data import Augmentation, Dataset, class_weights, duplicates, render, split_counts
from acrlls.paper import CLASSES, NUMBERS, by_class, show, table
from acrlls.runs import Run, training_weights
from acrlls.tables.recorded import is_paper
from acrlls.tables.words import percent

PARTS = ("train", "validation", "test")


def _counts(dataset: Dataset, members=slice(None)) -> pd.Series:
    names = list(dataset.class_names)
    return pd.Series(np.bincount(dataset.labels[members], minlength=len(names)), index=names)


def _three(dataset: Dataset, name: str, recorded: Callable, real, ours: dict) -> dict:
    """What is published by class, what is ``recorded`` of a run, and ours, by title."""
    known = {}
    if is_paper(dataset.class_names):
        known["published"] = by_class(name)
        if real:
            known["real images"] = pd.Series(recorded(real[0]), real[0].class_names)
    return known | ours


def images(dataset: Dataset, real: Sequence[Run], title: str):
    """Images of each class and their share: published, in the records, and in this build."""
    ours = {title: _counts(dataset)}
    counts = _three(dataset, "images", lambda run: run.manifest["class_counts"], real, ours)
    columns = {t: pd.DataFrame({"images": c, "share": c / c.sum()}) for t, c in counts.items()}
    both = pd.concat(columns, axis=1).loc[list(dataset.class_names)]
    styled = show(both, 3, "Images of each class and their share")
    return styled.format("{:,.0f}", subset=[(t, "images") for t in counts])


def rule() -> pd.DataFrame:
    """The rule of the split on the published counts: images in each part, test images by class."""
    parts = split_counts(by_class("images").astype(int))
    ours = pd.Series([*parts.sum(axis=1), *parts[2]], [*PARTS, *(f"test, {c}" for c in CLASSES)])
    totals = [NUMBERS[f"split.{part}"].value for part in PARTS]
    published = pd.Series([*totals, *table("III").loc[list(CLASSES), "Support"]], ours.index)
    both = {"published": published, "by the rule": ours, "difference": ours - published}
    return pd.DataFrame(both, dtype=float)


def parts(dataset: Dataset, split) -> pd.DataFrame:
    """Images of each class in each part of a split."""
    rows = {part: _counts(dataset, getattr(split, part)) for part in PARTS}
    ours = pd.DataFrame(rows).rename_axis("class")
    ours.loc["All"] = ours.sum()
    return ours


def repeated(dataset: Dataset, split) -> str:
    """How many files are the same, and how many of them lie in several parts."""
    equal, across = duplicates(dataset, split)
    if not equal:
        return "No two images are the same."
    return f"{equal:,} files equal another byte for byte, {across:,} of them one in another part."


def weights(dataset: Dataset, split, real: Sequence[Run], title: str) -> pd.DataFrame:
    """Class weights of the training part: published, in the records, and in this build."""
    names = list(dataset.class_names)
    ours = {title: pd.Series(class_weights(dataset.labels[split.train], len(names)), names)}
    columns = _three(dataset, "class_weight", training_weights, real, ours)
    return pd.DataFrame(columns).loc[names]


def finding() -> str:
    """Whether the published split and class weights follow from the published counts."""
    train = split_counts(by_class("images").astype(int))[0]
    formula = train.sum() / (len(CLASSES) * train)
    pairs = zip(CLASSES, formula, strict=True)
    agree = sum(NUMBERS[f"class_weight.{c}"].agrees(w) for c, w in pairs)
    return (
        f"**The published split follows exactly from the published counts**, and "
        f"{agree} of {len(CLASSES)} published class weights follow to the printed digit."
    )


def views(dataset: Dataset, config: Config, count: int = 11) -> np.ndarray:
    """The first image of the first class and augmented views of it, ``(1 + count, size, size)``."""
    image, rng = dataset.image(int((dataset.labels == 0).argmax())), np.random.default_rng(0)
    augmentation = Augmentation.from_config(config)
    maps = [None, *(augmentation.matrix(rng) for _ in range(count))]
    return np.stack([render(image, config.image_size, matrix) for matrix in maps])


def by_doubt(dataset: Dataset) -> list[int]:
    """Positions of six images from the most doubtful to the clearest, by their largest η."""
    largest = dataset.eta.max(axis=1)
    levels = np.linspace(largest.min(), largest.max(), 6)
    return [int(np.abs(largest - level).argmin()) for level in levels]


def sheet(dataset: Dataset, per_class: int = 3) -> list[int]:
    """Positions of so many images of each class, at random and mixed, to be sorted by hand."""
    mixed = pd.Series(dataset.labels).sample(frac=1, random_state=0)
    return list(mixed.groupby(mixed).head(per_class).sample(frac=1, random_state=0).index)


def key(dataset: Dataset, positions: Sequence[int]) -> pd.DataFrame:
    """The true probabilities of some images and the labels drawn, a row an image, from 1."""
    names, numbers = np.array(dataset.class_names), np.arange(len(positions)) + 1
    eta = pd.DataFrame(dataset.eta[positions], numbers, names).rename_axis("image")
    return eta.assign(label=names[dataset.labels[positions]])


def limit(dataset: Dataset) -> str:
    """How often anybody could be right, by the true probabilities."""
    return (
        "Nobody can be right more often, on average, than the mean of the largest η, which is "
        f"**{percent(dataset.eta.max(axis=1).mean(), 1)}**."
    )
