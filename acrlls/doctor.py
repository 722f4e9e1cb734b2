"""What the project finds here: versions, machine, backend, data, weights, the store."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from acrlls.backend import import_keras
from acrlls.book import versions
from acrlls.config import Config, UserError
from acrlls.data import duplicates, load_data, split_of
from acrlls.store import store


def examine(config: Config) -> Iterator[tuple[str, bool, str]]:
    """Each check of a config in turn: its title, whether all is well, and what there is to say."""
    for check in (_versions, _backend, _data, _weights, _store):
        title = check.__name__.lstrip("_")
        try:
            yield title, True, check(config)
        except (UserError, ImportError, OSError) as error:
            yield title, False, str(error)


def _versions(config: Config) -> str:
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise UserError(f"Python {sys.version.split()[0]}; the project is for 3.11 to 3.13")
    found = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"{found}; {platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def _backend(config: Config) -> str:
    keras = import_keras()
    keras.ops.convert_to_numpy(keras.ops.softmax(np.ones((1, 4), "float32")))
    from acrlls.training import engine, engine_version

    backend, by = keras.backend.backend(), engine_version(engine())
    return f"Keras {keras.__version__} computes on {backend}, the frozen part by {by}"


def _data(config: Config) -> str:
    if config.data == "phantom":
        return f"phantom, {config.phantom_images} images drawn on demand"
    if config.data == "kaggle":
        return "kaggle, fetched by kagglehub when a section asks for it"
    data = load_data(config)
    counts = zip(data.class_names, np.bincount(data.labels), strict=True)
    each = [f"{name} {count:,}" for name, count in counts]
    equal, across = duplicates(data, split_of(data, config))
    return (
        f"{len(data):,} images: {', '.join(each)}; {equal:,} files equal another, {across:,} of "
        f"them one in another part of the split. {data.unread()}"
    )


def _weights(config: Config) -> str:
    from acrlls.method import weights_file

    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    if config.backbone == "imagenet" and not list((home / "models").glob("mobilenet_v2*")):
        return "imagenet, not in Keras's cache: downloaded when asked for"
    return f"{config.backbone}, {weights_file(config) or 'no file'}"


def _store(config: Config) -> str:
    from acrlls.training import limit, readable, used

    folder = store()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder):
        pass
    kept, most, free = map(readable, (used(folder), limit(), shutil.disk_usage(folder).free))
    return f"{folder}, writable, {kept} kept, {free} free; stored features may take {most} of it"
