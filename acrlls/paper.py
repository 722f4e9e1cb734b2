"""The numbers that Win & Yao publish, as data, each with the place where it stands, and ours set beside them.

A number is kept as it is printed, because its digits say how closely another one must come to agree with it.
Percentages are handed out as fractions: ``94.68%`` has the value 0.9468.

>>> NUMBERS["accuracy.proposed"].value, NUMBERS["accuracy.proposed"].where
(0.9468, 'Section IV-B')
>>> float(table("V").loc["Proposed", "COVID"])
0.0024

The last part of the module does the paper's own arithmetic: what follows from its numbers, and what does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import linprog

CLASSES = ("COVID", "Lung Opacity", "Normal", "Viral Pneumonia")
MODELS = ("Baseline", "Single Dense", "Proposed")


@dataclass(frozen=True)
class Number:
    """One published number.

    Attributes:
        key: the name by which :data:`NUMBERS` knows it.
        printed: the number as the paper prints it, with its decimals, thousands separators and per cent sign.
        where: the place in the paper, such as ``"Table III"`` or ``"Section IV-B"``.
        what: what it is the number of.
    """

    key: str
    printed: str
    where: str
    what: str

    @property
    def value(self) -> float:
        """The number itself; a percentage as a fraction."""
        plain = self.printed.replace(",", "")
        return float(f"{plain[:-1]}e-2") if plain.endswith("%") else float(plain)

    @property
    def half_unit(self) -> float:
        """Half a unit in the last printed place: how far rounding alone can move it."""
        digits = self.printed.rstrip("%").partition(".")[2]
        return 0.5 * 10.0 ** -(len(digits) + 2 * self.printed.endswith("%"))

    def agrees(self, value: float) -> bool:
        """Whether ``value``, rounded to the printed digits, can be this number (a tie may go either way)."""
        return abs(value - self.value) <= self.half_unit * (1 + 1e-9)


@dataclass(frozen=True)
class Table:
    """One published table: title, what its rows are, columns, and cells as printed (``-`` is empty)."""

    title: str
    rows_are: str
    columns: tuple[str, ...]
    cells: Mapping[str, str]


TABLES = {
    "I": Table(
        "Top 5 ACR Parameter Configurations",
        "rank",
        ("alpha", "tau", "val_accuracy", "val_loss"),
        {
            "1": "0.08 0.25 87.04% 0.3647",
            "2": "0.15 0.30 87.30% 0.3721",
            "3": "0.10 0.15 87.07% 0.3744",
            "4": "0.10 0.30 86.60% 0.3746",
            "5": "0.10 0.20 86.46% 0.3759",
        },
    ),
    "II": Table(
        "Evolution of LLS Scaling Factors",
        "class",
        ("Phase 1", "Phase 2"),
        {
            "COVID": "0.8872 0.8759",
            "Lung Opacity": "0.8118 0.7993",
            "Normal": "1.0365 1.0399",
            "Viral Pneumonia": "1.0040 0.9761",
        },
    ),
    "III": Table(
        "Classification Report",
        "class",
        ("Precision", "Recall", "F1", "Support", "Share"),
        {
            "COVID": "0.9636 0.9742 0.9689 543 17.1%",
            "Lung Opacity": "0.9571 0.8893 0.9219 903 28.4%",
            "Normal": "0.9326 0.9680 0.9500 1530 48.1%",
            "Viral Pneumonia": "0.9704 0.9704 0.9704 203 6.4%",
            "Accuracy": "- - 0.9468 - -",
            "Macro Avg": "0.9559 0.9505 0.9528 - -",
            "Weighted Avg": "0.9473 0.9468 0.9465 - -",
        },
    ),
    "IV": Table(
        "Model Performance Comparison",
        "model",
        ("Accuracy", "F1"),
        {"Baseline": "94.02% 0.9461", "Single Dense": "94.02% 0.9450", "Proposed": "94.68% 0.9528"},
    ),
    "V": Table(
        "Model Calibration Comparison (ECE Values)",
        "model",
        CLASSES,
        {
            "Baseline": "0.0048 0.0188 0.0217 0.0038",
            "Single Dense": "0.0096 0.0189 0.0248 0.0033",
            "Proposed": "0.0024 0.0073 0.0083 0.0016",
        },
    ),
}

# Numbers that the running text gives class by class, in the order of CLASSES.
_BY_CLASS = {
    "images": ("3,616 6,012 10,192 1,345", "Section III-A", "images in the dataset"),
    "share": ("17.1% 28.4% 48.1% 6.4%", "Section III-A", "share of the dataset"),
    "class_weight": ("1.46 0.88 0.52 3.94", "Section III-A", "inverse-frequency class weight"),
    "auc": ("0.9987 0.9887 0.9882 0.9996", "Section IV-B", "AUC, one class against the rest"),
    "brier": ("0.0085 0.0343 0.0386 0.0031", "Section IV-C", "Brier score, one class against the rest"),
    "ece": ("0.0024 0.0073 0.0083 0.0016", "Section IV-C", "ECE of the proposed model"),
    "ece_reduction": ("50% 61.2% 61.8% 57.9%", "Section IV-D", "reduction of ECE, Baseline to Proposed"),
}

_TEXT = (
    ("images.total", "21,165", "Section III-A", "images in the dataset"),
    ("split.train", "14,814", "Section III-A", "images to train on"),
    ("split.validation", "3,172", "Section III-A", "images to validate on"),
    ("split.test", "3,179", "Section III-A", "images to test on"),
    ("split.train_share", "70%", "Section III-A", "share to train on"),
    ("split.validation_share", "15%", "Section III-A", "share to validate on"),
    ("split.test_share", "15%", "Section III-A", "share to test on"),
    ("image.size_before", "299", "Section III-A", "side of an image as it comes, in pixels"),
    ("image.size", "224", "Section III-A", "side of an image as it is used, in pixels"),
    ("augmentation.rotation", "15", "Section III-A", "rotation either way, in degrees"),
    ("augmentation.flip", "0.5", "Section III-A", "probability of a horizontal flip"),
    ("augmentation.shift", "10%", "Section III-A", "shift either way"),
    ("augmentation.shear", "10%", "Section III-A", "shear either way"),
    ("augmentation.zoom", "15%", "Section III-A", "zoom either way"),
    ("head.dense_1", "256", "Section II-A", "units of the first dense layer"),
    ("head.dense_2", "128", "Section II-A", "units of the second dense layer"),
    ("head.dropout_1", "0.4", "Section II-A", "dropout rate after the first dense layer"),
    ("head.dropout_2", "0.3", "Section II-A", "dropout rate after the second dense layer"),
    ("head.classes", "4", "Section II-A", "classes"),
    ("acr.alpha", "0.08", "Section II-B", "strength of ACR, alpha"),
    ("acr.tau", "0.25", "Section II-B", "margin that ACR aims at, tau"),
    ("acr.overconfidence_weight", "0.5", "Section II-B", "weight of the overconfidence term, equation (3)"),
    ("lls.initial", "1.0", "Section II-C", "scale of every class at the start"),
    ("phase1.epochs", "30", "Section II-D", "epochs of Phase 1"),
    ("phase1.learning_rate", "0.001", "Section II-D", "learning rate of Phase 1"),
    ("phase2.epochs", "50", "Section II-D", "epochs of Phase 2"),
    ("phase2.learning_rate", "0.0001", "Section II-D", "learning rate of Phase 2"),
    ("phase2.unfrozen_layers", "50", "Section II-D", "backbone layers that Phase 2 unfreezes"),
    ("grid.points", "16", "Section III-B", "combinations of alpha and tau that were tried"),
    ("grid.epochs", "10", "Section III-B", "epochs of each combination"),
    ("grid.patience", "3", "Section III-B", "patience of early stopping"),
    ("grid.val_loss_low", "0.3647", "Section III-B", "lowest validation loss of the top five"),
    ("grid.val_loss_high", "0.3759", "Section III-B", "highest validation loss of the top five"),
    ("accuracy.phase1", "87.57%", "Section IV-B", "test accuracy after Phase 1"),
    ("accuracy.proposed", "94.68%", "Section IV-B", "test accuracy after Phase 2"),
    ("accuracy.phase_gain", "7.11%", "Section IV-B", "gain of Phase 2, in percentage points"),
    ("accuracy.baseline", "94.02%", "Section IV-D", "test accuracy of the Baseline"),
    ("accuracy.gain", "0.66%", "Section IV-D", "gain of Proposed over Baseline, in percentage points"),
    ("errors.covid", "14", "Section IV-B", "COVID images that were misclassified"),
    ("errors.lung_opacity", "100", "Section IV-B", "Lung Opacity images that were misclassified"),
    ("errors.viral_as_covid", "0", "Section IV-B", "Viral Pneumonia images that were taken for COVID"),
    ("auc.above", "0.98", "Section IV-B", "what every AUC is above"),
    ("ece.well_calibrated", "0.05", "Section IV-C", "ECE below which a model counts as well calibrated"),
    ("ece.excellent", "0.01", "Section IV-C", "ECE below which calibration counts as excellent"),
    ("ece.lowest", "0.0016", "Abstract", "lowest ECE of the proposed model"),
    ("ece.highest", "0.0083", "Abstract", "highest ECE of the proposed model"),
    ("ece.reduction_up_to", "61%", "Abstract", "largest reduction of ECE against the Baseline"),
)

GRID_ALPHA = (0.08, 0.10, 0.15, 0.20)  # Section III-B
GRID_TAU = (0.15, 0.20, 0.25, 0.30)  # Section III-B


def _collect() -> dict[str, Number]:
    numbers = [Number(*row) for row in _TEXT]
    for name, (printed, where, what) in _BY_CLASS.items():
        pairs = zip(CLASSES, printed.split(), strict=True)
        numbers += [Number(f"{name}.{c}", text, where, f"{what}: {c}") for c, text in pairs]
    for roman, t in TABLES.items():
        for row, cells in t.cells.items():
            pairs = zip(t.columns, cells.split(), strict=True)
            key, where = f"table_{roman}.{row}", f"Table {roman}"
            numbers += [
                Number(f"{key}.{column}", text, where, f"{column} of {t.rows_are} {row}")
                for column, text in pairs
                if text != "-"
            ]
    return {n.key: n for n in numbers}


NUMBERS: dict[str, Number] = _collect()


def table(roman: str) -> pd.DataFrame:
    """A published table as numbers.

    Args:
        roman: ``"I"`` to ``"V"``.

    Returns:
        One row for each row of the table, in its order; percentages as fractions, empty cells NaN.
    """
    if roman not in TABLES:
        raise KeyError(f"the paper has the tables {', '.join(TABLES)}, not {roman!r}")
    t = TABLES[roman]
    keys = [[f"table_{roman}.{row}.{column}" for column in t.columns] for row in t.cells]
    values = [[NUMBERS[k].value if k in NUMBERS else math.nan for k in row] for row in keys]
    index = [int(row) for row in t.cells] if t.rows_are == "rank" else list(t.cells)
    return pd.DataFrame(values, index=pd.Index(index, name=t.rows_are), columns=list(t.columns))


def by_class(name: str) -> pd.Series:
    """What the running text gives class by class: ``"images"``, ``"share"``, ``"class_weight"``, ``"auc"``,
    ``"brier"``, ``"ece"`` or ``"ece_reduction"``.  Percentages as fractions."""
    if name not in _BY_CLASS:
        raise KeyError(f"the paper gives {', '.join(_BY_CLASS)} by class, not {name!r}")
    values = [NUMBERS[f"{name}.{c}"].value for c in CLASSES]
    return pd.Series(values, index=pd.Index(CLASSES, name="class"), name=name)


def beside(ours, published) -> pd.DataFrame:
    """Our values beside the published ones, and ours minus theirs.

    Args:
        ours: DataFrame, Series or mapping.  Rows and columns are matched by name, so its class names or model
            titles and its column names must be the paper's where a comparison is wanted.
        published: DataFrame or Series in the same form, or the number of a table, such as ``"V"``.

    Returns:
        For Series: the columns ``published``, ``ours`` and ``difference``.  For DataFrames: these three below
        each column's name.  Published rows come first; rows and columns that only one side has are kept, with
        NaN on the other side.
    """
    if isinstance(published, str):
        published = table(published)
    ours, published = (pd.Series(x) if isinstance(x, Mapping) else x for x in (ours, published))
    if isinstance(ours, pd.DataFrame) != isinstance(published, pd.DataFrame):
        raise TypeError(f"cannot set a {type(ours).__name__} beside a {type(published).__name__}")
    if isinstance(ours, pd.Series):
        rows = _union(published.index, ours.index)
        both = pd.DataFrame({"published": published.reindex(rows), "ours": ours.reindex(rows)}).astype(float)
        return both.assign(difference=both["ours"] - both["published"])
    empty = pd.Series(dtype=float)
    columns = {
        column: beside(ours.get(column, empty), published.get(column, empty))
        for column in _union(published.columns, ours.columns)
    }
    joined = pd.concat(columns, axis=1)
    return joined.reindex(_union(published.index, ours.index))


def show(frame: pd.DataFrame, decimals: int | Mapping[str, int] = 4, caption: str | None = None):
    """A frame of :func:`beside` for the eye: fixed decimals, signed differences, a dash for no number.

    Args:
        decimals: for every column, or for each by its (first) name, 4 for those not named.

    Returns:
        A pandas ``Styler``, which a notebook displays as a table.
    """

    def text(sign: str, places: int):
        return lambda x: "–" if pd.isna(x) else f"{x:{sign}z,.{places}f}".replace("-", "−")

    def formatted(column):
        first, last = (column[0], column[-1]) if isinstance(column, tuple) else (column, column)
        places = decimals.get(first, 4) if isinstance(decimals, Mapping) else decimals
        return text("+" if last == "difference" else "", places)

    styler = frame.style.format({c: formatted(c) for c in frame.columns})
    return styler.set_caption(caption) if caption else styler


def _union(first: pd.Index, second: pd.Index) -> pd.Index:
    """Labels of ``first``, then those that only ``second`` has."""
    return first.append(second[~second.isin(first)])


# --- what follows from the paper's own numbers --------------------------------------------------------------


def counts_behind(number: Number, n: int) -> list[int]:
    """The whole numbers k for which k / n rounds to a published fraction; empty if there is none."""
    low = math.ceil((number.value - number.half_unit) * n - 1e-6)
    high = math.floor((number.value + number.half_unit) * n + 1e-6)
    return [k for k in range(max(low, 0), min(high, n) + 1) if number.agrees(k / n)]


def confusion_margins() -> pd.DataFrame:
    """The whole numbers behind Table III.

    Recall and support give the correct predictions of a class; these and the precision give how often it was
    predicted.

    Returns:
        One row a class: ``support``, ``correct``, ``missed`` (of that class, called another), ``predicted``,
        ``false_alarms`` (called that class, of another).

    Raises:
        ValueError: the published digits leave none or several whole numbers.
    """
    rows = {}
    for c in CLASSES:
        support = int(NUMBERS[f"table_III.{c}.Support"].value)
        recall = NUMBERS[f"table_III.{c}.Recall"]
        correct = _only(counts_behind(recall, support), f"correct predictions of {c}")
        precision = NUMBERS[f"table_III.{c}.Precision"]
        largest = int(NUMBERS["split.test"].value)
        options = [m for m in range(correct, largest + 1) if precision.agrees(correct / m)]
        predicted = _only(options, f"predictions of {c}")
        rows[c] = {
            "support": support,
            "correct": correct,
            "missed": support - correct,
            "predicted": predicted,
            "false_alarms": predicted - correct,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("class")


def confusion_bounds(known: Mapping[tuple[str, str], int] | None = None) -> pd.DataFrame:
    """The least and the most that each cell of the unpublished confusion matrix can hold, given Table III.

    The cells off the diagonal fill a transport problem whose margins are known, so that the extremes of a
    cell are two linear programmes with whole-number solutions.

    Args:
        known: cells that the text gives as well, ``{(true class, predicted class): count}``.

    Returns:
        Rows ``(true, predicted)`` of two different classes; columns ``low`` and ``high``.
    """
    margins = confusion_margins()
    cells = [(t, p) for t in CLASSES for p in CLASSES if t != p]
    equations = [[float(cell[side] == c) for cell in cells] for side in (0, 1) for c in CLASSES]
    totals = [*margins["missed"], *margins["false_alarms"]]
    limits = [(known[cell], known[cell]) if known and cell in known else (0, None) for cell in cells]
    rows = []
    for i in range(len(cells)):
        aim = np.eye(len(cells))[i]
        ends = [linprog(sign * aim, A_eq=equations, b_eq=totals, bounds=limits) for sign in (1, -1)]
        if not all(end.success for end in ends):
            raise ValueError("no confusion matrix has these margins")
        rows.append([round(end.x[i]) for end in ends])
    index = pd.MultiIndex.from_tuples(cells, names=["true", "predicted"])
    return pd.DataFrame(rows, columns=["low", "high"], index=index)


def ece_reductions(model: str = "Proposed", reference: str = "Baseline") -> pd.Series:
    """The share by which one model's ECE lies below another's, class by class, from Table V."""
    ece = table("V")
    return (1 - ece.loc[model] / ece.loc[reference]).rename("ece_reduction")


def _only(options: list[int], what: str) -> int:
    if len(options) != 1:
        raise ValueError(f"the published digits leave {len(options)} whole numbers for the {what}: {options}")
    return options[0]
