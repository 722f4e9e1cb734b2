"""The figure that recomputes of the tuning grid: which pair would come out best another time."""

import numpy as np
from scipy.integrate import cumulative_trapezoid
from scipy.stats import norm

from acrlls.figures.explore import Explorable, slider


def shares_won(losses, sd: float, points: int = 2001) -> np.ndarray:
    """Share of repetitions in which each of some losses ``(pairs,)`` is the lowest, if each had
    independent normal noise with this standard deviation."""
    losses = np.asarray(losses, float)[:, None]
    x = np.linspace(losses.min() - 6 * sd, losses.max() + 6 * sd, points)
    density = norm.pdf(x, losses, sd)
    above = (1 - cumulative_trapezoid(density, x, initial=0)).clip(0)
    others = np.array([np.delete(above, i, axis=0).prod(axis=0) for i in range(len(losses))])
    return (density * others).sum(axis=1) * (x[1] - x[0])


def explore_tuning(grid, published: tuple[float, float], per_image: float, spread: float):
    """How often each pair of a grid would come out best, if the noise were drawn again.

    Args:
        grid: table of :func:`acrlls.tune`.
        published: the alpha and tau to frame.
        per_image: standard deviation over images of the difference of two pairs' losses.
        spread: standard deviation of a pair's loss over seeds.
    """
    loss = grid.pivot(index="alpha", columns="tau", values="val_loss")
    alphas, taus, pairs = loss.index.tolist(), loss.columns.tolist(), loss.stack().index.to_list()
    losses, images = loss.to_numpy().ravel(), 3172
    won = shares_won(losses, np.sqrt(per_image**2 / (2 * images) + spread**2))
    best = pairs[won.argmax()]

    def draw(ax):
        table = won.reshape(loss.shape)
        ax.imshow(table, cmap="Blues", vmin=0, vmax=1.3 * won.max())
        for (i, j), share in np.ndenumerate(table):
            ax.text(j, i, f"{100 * share:.0f} %", ha="center", va="center")
        ax.set_xticks(range(len(taus)), [f"{tau:.2f}" for tau in taus])
        ax.set_yticks(range(len(alphas)), [f"{alpha:.2f}" for alpha in alphas])
        ax.set(xlabel="τ", ylabel="α", title="Share of repetitions won")

    return Explorable(
        "tuning",
        f"Grid of pairs of alpha and tau, each with the share of repetitions in which it would have"
        f" the lowest validation loss; alpha {best[0]:g} and tau {best[1]:g} in"
        f" {100 * won.max():.0f} %.",
        "Each pair keeps its measured loss as the true one, and noise is drawn anew: that of a"
        " finite number of validation images, and that of seeds. The frame marks the paper's pair.",
        {
            "images": slider("Validation images", 172, 20172, 100, images),
            "spread": slider("Spread over seeds", 0.0001, 0.05, 0.0001, max(spread, 0.0001)),
        },
        draw,
        {"losses": losses.tolist(), "alphas": alphas, "taus": taus, "perImage": float(per_image)}
        | {"published": pairs.index(published) if published in pairs else -1},
    )
