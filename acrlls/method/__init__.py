"""Layers, network, variants and Grad-CAM: the method of the paper."""

from acrlls.backend import lazy_door
from acrlls.method.variants import VARIANTS  # needs no Keras, as the weights' file
from acrlls.method.weights import weights_digest, weights_file

__getattr__, __all__ = lazy_door(
    __name__,
    layers="AdaptiveConfidenceRegularizer LearnableLogitScaler",
    losses="LOSSES TrainingLoss",
    model="POOL backbone_layers between build_backbone build_model consumers frozen_backbone "
    "frozen_cut unfreeze_top",
    heat="gradcam at_input_size lung_share",
)
__all__ += ["VARIANTS", "weights_digest", "weights_file"]
