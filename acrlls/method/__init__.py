"""Layers, network, variants and Grad-CAM: the method of the paper."""

from acrlls.backend import lazy_door
from acrlls.method.variants import VARIANTS  # needs no Keras

_HOMES = {
    "AdaptiveConfidenceRegularizer": "layers",
    "LearnableLogitScaler": "layers",
    "LOSSES": "losses",
    "POOL": "model",
    "SHIPPED_WEIGHTS": "model",
    "TrainingLoss": "losses",
    "backbone_layers": "model",
    "between": "model",
    "build_backbone": "model",
    "build_model": "model",
    "consumers": "model",
    "frozen_backbone": "model",
    "frozen_cut": "model",
    "unfreeze_top": "model",
    "weights_digest": "model",
    "weights_file": "model",
    "gradcam": "heat",
    "at_input_size": "heat",
    "lung_share": "heat",
    "of_another": "heat",
    "share_table": "heat",
}
__all__ = [*_HOMES, "VARIANTS"]
__getattr__ = lazy_door(__name__, _HOMES)
