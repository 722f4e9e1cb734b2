"""How a computed sentence writes numbers."""


def number(x: float, places: int = 3, signed: bool = False) -> str:
    """A number with fixed decimals and, below zero, a true minus sign."""
    return f"{x:{'+' if signed else ''}.{places}f}".replace("-", "−")


def percent(share: float, places: int = 0) -> str:
    """A share in [0, 1] as a percentage."""
    return f"{100 * share:.{places}f} %"


def plural(count: int, one: str, many: str | None = None) -> str:
    """The count with its noun: ``"1 image"``, ``"2 images"``."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def signed(estimate: float, low: float, high: float, digits: int = 4) -> str:
    """A difference with its interval: ``+0.015 (+0.000 to +0.032)``."""
    text = f"{estimate:+z.{digits}f} ({low:+z.{digits}f} to {high:+z.{digits}f})"
    return text.replace("-", "−")


def listed(names) -> str:
    """Names with commas between them, or ``"none"``."""
    return ", ".join(names) or "none"
