"""What the project finds on this machine: versions, backend, data, weights, the store."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from acrlls.backend import import_keras
from acrlls.book.sections import versions
from acrlls.config import PROJECT, Config, UserError
from acrlls.store import store
from acrlls.training.chunked import limit, readable, used


def examine(config: Config) -> Iterator[tuple[str, bool, str]]:
    """What each check finds for a config, in turn: its title, whether all is well, and what there is to say."""
    for title, check in _CHECKS.items():
        try:
            yield title, True, check(config)
        except (UserError, ImportError, OSError) as error:
            yield title, False, str(error)


def _check_versions(config: Config) -> str:
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise UserError(f"Python {sys.version.split()[0]}; the project is for 3.11 to 3.13")
    return ", ".join(f"{name} {version}" for name, version in versions().items())


def _check_backend(config: Config) -> str:
    import numpy as np

    keras = import_keras()
    keras.ops.convert_to_numpy(keras.ops.softmax(np.ones((1, 4), "float32")))
    from acrlls.training import engines

    by = engines.engine_version(engines.engine())
    return (
        f"Keras {keras.__version__} computes on {keras.backend.backend()}, the frozen part by {by}"
    )


def _check_data(config: Config) -> str:
    if config.data == "phantom":
        return f"phantom, {config.phantom_images} images drawn on demand"
    if config.data == "kaggle":
        return "kaggle, fetched by kagglehub when a section asks for it"
    from acrlls.data import load_data

    data = load_data(config)
    return f"{len(data.names)} images of {', '.join(data.class_names)}"


def _check_weights(config: Config) -> str:
    if config.backbone == "phantom":
        shipped = sorted((PROJECT / "acrlls" / "weights").glob("*.h5"))
        if not shipped:
            raise UserError(
                "the phantom backbone is not in acrlls/weights/; `acrlls pretrain` trains it"
            )
        return "phantom, shipped: " + ", ".join(
            f"{p.name} ({p.stat().st_size / 1e6:.1f} MB)" for p in shipped
        )
    if config.backbone == "imagenet":
        cached = list(
            (Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "models").glob(
                "mobilenet_v2*"
            )
        )
        return "imagenet, " + (
            "in Keras's cache"
            if cached
            else "not in Keras's cache: downloaded when first asked for"
        )
    if config.backbone != "random" and not Path(config.backbone).is_file():
        raise UserError(f"backbone {config.backbone} is no file")
    return config.backbone


def _check_store(config: Config) -> str:
    folder = store()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder):
        pass
    return f"{folder}, writable, {readable(used(folder))} kept; stored features may take {readable(limit())} of it"


_CHECKS = {
    "versions": _check_versions,
    "backend": _check_backend,
    "data": _check_data,
    "weights": _check_weights,
    "store": _check_store,
}
