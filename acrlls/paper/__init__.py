"""What Win & Yao publish, as data."""

from acrlls.paper.paper import (
    CLASSES,
    NUMBERS,
    beside,
    by_class,
    confusion_bounds,
    confusion_margins,
    ece_reductions,
    show,
    table,
)

__all__ = [
    "CLASSES",
    "NUMBERS",
    "beside",
    "by_class",
    "confusion_bounds",
    "confusion_margins",
    "ece_reductions",
    "show",
    "table",
]
