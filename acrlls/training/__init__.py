"""Algorithm 1: two phases on stored features."""

from acrlls.training.algorithm import train

__all__ = ["train"]
