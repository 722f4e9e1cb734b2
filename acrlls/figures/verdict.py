"""The front page's figure: what each network shows as trained and after one post-hoc step, over a
noise floor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from acrlls.figures.style import COLOURS, FAINT, MUTED, WIDTH, styled


@styled
def plot_networks(
    groups: Mapping[str, Mapping[str, Sequence[float]]],
    floors: Mapping[str, float],
    xlabel: str,
    ax=None,
):
    """A row a network, grouped by setting; a dot a seed, and a grey band up to what perfect
    calibration may show.

    Args:
        groups: by setting, by network, the values of its seeds.
        floors: by setting, the value that perfect calibration stays below in 95 % of test sets.
    """
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    rows = sum(len(group) + 1 for group in groups.values())
    if ax is None:
        _, ax = plt.subplots(figsize=(WIDTH, 0.27 * rows + 0.6))
    y, ticks, labels = 0, [], []
    for setting, group in groups.items():
        ax.text(0, y - 0.1, setting, weight="bold", va="center", fontsize=8.5)
        ax.fill_betweenx([y + 0.4, y + len(group) + 0.5], 0, floors[setting], color=FAINT, lw=0)
        for name, values in group.items():
            y += 1
            ticks.append(y)
            labels.append(name)
            colour = COLOURS[names.index(name) % len(COLOURS)]
            ax.plot([0, np.mean(values)], [y, y], color=MUTED, lw=0.6, zorder=1)
            ax.plot(
                values, [y] * len(values), "o", ms=6, color=colour, mec="white", mew=0.6, zorder=2
            )
        y += 1.3
    ax.set(xlabel=xlabel, xlim=(0, None), ylim=(y - 0.5, -0.6), yticks=ticks, yticklabels=labels)
    ax.tick_params(axis="y", length=0)
    return ax
