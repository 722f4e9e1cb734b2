"""What Win & Yao publish, as data.

Each number in ``paper.yml`` is kept as it is printed, because its digits say how closely another
one must come to agree with it.  Percentages are handed out as fractions.

>>> NUMBERS["accuracy.baseline"].value, NUMBERS["accuracy.baseline"].where
(0.9402, 'Section IV-D')
>>> float(table("V").loc["Proposed", "COVID"])
0.0024
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy.optimize import linprog

CLASSES = ("COVID", "Lung Opacity", "Normal", "Viral Pneumonia")
MODELS = ("Baseline", "Single Dense", "Proposed")
__all__ = ["CLASSES", "MODELS", "NUMBERS", "PUBLISHED", "Inconsistent", "Number", "by_class"]
__all__ += ["confusion_bounds", "confusion_margins", "counts_behind", "show", "table"]
PUBLISHED = yaml.safe_load(Path(__file__).with_name("paper.yml").read_text("utf-8"))


class Inconsistent(ValueError):
    """Published numbers that contradict each other."""


@dataclass(frozen=True)
class Number:
    """One published number: its key in :data:`NUMBERS`, as the paper prints it (with decimals,
    separators and per cent sign), the place, such as ``"Table III"``, several separated by
    semicolons, and what it is the number of.
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
        """Whether ``value``, rounded to the printed digits, can be this number (a tie may go either
        way)."""
        return abs(value - self.value) <= self.half_unit * (1 + 1e-9)


def _collect() -> dict[str, Number]:
    numbers = [Number(key, *row) for key, row in PUBLISHED["numbers"].items()]
    for name, (printed, where, what) in PUBLISHED["by_class"].items():
        pairs = zip(CLASSES, printed.split(), strict=True)
        numbers += [Number(f"{name}.{c}", text, where, f"{what}: {c}") for c, text in pairs]
    for roman, t in PUBLISHED["tables"].items():
        for row, cells in t["cells"].items():
            key, where, what = f"table_{roman}.{row}", f"Table {roman}", t["what"]
            for column, text in zip(t["columns"], cells.split(), strict=True):
                said = what.format(row=row, column=column.replace("val_", "validation "))
                if text != "-":
                    numbers.append(Number(f"{key}.{column}", text, where, said))
    return {n.key: n for n in numbers}


NUMBERS: dict[str, Number] = _collect()


def table(roman: str, numbers: Mapping[str, Number] = NUMBERS) -> pd.DataFrame:
    """The published table ``"I"`` to ``"V"`` as numbers, row by row in its order; percentages as
    fractions, empty cells NaN.
    """
    t = PUBLISHED["tables"][roman]
    keys = [[f"table_{roman}.{row}.{column}" for column in t["columns"]] for row in t["cells"]]
    values = [[numbers[k].value if k in numbers else math.nan for k in row] for row in keys]
    index = [int(row) if row.isdigit() else row for row in t["cells"]]
    return pd.DataFrame(values, pd.Index(index, name=t["rows"]), t["columns"])


def by_class(name: str) -> pd.Series:
    """What the running text gives class by class: ``"images"``, ``"share"``, ``"class_weight"``,
    ``"auc"``, ``"brier"``, ``"ece"`` or ``"ece_reduction"``.  Percentages as fractions."""
    values = [NUMBERS[f"{name}.{c}"].value for c in CLASSES]
    return pd.Series(values, index=pd.Index(CLASSES, name="class"), name=name)


def show(frame: pd.DataFrame, decimals: int | Mapping[str, int] = 4, caption: str | None = None):
    """A frame for the eye, as a pandas ``Styler``: fixed decimals for every column, or for each by
    its (first) name, 4 for those not named, signed differences and changes but for zero, a dash for
    no number; a line that breaks in a narrow window breaks before an interval, not within it.
    """

    def formatted(column):
        first, last = (column[0], column[-1]) if isinstance(column, tuple) else (column, column)
        places = decimals.get(first, 4) if isinstance(decimals, Mapping) else decimals
        sign = "+" if str(last).endswith(("difference", "change")) else ""

        def text(x):
            if isinstance(x, str):
                return x.replace(" to ", "\u00a0to\u00a0").replace("± ", "±\u00a0")
            written = f"{x:{sign}z,.{places}f}".replace("-", "−")
            return written if written.strip("+0.") else written.lstrip("+")

        return text

    styler = frame.style.format({c: formatted(c) for c in frame.columns}, na_rep="–")
    return styler.set_caption(caption.replace(" %", "\u00a0%")) if caption else styler


# --- Whole numbers behind the published ones ---------------------------------------------------


def counts_behind(number: Number, n: int) -> list[int]:
    """The whole numbers k for which k / n rounds to a published fraction; empty if there is
    none."""
    low = math.floor((number.value - number.half_unit) * n)
    high = math.ceil((number.value + number.half_unit) * n)
    return [k for k in range(max(low, 0), min(high, n) + 1) if number.agrees(k / n)]


def confusion_margins(numbers: Mapping[str, Number] = NUMBERS) -> pd.DataFrame:
    """The whole numbers behind Table III, a row a class: ``support``, ``correct``, ``missed`` (of
    that class, called another), ``predicted``, ``false_alarms`` (called that class, of another);
    ``Inconsistent`` if recall and precision leave none or several.
    """
    rows = {}
    for c in CLASSES:
        support, most = (int(numbers[k].value) for k in (f"table_III.{c}.Support", "split.test"))
        recall, precision = (numbers[f"table_III.{c}.{name}"] for name in ("Recall", "Precision"))
        correct = _only(counts_behind(recall, support), f"correct predictions of {c}")
        options = [m for m in range(correct, most + 1) if precision.agrees(correct / m)]
        predicted = _only(options, f"predictions of {c}")
        rows[c] = [support, correct, support - correct, predicted, predicted - correct]
    columns = ["support", "correct", "missed", "predicted", "false_alarms"]
    return pd.DataFrame.from_dict(rows, "index", columns=columns).rename_axis("class")


def confusion_bounds(numbers: Mapping[str, Number] = NUMBERS) -> pd.DataFrame:
    """The least and the most (``low``, ``high``) that each cell ``(true, predicted)`` off the
    diagonal of the unpublished confusion matrix can hold, given Table III.
    """
    margins = confusion_margins(numbers)  # of a transport problem, so that solutions are whole
    cells = [(t, p) for t in CLASSES for p in CLASSES if t != p]
    equations = [[float(cell[side] == c) for cell in cells] for side in (0, 1) for c in CLASSES]
    totals = [*margins["missed"], *margins["false_alarms"]]
    rows = []
    for i, aim in enumerate(np.eye(len(cells))):
        ends = [linprog(sign * aim, A_eq=equations, b_eq=totals) for sign in (1, -1)]
        if not all(end.success for end in ends):
            raise Inconsistent("no confusion matrix has these margins")
        rows.append([round(end.x[i]) for end in ends])
    index = pd.MultiIndex.from_tuples(cells, names=["true", "predicted"])
    return pd.DataFrame(rows, columns=["low", "high"], index=index)


def _only(options: list[int], what: str) -> int:
    if len(options) != 1:
        left = f"the published digits leave {len(options)} whole numbers"
        raise Inconsistent(f"{left} for the {what}: {options}")
    return options[0]
