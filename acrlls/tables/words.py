"""How a computed sentence writes numbers."""

import numpy as np


def number(x: float, places: int = 3, signed: bool = False) -> str:
    """A number with fixed decimals and, below zero, a true minus sign; zero has no sign."""
    text = f"{x:z.{places}f}"
    return f"{'+' * (signed and float(text) > 0)}{text}".replace("-", "−")


def error(x: float, signed: bool = False) -> str:
    """A calibration error, or the difference of two: three decimals, below 0.01 four."""
    return number(x, 4 if abs(x) < 0.01 else 3, signed)


def power(x: float) -> str:
    """A small positive number such as ``2.4 × 10^-7`` as TeX; ``0`` for zero."""
    digits, exponent = f"{x:.1e}".split("e")
    return rf"${digits} \times 10^{{{int(exponent)}}}$" if x else "0"


def span(values, write=number) -> str:
    """``"0.799 to 1.040"``, the least and the largest of some values; one where they read alike."""
    return " to ".join(dict.fromkeys(write(end) for end in (np.min(values), np.max(values))))


def percent(share: float, places: int = 0) -> str:
    """A share in [0, 1] as a percentage."""
    return f"{100 * share:.{places}f} %"


def plural(count: int, one: str, many: str | None = None) -> str:
    """The count with its noun: ``"1 image"``, ``"2 images"``."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def runs_of(runs: int, seeds: int) -> str:
    """Such as "one seed", or "2 runs of one seed" where runs share seeds."""
    said = "one seed" if seeds == 1 else f"{seeds} seeds"
    return said if runs == seeds else f"{runs} runs of {said}"


def signed(estimate: float, low: float, high: float) -> str:
    """A difference with its interval: ``+0.015 (0.000 to +0.032)``; four decimals where the
    interval is narrower than 0.01."""
    places = 4 if high - low < 0.01 else 3
    middle, *ends = (number(x, places, signed=True) for x in (estimate, low, high))
    return f"{middle} ({' to '.join(ends)})"
