"""The front page's computed part: what the cells tagged ``front`` of an executed section say and
show.
"""

from __future__ import annotations

import re
from pathlib import Path

_CARD = re.compile(r"\*\*(?P<title>[^*]+\?)\*\* (?P<text>.+)", re.DOTALL)


def front(notebook, folder: Path, name: str = "front") -> str:
    """Markdown of those cells in their order; their figures are written into ``folder``, those that
    recompute stay HTML.

    Neighbouring sentences that begin with a question in bold become a grid of cards. A figure's
    alternative text and caption are those of its cell.
    """
    parts, cards = [], []
    for cell in notebook.cells:
        if "front" not in cell.metadata.get("tags", []):
            continue
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if card := _CARD.fullmatch(data.get("text/markdown", "")):
                cards.append(f":::{{grid-item-card}} {card['title']}\n{card['text']}\n:::")
                continue
            if cards:
                parts.append(_grid(cards))
                cards = []
            if 'class="explore"' in data.get("text/html", ""):
                parts.append(f"```{{raw}} html\n{data['text/html']}\n```")
            elif "image/svg+xml" in data:
                file = folder / f"{name}_{len(parts)}.svg"
                file.write_text(data["image/svg+xml"], "utf-8")
                parts.append(_figure(file.name, cell.metadata.get("mystnb", {})))
            elif "text/markdown" in data:
                parts.append(data["text/markdown"].strip())
    if cards:
        parts.append(_grid(cards))
    return "\n\n".join(parts) + "\n"


def _grid(cards: list[str]) -> str:
    return "\n".join(["::::{grid} 1 1 2 2", ":gutter: 3", "", *cards, "::::"])


def _figure(file: str, options: dict) -> str:
    alt = options.get("image", {}).get("alt", "")
    caption = options.get("figure", {}).get("caption", "")
    return f"```{{figure}} sections/{file}\n:alt: {alt}\n:width: 100%\n\n{caption}\n```"
