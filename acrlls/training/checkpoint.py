"""Values of variables in a file, and what belongs to them."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np

from acrlls.store import writing


def save_variables(file: Path, variables, note: dict | None = None) -> None:
    """Values of variables and what is known beside them, in one file."""
    with writing(file) as handle:
        values = [keras.ops.convert_to_numpy(v) for v in variables]
        np.savez(handle, *values, note=json.dumps(note))


def load_variables(file: Path, variables) -> dict | None:
    """Give variables the values of a checkpoint; returns what was saved beside them."""
    with np.load(file) as kept:
        for k, variable in enumerate(variables):
            variable.assign(kept[f"arr_{k}"])
        return json.loads(str(kept["note"]))
