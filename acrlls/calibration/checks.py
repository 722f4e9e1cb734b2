"""The one entrance for probabilities, logits, labels, class names and settings."""

from __future__ import annotations

import numpy as np

CHUNK = 1 << 14  # rows handled together: what fits a processor's cache
OF = ("classes", "top_label", "mean")


def check(p, y=None, name: str = "p"):
    """Probabilities as float64 and, where given, labels as integers; all public functions call it.

    Arrays, lists, DataFrames and Series are accepted, and so are probabilities of exactly 0 or 1.
    The sum of a row may differ from one by 0.001, or by 0.0005 for each class if that is more, so
    that ``p.round(3)`` is accepted. Rows are not normalised.

    Args:
        p: probabilities, ``(n, classes)``.
        y: labels, ``(n,)``, whole numbers from 0 to classes - 1; not booleans.
        name: what messages call ``p``.

    Returns:
        ``p``, or ``(p, y)``.

    Raises:
        ValueError: bad input; the message names the first bad row.
    """
    p = _matrix(p, name)
    slack = max(1e-3, 5e-4 * p.shape[1]) + 1e-9
    low, high, off = _extremes(p)
    # one comparison finds NaN too; which row is at fault is asked only when there is one
    if not (low >= -1e-6 and high <= 1 + slack and off <= slack):
        _refuse_rows(~np.isfinite(p).all(axis=1), p, name, "is not finite")
        outside = ((p < -1e-6) | (p > 1 + slack)).any(axis=1)
        _refuse_rows(outside, p, name, "holds a value outside [0, 1]")
        _refuse_rows(np.abs(p.sum(axis=1) - 1) > slack, p, name, "does not sum to one")
    if low < 0 or high > 1:
        p = p.clip(0, 1)
    return p if y is None else (p, _labels(y, p, name))


def check_logits(z, y=None):
    """The same for logits ``(n, classes)``, of which any finite number is accepted."""
    z = _matrix(z, "logits")
    _refuse_rows(~np.isfinite(z).all(axis=1), z, "logits", "is not finite")
    return z if y is None else (z, _labels(y, z, "logits"))


def check_pair(p, other, name: str = "p2") -> np.ndarray:
    """Checked probabilities for the same images and classes as the checked ``p``."""
    other = check(other, name=name)
    if other.shape != p.shape:
        raise ValueError(f"p has shape {p.shape} and {name} {other.shape}; they must be equal")
    return other


def check_names(class_names, classes: int, given=None) -> list:
    """Class names as a list, one a class; ``given`` is what the caller had for ``p``.

    Raises:
        ValueError: too few or too many names, or a DataFrame whose columns have another order.
    """
    names = list(class_names)
    if len(names) != classes:
        raise ValueError(f"{len(names)} class names for {classes} classes")
    columns = list(getattr(given, "columns", names))
    if columns != names and set(columns) == set(names):
        raise ValueError(f"the columns of p are {columns}, but class_names are {names}")
    return names


def check_level(level) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level is {level!r}; it must lie between 0 and 1")


def check_choice(name, value, choices) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; choose one of: {', '.join(choices)}")


def whole_number(name, value) -> int:
    if isinstance(value, bool) or value != int(value) or value < 1:
        raise ValueError(f"{name} is {value!r}; it must be a whole number from 1")
    return int(value)


def one_hot(y, classes):
    return np.eye(classes)[y]


def _matrix(values, name) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype == object:  # such as pandas' nullable numbers
        try:
            values = values.astype(float)
        except (TypeError, ValueError):
            raise ValueError(f"{name} holds values that are not numbers") from None
    if values.ndim != 2 or values.shape[1] < 2 or not len(values):
        shape = "(n, classes) with n >= 1 and classes >= 2"
        raise ValueError(f"{name} has shape {values.shape}; it must be {shape}")
    if values.dtype.kind not in "iuf":
        raise ValueError(f"{name} holds {values.dtype}; it must hold real numbers")
    return values.astype(np.float64, copy=False)


def _labels(y, p, name) -> np.ndarray:
    y, last = np.asarray(y), p.shape[1] - 1
    if y.shape != (len(p),):
        raise ValueError(f"y has shape {y.shape}; it must be ({len(p)},), one a row of {name}")
    if y.dtype == object:
        y = np.asarray(y.tolist())
    if y.dtype.kind not in "iuf":
        raise ValueError(f"y holds {y.dtype}; labels are whole numbers from 0 to {last}")
    if not (y.min() >= 0 and y.max() <= last and (y.dtype.kind in "iu" or (y == y // 1).all())):
        if y.min() == 1 and y.max() == last + 1:
            raise ValueError(f"y runs from 1 to {last + 1}; labels run from 0 to {last}: y - 1")
        row = int((~((y >= 0) & (y <= last) & (y == np.floor(y)))).argmax())
        raise ValueError(f"y: row {row} is {y[row]}; labels are whole numbers from 0 to {last}")
    return y.astype(np.intp, copy=False)


def _extremes(p):
    """Least and greatest value, and by how much a row's sum misses one; NaN where there is one.

    Without a matrix product, whose threads take longer to start where the processor is busy.
    """
    found = []
    for start in range(0, len(p), CHUNK):
        part = p[start : start + CHUNK]
        sums = np.einsum("ij->i", part)
        found.append((part.min(), part.max(), max(sums.max() - 1, 1 - sums.min())))
    low, high, off = np.array(found).T
    return low.min(), high.max(), off.max()


def _refuse_rows(bad, p, name, what):
    if bad.any():
        row = int(bad.argmax())
        more = f" ({int(bad.sum())} such rows)" if bad.sum() > 1 else ""
        raise ValueError(f"{name}: row {row} {what}: {np.array2string(p[row], precision=6)}{more}")
