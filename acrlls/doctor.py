"""What the project finds on this machine: versions, backend, data, weights, the store."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from acrlls.backend import import_keras
from acrlls.book import versions
from acrlls.config import PROJECT, Config, UserError
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
    return ", ".join(f"{name} {version}" for name, version in versions().items())


def _backend(config: Config) -> str:
    import numpy as np

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
    from acrlls.data import load_data

    data = load_data(config)
    return f"{len(data.names)} images of {', '.join(data.class_names)}"


def _weights(config: Config) -> str:
    if config.backbone == "phantom":
        shipped = sorted((PROJECT / "acrlls" / "weights").glob("*.h5"))
        if not shipped:
            raise UserError("acrlls/weights/ has no phantom backbone; `acrlls pretrain` trains it")
        sizes = [f"{path.name} ({path.stat().st_size / 1e6:.1f} MB)" for path in shipped]
        return "phantom, shipped: " + ", ".join(sizes)
    if config.backbone == "imagenet":
        home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
        cached = list((home / "models").glob("mobilenet_v2*"))
        place = "in Keras's cache" if cached else "not in Keras's cache: downloaded when asked for"
        return f"imagenet, {place}"
    if config.backbone != "random" and not Path(config.backbone).expanduser().is_file():
        raise UserError(f"backbone {config.backbone} is no file")
    return config.backbone


def _store(config: Config) -> str:
    from acrlls.training import limit, readable, used

    folder = store()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder):
        pass
    kept, most = readable(used(folder)), readable(limit())
    return f"{folder}, writable, {kept} kept; stored features may take {most} of it"
