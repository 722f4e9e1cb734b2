"""Arithmetic that ``claims.yml`` spells out: formulas, and sentences with formulas in them.

A formula is a Python expression in which ``[images.Normal]`` is a number of :class:`Facts` and
``[images.*]`` an array of several.  In a sentence a formula stands in braces, with a format if one
is wanted: ``It leads by {[table_I.2.val_loss] - [table_I.1.val_loss]:.4f}``.
"""

from __future__ import annotations

import itertools
import re

import numpy as np
from scipy.special import softmax
from scipy.stats import rankdata

KEY = re.compile(r"\[([a-z]\w*\.[^][]+)\]")
WORDS = {f.__name__: f for f in (all, max, min, sum, np.argmax, np.mean, softmax)}
WORDS |= {"count": len, "ranks": rankdata}
SIGNS = {" * ": " × ", " - ": " − "}


def value(facts, formula: str, corner: dict | None = None):
    """The value of a formula; ``corner`` replaces numbers by key."""
    names = {}

    def name(match):
        found = facts.all_of(match[1]).values()
        several = np.array([(corner or {}).get(n.key, n.value) for n in found])
        names[f"k{len(names)}"] = several if "*" in match[1] else several[0]
        return f"k{len(names) - 1}"

    code = KEY.sub(name, formula)
    # The formulas are the package's own data, and see no name but these.
    return eval(code, {"__builtins__": {}}, WORDS | names)


def reach(facts, formula: str) -> tuple[float, float]:
    """Least and greatest value of a formula, monotone in each of its numbers, over all numbers that
    round to the printed ones; whole numbers are counts, and exact."""
    keys = {n.key: n for key in KEY.findall(formula) for n in facts.all_of(key).values()}
    ends = [
        [(n.key, n.value - n.half_unit), (n.key, n.value + n.half_unit)]
        for n in keys.values()
        if "%" in n.printed or "." in n.printed
    ]
    values = [value(facts, formula, dict(corner)) for corner in itertools.product(*ends)]
    return min(values), max(values)


def shown(facts, formula: str) -> str:
    """A formula with its numbers in place of their keys."""
    text = KEY.sub(lambda match: _printed(facts, match[1], names=False), formula)
    for sign, better in SIGNS.items():
        text = text.replace(sign, better)
    return re.sub(r"(\w)\(\(([^()]*)\)\)", r"\1(\2)", text)  # one pair of brackets is enough


def sentence(facts, template: str) -> str:
    """A template with the values of its formulas."""

    def filled(match):
        formula, form = match[1], match[2]
        if form is None and (key := KEY.fullmatch(formula)):
            return _printed(facts, key[1], bare=True)
        return f"{value(facts, formula):{form or ',.0f'}}"

    return re.sub(r"\{([^{}]+?)(?::([^{}: ]+))?\}", filled, template)


def _printed(facts, key: str, bare: bool = False, names: bool = True) -> str:
    found = facts.all_of(key)
    if "*" not in key:
        return facts.number(key).printed
    names = names and not next(iter(found)).isdigit()
    each = ", ".join(f"{name} {n.printed}" if names else n.printed for name, n in found.items())
    return each if bare else f"({each})"
