"""What a check gets and what it gives: claims, facts, outcomes.  Internal to ``ledger``."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from acrlls.config import UserError
from acrlls.paper import paper
from acrlls.paper.paper import NUMBERS, Number
from acrlls.runs import recorded as records

WAYS = (
    "follows",
    "reproduced",
    "noise",
)  # from the paper itself; by the recorded runs; against chance

# From the one that a reader must know first to the one that says least: the first of a claim heads its row.
VERDICTS = (
    "does not follow",
    "lower than perfect calibration would show",
    "cannot be told from noise",
    "differs",
    "stands out from noise",
    "reproduced",
    "follows",
    "not checkable",
)
CONTRARY, LOWER, NOISE, DIFFERS, STANDS_OUT, REPRODUCED, FOLLOWS, UNCHECKABLE = VERDICTS


@dataclass(frozen=True)
class Claim:
    """One number or statement of the paper.

    Attributes:
        key: its name in ``paper.yml``.
        text: as the paper prints it.
        where: the places, separated by semicolons.
        what: what a number is the number of; empty for a statement.
        checks: names of its checks.
        reason: why nothing checks it, or None.
    """

    key: str
    text: str
    where: str
    what: str
    checks: tuple[str, ...]
    reason: str | None

    @property
    def row(self) -> str:
        """Second part of the key: the class, the model or the rank."""
        return self.key.split(".")[1]

    @property
    def column(self) -> str:
        """Last part of the key: the column of a table."""
        return self.key.rsplit(".", 1)[-1]


@dataclass(frozen=True)
class Outcome:
    """What a check found: one of :data:`VERDICTS`, and the arithmetic or the figures behind it as a sentence."""

    verdict: str
    evidence: str


@dataclass(frozen=True)
class Check:
    """A pure function ``(claim, facts) -> Outcome`` under its name, and the way in which it checks."""

    name: str
    way: str
    function: Callable[[Claim, Facts], Outcome]

    @property
    def title(self) -> str:
        return inspect.getdoc(self.function).splitlines()[0].rstrip(".")


CHECKS: dict[str, Check] = {}


def check(way: str):
    """Registers a function under its name among :data:`CHECKS`."""

    def register(function):
        CHECKS[function.__name__] = Check(function.__name__, way, function)
        return function

    return register


@dataclass(frozen=True)
class Facts:
    """Everything that checks look at; what is expensive is computed once, when first asked for.

    Attributes:
        numbers: the published numbers by key.
        recorded: name of the profile whose records are compared, in ``folder``.
        bins: number of equal-width bins where a recorded run's ECE is computed.
        resamples: of every bootstrap and every simulation.
        seed: of the same.
    """

    numbers: Mapping[str, Number] = field(default_factory=lambda: NUMBERS)
    recorded: str = "laptop"
    folder: Path = records.RESULTS
    bins: int = 15
    resamples: int = 1000
    seed: int = 0
    cache: dict = field(default_factory=dict, repr=False)

    def value(self, key: str) -> float:
        return self.numbers[key].value

    def by_class(self, name: str, column: str = "") -> dict[str, Number]:
        """The numbers ``name.<class>`` or ``name.<class>.<column>`` by class."""
        return {c: self.numbers[f"{name}.{c}{column and '.' + column}"] for c in paper.CLASSES}

    def ece(self, model: str) -> dict[str, Number]:
        """The row of a model in Table V."""
        return {c: self.numbers[f"table_V.{model}.{c}"] for c in paper.CLASSES}

    @functools.cached_property
    def margins(self) -> pd.DataFrame:
        return paper.confusion_margins(self.numbers)

    def correct(self, key: str) -> int:
        """The whole number of test images behind an accuracy."""
        n = int(self.value("split.test"))
        options = paper.counts_behind(self.numbers[key], n)
        if len(options) != 1:
            raise paper.Inconsistent(
                f"{self.numbers[key].printed} is no whole number of {n:,} test images"
            )
        return options[0]

    @functools.cached_property
    def runs(self) -> dict[tuple[str, str], records.Run]:
        """Every record by (change, variant).

        Raises:
            UserError: Baseline or Proposed is not among them.
        """
        found = records.records(self.recorded, self.folder)
        if missing := {"baseline", "proposed"} - {
            variant for change, variant in found if not change
        }:
            raise UserError(
                f"the ledger compares the paper with a recorded Baseline and Proposed; "
                f"{self.folder / self.recorded} lacks "
                f"{' and '.join(sorted(missing))}: `acrlls reproduce --profile {self.recorded}` records them"
            )
        return found

    def run(self, variant: str) -> records.Run | None:
        """The record of a variant under the profile as it stands, or None."""
        return self.runs.get(("", variant))

    def other_runs(self, variant: str) -> dict[str, records.Run]:
        """Records of the same variant with one setting changed, both phases, by the change."""
        return {
            c: r for (c, v), r in self.runs.items() if v == variant and c and r.config.phase2_epochs
        }

    def heads(self, variant: str) -> list[records.Run]:
        """Records of Phase 1 alone that differ from the profile in nothing but their seed."""
        return [
            r for (c, v), r in self.runs.items() if v == variant and c.startswith("phase1-seed")
        ]


def image(function, *numbers: Number) -> tuple[float, float]:
    """Least and greatest value of a function over all numbers that round to the printed ones.

    For functions that are monotone in each argument, as differences, shares, means and ratios are: the extremes
    lie in corners.
    """
    ends = [(n.value - n.half_unit, n.value + n.half_unit) for n in numbers]
    values = [function(*corner) for corner in itertools.product(*ends)]
    return min(values), max(values)


def meets(number: Number, low: float, high: float) -> bool:
    """Whether a number between ``low`` and ``high`` can be printed as ``number``."""
    slack = number.half_unit * (1 + 1e-9)
    return low - slack <= number.value <= high + slack


def verdict(holds: bool) -> str:
    return FOLLOWS if holds else CONTRARY


def listed(pairs: Mapping, form: str = "") -> str:
    """``name value`` pairs in a row."""
    return ", ".join(f"{name} {value:{form}}" for name, value in pairs.items())
