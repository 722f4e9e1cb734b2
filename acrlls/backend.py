"""Importing Keras without the greetings of its backend, and with the faster of its kernels."""

import contextlib
import importlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from acrlls.config import UserError
from acrlls.store import read_json

ONEDNN_VARIABLE = "TF_ENABLE_ONEDNN_OPTS"  # of no effect where TensorFlow is built without oneDNN
PACKAGES = "acrlls keras tensorflow tensorflow-cpu jax torch openvino numpy scipy pandas "
PACKAGES += "scikit-learn matplotlib pillow jupyter-book papermill"
_set_here: set[str] = set()


def import_keras():
    """Import Keras and return it, without what TensorFlow prints at its start, and with the kernels
    of oneDNN, which TensorFlow uses by default on CPUs with AVX-512 VNNI alone.
    """
    if "keras" in sys.modules:
        return sys.modules["keras"]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if ONEDNN_VARIABLE not in os.environ:
        os.environ[ONEDNN_VARIABLE] = "1"
        _set_here.add(ONEDNN_VARIABLE)
    with _native_stderr_off():
        try:
            return importlib.import_module("keras")
        except (ImportError, ValueError) as error:
            what = f"Keras cannot be loaded with the backend {chosen()!r}: {error}"
            how = "install it, or set KERAS_BACKEND to another"
            raise UserError(f"{what}; {how}") from error


def keras_home() -> Path:
    """The folder of Keras's own settings and of the weights that it has fetched."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()


def chosen() -> str:
    """The backend that Keras is told to use: ``KERAS_BACKEND``, or else what its settings say."""
    settings = read_json(keras_home() / "keras.json")
    return os.environ.get("KERAS_BACKEND") or settings.get("backend", "tensorflow")


def precision() -> str:
    """Keras's dtype policy; before Keras is loaded, the one that it will start with."""
    if "keras" in sys.modules:
        return sys.modules["keras"].config.dtype_policy().name
    return read_json(keras_home() / "keras.json").get("floatx", "float32")


def lazy_door(room: str, **modules: str) -> tuple[Callable[[str], Any], list[str]]:
    """``__getattr__`` and ``__all__`` of a room that needs Keras, which is imported when a name is
    first asked for; ``modules`` have the names that each exports.
    """
    homes = {name: module for module, names in modules.items() for name in names.split()}

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        import_keras()
        return getattr(importlib.import_module(f"{room}.{homes[name]}"), name)

    return get, list(homes)


def versions() -> dict[str, str]:
    """Installed versions of what can change a result or a page, Python first."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES.split():
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def environment_as_found() -> dict[str, str]:
    """The environment for another process that is to choose its kernels itself."""
    return {name: value for name, value in os.environ.items() if name not in _set_here}


@contextlib.contextmanager
def _native_stderr_off() -> Iterator[None]:
    """Send file descriptor 2 to nowhere: TensorFlow writes there before any log level counts."""
    sys.stderr.flush()  # of a notebook, it is another stream and stays on
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
