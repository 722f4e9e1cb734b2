"""Does a claim follow from the paper's own other numbers?

``claims.yml`` spells the arithmetic out. A *formula* is a Python expression in which
``[images.Normal]`` is a number of :class:`Facts` and ``[images.*]`` an array of several. In a
*sentence* a formula stands in braces, with a format if one is wanted: ``It leads by
{[table_I.2.val_loss] - [table_I.1.val_loss]:.4f}``. Rounding is interval arithmetic: a number
follows where some numbers that round to the printed ones give it."""

import itertools
import re

import numpy as np
from scipy.special import softmax
from scipy.stats import rankdata

from acrlls.ledger import verdicts as V
from acrlls.paper import PUBLISHED, counts_behind

KEY = re.compile(r"\[([a-z]\w*\.[^][]+)\]")
WORDS = {f.__name__: f for f in (all, max, min, sum, np.argmax, np.mean, softmax)}
WORDS |= {"count": len, "ranks": rankdata}


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
    rounded = [n for n in keys.values() if "%" in n.printed or "." in n.printed]
    ends = [[(n.key, n.value - n.half_unit), (n.key, n.value + n.half_unit)] for n in rounded]
    values = [value(facts, formula, dict(corner)) for corner in itertools.product(*ends)]
    return min(values), max(values)


def shown(facts, formula: str) -> str:
    """A formula with its numbers in place of their keys."""
    text = KEY.sub(lambda match: _printed(facts, match[1], "({})", named=False), formula)
    text = text.replace(" * ", " × ").replace(" - ", " − ")
    return re.sub(r"(\w)\(\(([^()]*)\)\)", r"\1(\2)", text)  # one pair of brackets is enough


def sentence(facts, template: str) -> str:
    """A template with the values of its formulas."""

    def filled(match):
        formula, form = match[1], match[2]
        if form is None and (key := KEY.fullmatch(formula)):
            return _printed(facts, key[1])
        return f"{value(facts, formula):{form or ',.0f'}}"

    return re.sub(r"\{([^{}]+?)(?::([^{}: ]+))?\}", filled, template)


def _printed(facts, key: str, frame: str = "{}", named: bool = True) -> str:
    found = facts.all_of(key)
    if "*" not in key:
        return found[key].printed
    named = named and not next(iter(found)).isdigit()
    each = [f"{name} {n.printed}" if named else n.printed for name, n in found.items()]
    return frame.format(", ".join(each))


# --- Checks ------------------------------------------------------------------------------------


def equals(facts, claim, formula: str, says: str = ""):
    """Is it what the paper's other numbers give?"""
    number, (low, high) = facts.number(claim.key), reach(facts, formula)
    slack = number.half_unit * (1 + 1e-9)
    found = low - slack <= number.value <= high + slack
    if key := KEY.fullmatch(formula):
        other = facts.number(key[1])
        return found, f"{other.where} has {other.printed} ({other.what})."
    digits = len(number.printed.rstrip("%").partition(".")[2]) + 1
    form = f".{digits}%" if number.printed.endswith("%") else f",.{digits * (digits > 1)}f"
    text = f"{shown(facts, formula)} = {value(facts, formula):{form}}"
    if f"{low:{form}}" != f"{high:{form}}":
        text += f"; unrounded, {low:{form}} to {high:{form}}"
    return found, f"{text}. {sentence(facts, says)}." if says else f"{text}."


def holds(facts, claim, condition: str, says: str, open_if: str = "False"):
    """Do the paper's other numbers say so?

    ``open_if`` is the condition under which a statement that they do not give is left open."""
    missed = V.UNCHECKABLE if value(facts, open_if) else V.CONTRARY
    return V.FOLLOWS if value(facts, condition) else missed, f"{sentence(facts, says)}."


def whole_number(facts, claim, of: str):
    """Is the accuracy a whole number of images?"""
    number, n = facts.number(claim.key), int(facts.value(of))
    for k in counts_behind(number, n):
        return True, f"{k:,} of {n:,} is {k / n:.3%}."
    k = int(number.value * n)
    text = f"No whole number of {n:,} images gives {number.printed}: "
    return False, f"{text}{k:,} are {k / n:.2%}, {k + 1:,} are {(k + 1) / n:.2%}."


def at_odds(facts, claim, with_: str, because: str):
    """Does the paper say otherwise elsewhere?"""
    quote, where = PUBLISHED["statements"][with_]
    return V.CONTRARY, f"{where.split('; ')[0]} has “{quote}”. {sentence(facts, because)}."


CHECKS = (equals, holds, whole_number, at_odds)
