"""Algorithm 1: two phases on stored features."""

from acrlls.backend import lazy_door
from acrlls.training.chunked import LIMIT_VARIABLE, ChunkedArray, bank_folder, limit, readable, used

_HOMES = {
    "train": "algorithm",
    "phases": "plan",
    "Batches": "batches",
    "seed_dropout": "phase",
    "FeatureBank": "bank",
    "engine": "engines",
    "engine_version": "engines",
    "frozen_forward": "engines",
    "jit_compile": "engines",
    "steps_per_execution": "engines",
    "lean": "folding",
    "pretrain": "recipe",
}
__all__ = [*_HOMES, "LIMIT_VARIABLE", "ChunkedArray", "bank_folder", "limit", "readable", "used"]
__getattr__ = lazy_door(__name__, _HOMES)
