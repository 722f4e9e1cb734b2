"""For each test image the training image that is most like it: python results/twins.py [FILE]

Images are compared at 64 × 64 pixels, each with its mean taken off and its contrast made one, by
their correlation.  The table has names and correlations, no image.  Needs ACRLLS_DATA; two minutes.
"""

import sys

import numpy as np
import pandas as pd

import acrlls
from acrlls.config import PROJECT
from acrlls.data import render, split_of

SIDE = 64


def thumbnails(dataset, positions) -> np.ndarray:
    """Standardised small images, ``(n, SIDE²)`` float32."""
    grey = [render(dataset.image(int(i)), SIDE).astype("f4").ravel() for i in positions]
    small = np.stack(grey)
    small -= small.mean(axis=1, keepdims=True)
    return small / np.linalg.norm(small, axis=1, keepdims=True).clip(1e-6)


def main(file=PROJECT / "results" / "twins.csv.gz"):
    config = acrlls.configure("laptop")
    dataset = acrlls.load_data(config)
    split = split_of(dataset, config)
    train, test = (thumbnails(dataset, part) for part in (split.train, split.test))
    rows = []
    for i, one in zip(split.test, test, strict=True):
        alike = train @ one
        j = split.train[alike.argmax()]
        same = dataset.labels[i] == dataset.labels[j]
        rows.append((dataset.names[i], dataset.names[j], round(float(alike.max()), 5), int(same)))
    columns = ["name", "nearest", "correlation", "same_class"]
    packed = {"method": "gzip", "mtime": 0}
    pd.DataFrame(rows, columns=columns).to_csv(file, index=False, compression=packed)


if __name__ == "__main__":
    main(*sys.argv[1:2])
