"""Checks of a claim by the paper's own other numbers that serve several claims.

A check is a function of the facts, the claim and the arguments that ``paper.yml`` gives; keys with
a ``*`` stand for several numbers.  Rounding is interval arithmetic on the printed digits: a number
follows where some numbers that round to the printed ones give it.  The first line of a function is
the question that it answers.
"""

from __future__ import annotations

import numpy as np

from acrlls.ledger.facts import image, listed, meets
from acrlls.paper import counts_behind


def sum_of(facts, claim, terms: str, total: str):
    """Do the parts sum to the total?"""
    parts, whole = [int(v) for v in facts.values(terms).values()], int(facts.value(total))
    text = f"{' + '.join(f'{k:,}' for k in parts)} = {sum(parts):,}"
    return sum(parts) == whole, f"{text}; the total is printed as {whole:,}."


def ratio(facts, claim, part: str, whole: str):
    """Is it the part divided by the whole?"""
    a, b = facts.value(part), facts.value(whole)
    holds = facts.numbers[claim.key].agrees(a / b)
    return holds, f"{a:,.0f} of {b:,.0f} is {a / b:.3%}."


def same(facts, claim, as_: list[str]):
    """Does the table have the same number?"""
    others, number = [facts.numbers[key] for key in as_], facts.numbers[claim.key]
    holds = all(meets(number, *image(lambda x: x, other)) for other in others)
    return holds, "; ".join(f"{o.where} has {o.printed} ({o.what})" for o in others) + "."


def extreme(facts, claim, of: str, pick: str, names=(), label="The values are"):
    """Is it the least or the greatest of its kind?"""
    values = facts.values(of)
    ranked = sorted(values, key=values.get, reverse=pick == "greatest")
    holds = set(ranked[: len(names)]) == set(names)
    if claim.key in facts.numbers:
        holds = holds and facts.value(claim.key) == values[ranked[0]]
    form = ",.0f" if min(values.values()) > 1 else ".4f"
    return holds, f"{label} {listed(values, form)}."


def bounded(facts, claim, of: str, above: str):
    """Does every value keep to the bound?"""
    values, bound = facts.values(of), facts.value(above)
    text = f"The values, to lie above {bound:g}, are {listed(values, '.4f')}."
    return min(values.values()) > bound, text


def in_order(facts, claim, keys: list[str], label="In the order stated:"):
    """Do the values stand in this order?"""
    values = [facts.value(key) for key in keys]
    return (np.diff(values) > 0).all(), f"{label} {', '.join(f'{v:.4f}' for v in values)}."


def equal(facts, claim, keys: list[str]):
    """Are the numbers equal?"""
    numbers = [facts.numbers[key] for key in keys]
    text = " and ".join(f"{n.what} is {n.printed}" for n in numbers)
    return len({n.value for n in numbers}) == 1, f"{text}."


def one_of(facts, claim, tried: str, first: str | None = None):
    """Is it one of the values that were tried, and the chosen one that of the first row?"""
    value, values = facts.value(claim.key), [*facts.values(tried).values()]
    holds, text = value in values, f"The values tried are {', '.join(f'{v:g}' for v in values)}."
    if first:
        holds = holds and value == facts.value(first)
        text += f" The first row of Table I has {facts.value(first):g}."
    return holds, text


def product_of_counts(facts, claim, of: list[str]):
    """Is it the size of the grid, or the number of rows of the table?"""
    sizes = [len(facts.all_of(pattern)) for pattern in of]
    product = int(np.prod(sizes))
    text = f"{' × '.join(map(str, sizes))} = {product}." if sizes[1:] else f"There are {product}."
    return product == facts.value(claim.key), text


def whole_number(facts, claim, of: str):
    """Is the accuracy a whole number of images?"""
    number, n = facts.numbers[claim.key], int(facts.value(of))
    for k in counts_behind(number, n):
        return True, f"{k:,} of {n:,} is {k / n:.3%}."
    k = int(number.value * n)
    text = f"No whole number of {n:,} images gives {number.printed}: "
    return False, f"{text}{k:,} are {k / n:.2%}, {k + 1:,} are {(k + 1) / n:.2%}."
