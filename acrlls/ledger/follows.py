"""Does a claim follow from the paper's own other numbers?

Rounding is interval arithmetic on the printed digits: a number follows where some numbers that
round to the printed ones give it.
"""

from __future__ import annotations

from acrlls.ledger.facts import CONTRARY, FOLLOWS, UNCHECKABLE
from acrlls.ledger.formula import KEY, reach, sentence, shown, value
from acrlls.paper import PUBLISHED, counts_behind


def equals(facts, claim, formula: str, says: str = ""):
    """Is it what the paper's other numbers give?"""
    number, (low, high) = facts.number(claim.key), reach(facts, formula)
    slack = number.half_unit * (1 + 1e-9)
    if key := KEY.fullmatch(formula):
        other = facts.number(key[1])
        text = f"{other.where} has {other.printed} ({other.what})"
        return low - slack <= number.value <= high + slack, f"{text}."
    digits = len(number.printed.rstrip("%").partition(".")[2]) + 1
    form = f".{digits}%" if number.printed.endswith("%") else f",.{digits * (digits > 1)}f"
    text = f"{shown(facts, formula)} = {value(facts, formula):{form}}"
    if f"{low:{form}}" != f"{high:{form}}":
        text += f"; unrounded, {low:{form}} to {high:{form}}"
    if says:
        text += f". {sentence(facts, says)}"
    return low - slack <= number.value <= high + slack, f"{text}."


def holds(facts, claim, condition: str, says: str, open_if: str = "False"):
    """Do the paper's other numbers say so?

    ``open_if`` is the condition under which a statement that they do not give is left open.
    """
    verdict = FOLLOWS if value(facts, condition) else CONTRARY
    if verdict == CONTRARY and value(facts, open_if):
        verdict = UNCHECKABLE
    return verdict, f"{sentence(facts, says)}."


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
    return CONTRARY, f"{where.split('; ')[0]} has “{quote}”. {sentence(facts, because)}."
