"""Algorithm 1: two phases on stored features."""

from acrlls.backend import lazy_door
from acrlls.training.stored import LIMIT_VARIABLE, bank_folder, limit, readable, used

__getattr__, __all__ = lazy_door(
    __name__,
    algorithm="passes train",
    phase="phases seed_dropout",
    batches="Batches",
    bank="FeatureBank",
    engines="engine_version frozen_forward jit_compile steps_per_execution",
)
__all__ += ["LIMIT_VARIABLE", "bank_folder", "limit", "readable", "used"]
