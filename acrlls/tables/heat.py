"""Section 8: how much of the Grad-CAM heat lies in the lungs and in the findings."""

import numpy as np
import pandas as pd

from acrlls import figures, method
from acrlls.calibration import image_counts
from acrlls.data import batch, render, split_of


def explain(dataset, config, model, positions) -> tuple[np.ndarray, ...]:
    """Grey images, heat, and masks of lungs and findings, each ``(n, h, w)``, of the test images at
    some positions ``(n,)``."""
    images, size = split_of(dataset, config).test[positions], config.image_size
    warm = method.gradcam(model, batch(dataset, images, config), config.gradcam_layer)
    lungs, findings = ([find(int(i)) for i in images] for find in (dataset.mask, dataset.findings))
    grey = np.stack([render(dataset.image(int(i)), size) for i in images])
    return grey, warm, method.at_input_size(lungs, size), method.at_input_size(findings, size)


def plot_examples(dataset, config, model, predictions, seed: int):
    """Fig. 3: for each class a right and a wrong test image, drawn at random, under its heat."""
    classes, p = dataset.class_names, predictions.probabilities
    grid = figures.choose_examples(predictions.labels, predictions.classes, len(classes), seed=seed)
    shown = grid[grid >= 0]
    grid[grid >= 0] = np.arange(len(shown))
    grey, warm, lungs, _ = explain(dataset, config, model, shown)
    known = lungs.any(axis=(1, 2))
    share = np.where(known, method.lung_share(warm, lungs), np.nan)
    said, confidence = predictions.classes[shown], p[shown].max(axis=1)
    outline = lungs if known.all() else None
    return figures.plot_gradcam(grid, grey, warm, said, confidence, classes, outline, share)


def sample(labels, per_class: int, seed: int) -> np.ndarray:
    """Positions of at most ``per_class`` test images of each class, at random."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(labels == k) for k in np.unique(labels)]
    return np.concatenate([rng.permutation(m)[:per_class] for m in members])


def of_another(groups, seed: int = 0) -> np.ndarray:
    """For each image the position of another one of its group, at random, each used once; one that
    is alone stands for itself. Its heat tells how much of a share comes from where lungs are."""
    rng, other = np.random.default_rng(seed), np.arange(len(groups))
    for group in np.unique(groups):
        members = rng.permutation(np.flatnonzero(groups == group))
        other[members] = np.roll(members, 1)
    return other


def shares(warm, masks, labels, predicted, classes, resamples: int, seed: int) -> pd.DataFrame:
    """Share of the heat inside the masks, both ``(n, h, w)``; a row a class, the right and the
    wrong predictions, of two or more images whose mask and heat are not empty: ``images``;
    ``estimate``, ``low``, ``high``, the mean share and its 95 % interval over images; ``area`` of
    the masks and ``another image``, whose heat is laid over the mask; ``more than area`` and ``more
    than another``, the sign of the difference where its 95 % interval leaves out zero, else 0."""
    groups = {name: labels == k for k, name in enumerate(classes)}
    groups |= {"right predictions": predicted == labels, "wrong predictions": predicted != labels}
    others = warm[of_another(labels, seed)]
    values = [method.lung_share(heat, masks) for heat in (warm, np.ones_like(warm), others)]
    values = np.stack(values)
    known, rows = np.isfinite(values).all(axis=0) & masks.any(axis=(1, 2)), {}
    for name, members in groups.items():
        chosen = values[:, known & members]
        if (n := chosen.shape[1]) > 1:
            means = chosen @ np.concatenate([*image_counts(np.zeros(n), resamples)]).T / n
            gaps = [means[0], *(means[0] - means[1:])]
            (low, *lows), (high, *highs) = np.quantile(gaps, [0.025, 0.975], axis=1)
            leads = np.greater(lows, 1e-9).astype(int) - np.less(highs, -1e-9)  # beyond rounding
            rows[name] = (n, chosen[0].mean(), low, high, *chosen[1:].mean(axis=1), *leads)
    columns = ["images", "estimate", "low", "high", "area", "another image"]
    columns += ["more than area", "more than another"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def finding(table: pd.DataFrame, classes) -> str:
    """The section's finding, from the table of :func:`shares` inside the lungs."""
    only = table.loc[[name for name in classes if name in table.index]]
    if only.empty:
        return "No lung masks are known for these images, so the share of heat cannot be measured."
    less = only.index[only["more than area"] < 0]
    but = f" and less than their area in {', '.join(less)}" if len(less) else ""
    outside, evenly = 100 * (1 - only[["estimate", "area"]].mean())
    return (
        f"The heat prefers the lungs beyond their area in {(only['more than area'] > 0).sum()} of "
        f"{len(only)} classes{but}, and beyond what another image's heat would give in "
        f"{(only['more than another'] > 0).sum()} of {len(only)}. On average over the classes "
        f"{outside:.0f} % of the heat lies outside the lungs, where evenly spread heat would have "
        f"{evenly:.0f} %. One seed."
    )
