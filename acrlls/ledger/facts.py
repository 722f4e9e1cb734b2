"""What a check is given and what it returns: claims, facts and outcomes."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import translate

import pandas as pd

from acrlls import paper, runs
from acrlls.config import UserError
from acrlls.paper import CLASSES, NUMBERS, Inconsistent, Number

# From the verdict that a reader must know first to the one that says least.
VERDICTS = (
    "does not follow",
    "lower than perfect calibration would show",
    "cannot be told from noise",
    "differs",
    "stands out from noise",
    "reproduced",
    "follows",
    "compatible",
    "not checkable",
)
CONTRARY, LOWER, NOISE, DIFFERS, STANDS_OUT, REPRODUCED, FOLLOWS, COMPATIBLE, UNCHECKABLE = VERDICTS
# What a check means by no, by yes, and by published numbers that contradict each other.
WAYS = {
    "follows": (CONTRARY, FOLLOWS, CONTRARY),
    "reproduced": (DIFFERS, REPRODUCED, UNCHECKABLE),
    "noise": (NOISE, STANDS_OUT, UNCHECKABLE),
}


class NotRecorded(LookupError):
    """A recorded run that a check needs does not exist."""


@dataclass(frozen=True)
class Claim:
    """One number or statement of the paper.

    Attributes:
        key: its name in ``paper.yml``.
        text: as the paper prints it.
        where: the places in the paper, separated by semicolons.
        what: what a number is the number of; empty for a statement.
        checks: the arguments of each check, by the check's name.
        reason: why nothing checks the claim, or None.
    """

    key: str
    text: str
    where: str
    what: str
    checks: Mapping[str, Mapping]
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
    """What a check found: one of :data:`VERDICTS`, and the evidence for it in whole sentences."""

    verdict: str
    evidence: str


@dataclass(frozen=True, eq=False)
class Facts:
    """Everything that checks look at.

    Attributes:
        numbers: the published numbers by key.
        recorded: name of the profile whose recorded runs are compared.
        bins: number of equal-width bins for the ECE of a recorded run.
        resamples: of every bootstrap and every simulation.
    """

    numbers: Mapping[str, Number] = field(default_factory=lambda: NUMBERS)
    recorded: str = "laptop"
    bins: int = 15
    resamples: int = 1000

    def value(self, key: str) -> float:
        return self.numbers[key].value

    def all_of(self, pattern: str) -> dict[str, Number]:
        """The numbers whose key matches, by what the ``*`` stands for; the classes alone where it
        stands for classes and averages."""
        match = re.compile(translate(pattern).replace(".*", "(.*)")).fullmatch
        found = {m[1]: n for key, n in self.numbers.items() if (m := match(key))}
        return {c: found[c] for c in CLASSES if c in found} or found

    def values(self, pattern: str) -> dict[str, float]:
        return {name: n.value for name, n in self.all_of(pattern).items()}

    def table(self, roman: str) -> pd.DataFrame:
        return paper.table(roman, self.numbers)

    @functools.cached_property
    def margins(self) -> pd.DataFrame:
        return paper.confusion_margins(self.numbers)

    @functools.cached_property
    def test_images(self) -> int:
        return int(self.value("split.test"))

    def correct(self, key: str) -> int:
        """The whole number of test images behind an accuracy."""
        options = paper.counts_behind(self.numbers[key], self.test_images)
        if len(options) != 1:
            printed = self.numbers[key].printed
            raise Inconsistent(f"{printed} is no whole number of {self.test_images:,} test images")
        return options[0]

    @functools.cached_property
    def runs(self) -> dict[tuple[str, str], runs.Run]:
        """Every recorded run by (change, variant).

        Raises:
            UserError: Baseline or Proposed is not among them.
        """
        found = runs.records(self.recorded)
        lacking = sorted(v for v in ("baseline", "proposed") if ("", v) not in found)
        if lacking:
            raise UserError(
                "the ledger compares the paper with a recorded Baseline and Proposed; "
                f"the record {self.recorded} lacks {' and '.join(lacking)}: "
                f"`acrlls reproduce --profile {self.recorded}` records them"
            )
        return found

    def run(self, variant: str) -> runs.Run:
        """The recorded run of a variant under the profile as it stands."""
        if ("", variant) not in self.runs:
            name = variant.replace("_", " ")
            raise NotRecorded(f"no run of {name} on the real images is recorded")
        return self.runs["", variant]

    def other_runs(self, variant: str) -> dict[str, runs.Run]:
        """Recorded runs of both phases with one setting changed, by the change."""
        of = {c: r for (c, v), r in self.runs.items() if v == variant and c}
        return {c: r for c, r in of.items() if r.config.phase2_epochs}

    def pairs(self, variant: str) -> dict[str, tuple[runs.Run, runs.Run]]:
        """Recorded runs of a variant and of Proposed with the same settings, by the change."""
        changes = [c for c in ("", *self.other_runs("proposed")) if (c, variant) in self.runs]
        return {
            c.replace("-", " ") or "as published": (self.runs[c, variant], self.runs[c, "proposed"])
            for c in changes
        }

    @property
    def heads(self) -> list[runs.Run]:
        """Recorded runs of Phase 1 of Proposed that differ from the profile in their seed only."""
        found = {c: r for (c, v), r in self.runs.items() if v == "proposed"}
        runs = [r for c, r in found.items() if c.startswith("phase1-seed")]
        if len(runs) < 2:
            raise NotRecorded("fewer than two seeds are recorded")
        return runs


def image(function, *numbers: Number) -> tuple[float, float]:
    """Least and greatest value of a function, monotone in each argument, over all numbers that
    round to the printed ones."""
    ends = [(n.value - n.half_unit, n.value + n.half_unit) for n in numbers]
    values = [function(*corner) for corner in itertools.product(*ends)]
    return min(values), max(values)


def meets(number: Number, low: float, high: float) -> bool:
    """Whether a number between ``low`` and ``high`` can be printed as ``number``."""
    slack = number.half_unit * (1 + 1e-9)
    return low - slack <= number.value <= high + slack


def listed(pairs: Mapping, form: str = "") -> str:
    """``name value`` pairs in a row."""
    return ", ".join(f"{name} {value:{form}}" for name, value in pairs.items())
