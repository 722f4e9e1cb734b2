"""What Win & Yao publish, as data."""

from acrlls.paper.paper import (
    CLASSES,
    MODELS,
    NUMBERS,
    PUBLISHED,
    Inconsistent,
    Number,
    by_class,
    confusion_bounds,
    confusion_margins,
    counts_behind,
    show,
    table,
)

__all__ = ["CLASSES", "MODELS", "NUMBERS", "PUBLISHED", "Inconsistent", "Number", "by_class"]
__all__ += ["confusion_bounds", "confusion_margins", "counts_behind", "show", "table"]
