"""What a check is given and what it returns: claims, facts and outcomes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from functools import cache, cached_property

import pandas as pd

from acrlls import paper
from acrlls.config import UserError
from acrlls.data import split_counts
from acrlls.method import VARIANTS
from acrlls.paper import CLASSES, MODELS, NUMBERS, Inconsistent, Number
from acrlls.runs import Run
from acrlls.tables.recorded import AS_PUBLISHED, first_phase, setting
from acrlls.tables.words import runs_of

# How much hangs on a claim: the thesis, a result, a choice of the authors, a turn of phrase.
WEIGHTS = ("main", "result", "set-up", "wording")
read = cache(setting)  # every record is read once
NETWORK = {variant.title: name for name, variant in VARIANTS.items()}


class NotRecorded(UserError):
    """A recorded run that a check needs does not exist."""


@dataclass(frozen=True)
class Claim:
    """One number or statement of the paper: its ``key`` in ``paper.yml``, its ``text`` as printed,
    the places ``where`` (separated by semicolons), ``what`` a number is the number of (empty for a
    statement), its ``weight``, and the arguments of each of its ``checks`` or the ``reason`` for
    having none."""

    key: str
    text: str
    where: str
    what: str
    weight: str
    checks: Mapping[str, Mapping]
    reason: str | None


@dataclass(frozen=True)
class Outcome:
    """What a check found: a verdict, and the evidence for it in whole sentences."""

    verdict: str
    evidence: str


@dataclass(frozen=True, eq=False)
class Facts:
    """Everything that checks look at: the published ``numbers`` by key, the profile whose
    ``recorded`` runs are compared, the number of equal-width ``bins`` for the ECE of such a run,
    the ``resamples`` of every bootstrap (simulations draw several times as many), and the
    ``seed`` of both."""

    numbers: Mapping[str, Number] = field(default_factory=lambda: NUMBERS)
    recorded: str = "laptop"
    bins: int = 15
    resamples: int = 1000
    seed: int = 0

    # --- Numbers, published and derived

    def all_of(self, pattern: str) -> dict[str, Number]:
        """The numbers whose key matches, by what the ``*`` stands for, or by the key; the classes
        alone where it stands for classes and averages."""
        group = pattern.split(".")[0]
        numbers = derived(self, group) if group in DERIVED else self.numbers
        if "*" not in pattern:
            return {pattern: numbers[pattern]}
        match = re.compile(translate(pattern).replace(".*", "(.*)")).fullmatch
        found = {m[1]: n for key, n in numbers.items() if (m := match(key))}
        return {c: found[c] for c in CLASSES if c in found} or found

    def number(self, key: str) -> Number:
        return self.all_of(key)[key]

    def value(self, key: str) -> float:
        return self.number(key).value

    @cached_property
    def test_images(self) -> int:
        return int(self.value("split.test"))

    @cached_property
    def margins(self) -> pd.DataFrame:
        return paper.confusion_margins(self.numbers)

    def correct(self, key: str) -> int:
        """The whole number of test images behind an accuracy."""
        options = paper.counts_behind(self.numbers[key], self.test_images)
        if len(options) != 1:
            printed = self.numbers[key].printed
            raise Inconsistent(f"{printed} is no whole number of {self.test_images:,} test images")
        return options[0]

    # --- Recorded runs

    def runs_of(self, *models: str, setting: str = AS_PUBLISHED) -> list[tuple[Run, ...]]:
        """Recorded runs of some models, such as ``"Single Dense"``; one of each from every group of
        runs that has all of them.  Raises :class:`NotRecorded` where no group has."""
        names, found = [NETWORK[m] for m in models], read(setting, self.recorded)
        if groups := found.common(*[(n, "") for n in names]):
            return [tuple(found.runs[n][g] for n in names) for g in groups]
        raise NotRecorded(
            f"no run of {' and '.join(models)} {setting} is recorded; "
            f"`acrlls reproduce --profile {self.recorded}` records one"
        )

    @cached_property
    def heads(self) -> list[tuple[Run]]:
        """Recorded runs of Proposed as published, of Phase 1 alone, one a seed.  Raises
        :class:`NotRecorded` where there are fewer than two."""
        found = [(run,) for run in first_phase(self.recorded).of("proposed")]
        if len(found) < 2:
            raise NotRecorded("fewer than two seeds are recorded")
        return found


def _parts(facts: Facts) -> pd.DataFrame:
    counts = [n.value for n in facts.all_of("images.*").values()]
    shares = [facts.value(f"split.{name}_share") for name in ("train", "validation")]
    return pd.DataFrame(split_counts(counts, *shares), ["train", "validation", "test"], CLASSES)


def _bounds(facts: Facts) -> pd.DataFrame:
    frame = paper.confusion_bounds(facts.numbers).T
    return frame.set_axis(frame.columns.map(".".join), axis=1)


def _right(facts: Facts) -> pd.DataFrame:
    keys = {m: f"table_IV.{m}.Accuracy" for m in MODELS} | {"Phase 1": "accuracy.phase1"}
    return pd.DataFrame({name: [facts.correct(k)] for name, k in keys.items()}, ["test"])


# Whole numbers behind the published ones: images of each part of the split, what Table III counts,
# bounds of the confusion matrix, and the images that each accuracy counts.
DERIVED = {"part": _parts, "cell": lambda facts: facts.margins.T, "bound": _bounds, "right": _right}


@cache
def derived(facts: Facts, group: str) -> dict[str, Number]:
    """The numbers of a group of :data:`DERIVED`, such as ``part.train.COVID``."""
    cells = DERIVED[group](facts).stack()
    keys = {f"{group}.{row}.{column}": int(k) for (row, column), k in cells.items()}
    return {key: Number(key, f"{k:,}", "", "") for key, k in keys.items()}


def one_a_seed(found) -> list:
    """Of tuples of paired runs, in order, the last of each seed."""
    return [*{run.config.seed: (run, *rest) for run, *rest in found}.values()]


def how_many(found) -> str:
    """Such as "2 runs of one seed", for a list of tuples of paired runs."""
    return runs_of(len(found), len({run.config.seed for run, *_ in found}))


def listed(pairs: Mapping, form: str = "") -> str:
    """``name value`` pairs in a row."""
    return ", ".join(f"{name} {value:{form}}" for name, value in pairs.items())
