"""Layers, network, variants and Grad-CAM: the method of the paper."""

from acrlls.method.heat import gradcam
from acrlls.method.layers import AdaptiveConfidenceRegularizer, LearnableLogitScaler
from acrlls.method.model import VARIANTS, build_model

__all__ = [
    "AdaptiveConfidenceRegularizer",
    "LearnableLogitScaler",
    "VARIANTS",
    "build_model",
    "gradcam",
]
