"""What Win & Yao publish, as data."""

from acrlls.paper.paper import CLASSES, NUMBERS, beside, by_class, show, table

__all__ = ["CLASSES", "NUMBERS", "beside", "by_class", "show", "table"]
