"""Algorithm 1: two phases on stored features."""

from acrlls.backend import lazy_door
from acrlls.training.stored import LIMIT_VARIABLE, bank_folder, limit, readable, used

_HOMES = {
    "train": "algorithm",
    "phases": "phase",
    "seed_dropout": "phase",
    "Batches": "batches",
    "FeatureBank": "bank",
    "engine": "engines",
    "engine_version": "engines",
    "frozen_forward": "engines",
    "jit_compile": "engines",
    "steps_per_execution": "engines",
}
__all__ = [*_HOMES, "LIMIT_VARIABLE", "bank_folder", "limit", "readable", "used"]
__getattr__ = lazy_door(__name__, _HOMES)
