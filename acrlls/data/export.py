"""Images of a dataset as files, one folder a class: what the project reads as a reader's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from acrlls.data.dataset import Dataset


def write_folder(
    dataset: Dataset, folder: str | Path, count: int, names: Mapping[str, str] | None = None
) -> Path:
    """Write the first ``count`` images as PNG files, ``folder/<class>/<name>.png``.

    Args:
        names: the folder of each class; None takes the classes' own names. Two classes may share a
            folder.

    Returns:
        The folder. Files that are there already are left as they are.
    """
    folder = Path(folder)
    for i in range(min(count, len(dataset))):
        title = dataset.class_names[dataset.labels[i]]
        file = folder / (names[title] if names else title) / f"{dataset.names[i]}.png"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(dataset.image(i)).save(file)
    return folder
