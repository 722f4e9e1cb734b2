"""The one entrance for probabilities, logits, labels, class names and settings."""

import warnings
from collections.abc import Iterable, Mapping, Set
from numbers import Real

import numpy as np

OF = ("classes", "top_label", "mean")
LARGEST = 1e100  # size of a logit, so that products of two are finite
BINS = 1000  # at most, as in a profile: the memory for some errors grows as their square
MOST = 10**7  # resamples, images that are drawn


def check(p, *y, name: str = "p"):
    """``p`` as float64 ``(n, classes)``, or ``(p, y)`` with the labels as integers ``(n,)``.

    The sum of a row may differ from one by 0.001, or by 0.0005 for each class if that is more, so
    that ``p.round(3)`` is accepted; where it differs by more than 0.000001, rows are normalised.
    """
    given, p = p, _matrix(p, name)
    slack = max(1e-3, 5e-4 * p.shape[1]) + 1e-9
    low, high, off = p.min(), p.max(), np.abs(p.sum(axis=1) - 1)
    # one comparison finds NaN too; which row is at fault is asked only when there is one
    if not (low >= -1e-6 and high <= 1 + slack and off.max() <= slack):
        _refuse_rows(~np.isfinite(p).all(axis=1), p, name, "is not finite")
        outside = ((p < -1e-6) | (p > 1 + slack)).any(axis=1)
        _refuse_rows(outside, p, name, "holds a value outside [0, 1]")
        turned = np.abs(p.sum(axis=0) - 1).max() <= slack
        hint = ", but each column does (is it transposed?)" if turned else ""
        _refuse_rows(off > slack, p, name, f"does not sum to one{hint}")
    p = p.clip(0, 1)
    if off.max() > 1e-6:
        p = p / p.sum(axis=1, keepdims=True)
    return (p, _labels(*y, given, p, name)) if y else p


def check_logits(z, *labels, method=None):
    """The same for logits, whose columns are those that a ``method`` was fitted on."""
    given, z = z, _matrix(z, "logits")
    _refuse_rows(~np.isfinite(z).all(axis=1), z, "logits", "is not finite")
    _refuse_rows((np.abs(z) > LARGEST).any(axis=1), z, "logits", f"is beyond {LARGEST:g}")
    if z.min() >= 0 and np.abs(z.sum(axis=1) - 1).max() < 1e-3:
        warnings.warn("rows sum to one as probabilities do; pass logits, or log(p)", stacklevel=4)
    _same_columns(given, _columns(method), "logits", "the method was fitted on")
    return (z, _labels(*labels, given, z, "logits", "labels")) if labels else z


def check_weights(given, n: int, *rows) -> np.ndarray:
    """Weights of images, ``(n,)``; of None, ones.  ``rows`` are what the caller had for these."""
    weight = np.ones(n) if given is None else numbers(given, "sample_weight").astype(float)
    with np.errstate(over="ignore"):
        good = weight.shape == (n,) and (weight >= 0).all() and 0 < weight.sum() < np.inf
    if not good:
        held = np.array2string(weight, precision=6, threshold=6, edgeitems=2)
        must = f"it must be ({n},) numbers from 0, not all of them 0, with a finite sum"
        raise ValueError(f"sample_weight, of shape {weight.shape}, is {held}; {must}")
    for one in rows:
        same_index(one, given, "the images", "sample_weight")
    return weight


def check_pair(given, other, name: str = "p2", *y) -> tuple[np.ndarray, np.ndarray]:
    """Checked probabilities of two models for the same images and classes, with labels ``y``."""
    p, checked = check(given), check(other, name=name)
    for labels in y:
        same_index(other, labels, name, "y")
    if checked.shape != p.shape:
        shapes = f"p has shape {p.shape} and {name} {checked.shape}"
        raise ValueError(f"{shapes}; they must be equal")
    same_index(given, other, "p", name)
    _same_columns(given, _columns(other), "p", f"those of {name}")
    return p, checked


def check_names(class_names, classes: int, given=None, last: str | None = None) -> list:
    """Class names as a list; ``given`` is what the caller had for ``p``, ``last`` a further row."""
    if isinstance(class_names, (str, bytes, Set, Mapping)) or not isinstance(class_names, Iterable):
        raise ValueError(f"class_names is {class_names!r}; it must be a list, one name a class")
    names = getattr(class_names, "tolist", lambda: list(class_names))()
    if not isinstance(names, list) or any(map(_is_no_name, names)):
        raise ValueError(f"class_names are {names}; it must be a list, one name a class")
    if len(names) != classes:
        raise ValueError(f"{len(names)} class names for {classes} classes")
    if len(set(map(str, names))) < classes:
        raise ValueError(f"class_names are {names}; no name may occur twice")
    if last in names:
        raise ValueError(f"class_names are {names}; {last!r} is the name of the table's last row")
    _same_columns(given, names, "p", "class_names are")
    return names


def _is_no_name(name) -> bool:
    missing = str(name) in ("None", "nan", "<NA>", "NaT") and not isinstance(name, str)
    return missing or isinstance(name, list)


def check_level(level, resamples=MOST) -> float:
    """A level, for which ``resamples`` must be enough."""
    if not (isinstance(level, Real) and 0 < level < 1):
        raise ValueError(f"level is {level!r}; it must lie between 0 and 1")
    least = int(np.ceil(1 / (1 - level) - 1 - 1e-6))
    if whole_number("resamples", resamples) < least:
        raise ValueError(f"resamples is {resamples}; level {level} needs {least} or more")
    return float(level)


def random(seed) -> np.random.Generator:
    """The generator of a seed, a whole number from 0."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise ValueError(f"seed is {seed!r}; it must be a whole number from 0") from None


def check_choice(name, value, choices) -> None:
    if not (isinstance(value, str) and value in choices):
        raise ValueError(f"{name} is {value!r}; choose one of: {', '.join(choices)}")


def whole_number(name, value) -> int:
    number = isinstance(value, Real) and not isinstance(value, bool)
    most = BINS if name == "bins" else MOST
    if not (number and 1 <= value <= most and value % 1 == 0):
        raise ValueError(f"{name} is {value!r}; it must be a whole number from 1 to {most:,}")
    return int(value)


def one_hot(y, classes):
    return np.eye(classes)[y]


def numbers(given, name, must="it must hold real numbers") -> np.ndarray:
    """A plain array of numbers; an error says what it holds and what it ``must``."""
    values = given
    if np.ma.is_masked(values) or (hasattr(values, "isna") and np.any(values.isna())):
        raise ValueError(f"{name} has masked or missing values; leave these rows out")
    try:
        values = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:  # rows of different lengths, a tensor
        raise ValueError(f"{name} is no array of numbers: {error}") from None
    if values.dtype == object and not values.ndim:  # a generator, a sparse matrix, a dict, None
        what = "None" if given is None else f"of the type {type(given).__name__}"
        raise ValueError(f"{name} is {what}; it must be an array, a list, a DataFrame or a Series")
    if values.dtype == object:  # such as pandas' nullable numbers
        values = np.asarray(values.tolist())
    try:
        values = values.astype(float) if values.dtype.kind in "OV" else values  # Decimal, bfloat16
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} holds values that are no numbers, or huge; {must}") from None
    if (kind := values.dtype.kind) not in "iuf":
        held = "text" if kind in "UST" else values.dtype
        raise ValueError(f"{name} holds {held}; {must}")
    return values


def _matrix(given, name) -> np.ndarray:
    values = numbers(given, name)
    if values.ndim != 2 or values.shape[1] < 2 or not len(values):
        shape = "(n, classes) with n >= 1 and classes >= 2"
        raise ValueError(f"{name} has shape {values.shape}; it must be {shape}")
    columns, order = _columns(given), list(map(str, range(values.shape[1])))
    if any(isinstance(column, tuple) for column in columns):
        one = f"leave one, such as {name}.droplevel(0, axis=1)"
        raise ValueError(f"the columns of {name} have several levels; {one}")
    if (said := list(map(str, columns))) != order and set(said) == set(order):
        raise ValueError(f"the columns of {name} are {columns}; labels count them in order from 0")
    return values.astype(np.float64, copy=False)


def _labels(y, given, p, name, own="y") -> np.ndarray:
    last, rows = p.shape[1] - 1, y
    alike = getattr(y, "shape", None) == p.shape
    hint = f"; of one-hot labels np.argmax({own}, axis=1)" if alike else ""
    y = numbers(y, own, (must := f"labels are whole numbers from 0 to {last}") + hint)
    if y.shape != (len(p),):
        shape = f"{own} has shape {y.shape}; it must be ({len(p)},)"
        raise ValueError(f"{shape}, one a row of {name}{hint}")
    same_index(given, rows, name, own)
    low, high = y.min(), y.max()
    if low == 1 and high == last + 1:
        raise ValueError(f"{own} runs from 1 to {high:g}; labels run from 0 to {last}: {own} - 1")
    bad = ~((y >= 0) & (y <= last) & (y == np.floor(y)))
    if bad.any():
        raise ValueError(f"{own}: row {bad.argmax()} is {y[bad.argmax()]}; {must}")
    if low == 1 and high > 1:
        what = f"{own} runs from 1 to {high:g} and is never 0"
        warnings.warn(f"{what}; labels run from 0 to {last}", stacklevel=4)
    return y.astype(np.intp, copy=False)


def same_index(one, other, name, other_name) -> None:
    """Refuse two pandas objects whose rows are named differently."""
    both = hasattr(one, "iloc") and hasattr(other, "iloc")
    if both and not one.index.equals(other.index):
        how = "bring them into one order, or give arrays to go by position"
        raise ValueError(f"{name} and {other_name} have different indexes; {how}")


def _columns(given) -> list:
    """Names of the columns of a DataFrame, or of what keeps them; none of an array. 2.0 is 2."""
    columns = getattr(given, "columns", None)
    whole = [] if columns is None else list(columns)
    return [int(c) if isinstance(c, float) and c.is_integer() else c for c in whole]


def _same_columns(given, names, name, others) -> None:
    """Refuse columns that share names with ``names`` but are not the same in this order."""
    columns = _columns(given)
    if columns != names and {*columns} & {*names}:
        raise ValueError(f"the columns of {name} are {columns}, but {others} {names}")


def _refuse_rows(bad, p, name, what):
    if bad.any():
        row = int(bad.argmax())
        more = f" ({int(bad.sum())} such rows)" if bad.sum() > 1 else ""
        raise ValueError(f"{name}: row {row} {what}: {np.array2string(p[row], precision=6)}{more}")
