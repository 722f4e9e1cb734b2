"""Figures that recompute in the page: the data and the still picture of each come from here.

The page's scripts (``book/explore``) draw the same figure over the still picture, with controls.
Where there is no JavaScript, and in print, the still picture stands."""

import base64
import html
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import Figure
from scipy.integrate import cumulative_trapezoid
from scipy.optimize import minimize
from scipy.special import softmax
from scipy.stats import norm

from acrlls.calibration import noise_floor, prepare_reliability
from acrlls.figures.style import ACCENT, COLOURS, FAINT, MUTED, WRONG, frame_pairs, style

CORNERS = np.array([[0, 0], [1, 0], [0.5, np.sqrt(0.75)]])  # of the simplex, in the plane


@dataclass(frozen=True)
class Explorable:
    """A figure that shows itself as HTML for the page's script, and as a picture elsewhere.

    ``name`` is that of the script in ``book/explore``, ``alt`` says what the still picture shows,
    which ``draw`` draws on given axes, and ``data`` is what the script needs besides its
    ``controls``: label and value of a switch, with the ``options`` of a choice or a :func:`slider`.
    """

    name: str
    alt: str
    controls: Mapping[str, Mapping]
    draw: Callable
    data: Mapping = field(default_factory=dict)

    @style()
    def _repr_mimebundle_(self, include=None, exclude=None):
        figure, out = Figure((4.4, 4.1), dpi=180, layout="constrained"), io.BytesIO()
        self.draw(figure.subplots())
        figure.savefig(out, format="png")
        png = base64.b64encode(out.getvalue()).decode()
        given = json.dumps({"controls": self.controls, **self.data}).replace("<", "\\u003c")
        page = (
            f'<figure class="explore" data-figure="{self.name}">'
            f'<img class="still" alt="{html.escape(self.alt)}" src="data:image/png;base64,{png}">'
            f'<script type="application/json">{given}</script></figure>'
        )
        return {"text/html": page, "image/png": png, "text/plain": self.alt}


def explore_reliability(predictions: Mapping, weights: Sequence[float], bins, of="Top label"):
    """Reliability diagram of recorded ``predictions``, by the title of the network and all of the
    same images, with the noise floor of its ECE, at first that of the first, and ``of`` the top
    label or a class; the class ``weights`` of the training are for the prior correction."""
    title, first = next(iter(predictions.items()))
    n, names = len(first.labels), list(first.class_names)
    order = np.random.default_rng(0).permutation(n)  # the page takes the first of them
    logits = {t: np.asarray(p.logits, "<f4")[order] for t, p in predictions.items()}
    labels, k = np.asarray(first.labels)[order], names.index(of) if of in names else -1
    p = softmax(logits[title].astype(float), axis=1)
    floor = noise_floor(p, bins=bins)
    most = np.quantile(floor.top_label if k < 0 else floor.classwise[:, k], 0.95)
    diagram = prepare_reliability(p, labels, bins, of="top_label" if k < 0 else "classes")
    said = f"{diagram.ece[k]:.4f}"

    def draw(ax):
        low, high, share = diagram.band_low[k], diagram.band_high[k], diagram.frequency[k]
        block = diagram.edges[k, :-1], high - low, 1 / bins, low
        ax.bar(*block, align="edge", color=FAINT)
        ax.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=0.8)
        how = {"c": np.where((share < low) | (share > high), COLOURS[0], ACCENT), "zorder": 3}
        for size, opacity in ((12 + 200 * diagram.count[k] / n, 0.4), (8, 1)):
            ax.scatter(diagram.confidence[k], share, size, alpha=opacity, linewidths=0, **how)
        ax.bar(*block, align="edge", fill=False, edgecolor=MUTED, lw=0.6, zorder=3)
        words = f"probability of {of}", f"share that is {of}"
        score, share = ("confidence", "share of right answers") if k < 0 else words
        ax.set(xlabel=score, ylabel=share, title=f"{title}: ECE {said}")
        ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))

    return Explorable(
        "reliability",
        f"Reliability diagram, {of}, {title}, {n:,} images, {bins} bins. The ECE is {said}; that of"
        f" a perfectly calibrated network would stay below {most:.4f} in 95 % of test sets.",
        {
            "network": {"label": "Network", "options": list(logits), "value": title},
            "of": {"label": "Look at", "options": ["Top label", *names], "value": of},
            "bins": slider("Bins", 2, 50, 1, bins),
            "temperature": slider("Temperature", 0.25, 4, 0.05, 1.0),
            "images": slider("Test images", 100 + n % 100, n, 100, n),
            "prior": {"label": "Prior correction", "value": False},
        },
        draw,
        {
            "classes": names,
            "logWeights": np.log(weights).tolist(),
            "logits": {t: _base64(z) for t, z in logits.items()},
            "labels": _base64(labels.astype("u1")),
        },
    )


def acr_penalty(p, alpha: float, tau: float) -> np.ndarray:
    """ACR's penalty of probabilities ``(..., classes)``, without its mean (equations 1 to 3)."""
    ordered = np.sort(p, axis=-1)
    margin = ordered[..., -1] - ordered[..., -2]
    return alpha * (np.maximum(0, tau - margin) + 0.5 * np.maximum(0, margin - tau))


def acr_optimum(truth, alpha: float, tau: float) -> np.ndarray:
    """Probabilities ``(classes,)`` that minimise cross-entropy plus ACR where ``truth`` is true."""
    truth = np.asarray(truth, float)

    def loss(z):
        p = softmax(z)
        return -truth @ np.log(np.maximum(p, 1e-300)) + acr_penalty(p, alpha, tau)

    close = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 4000}
    starts = [*np.eye(len(truth)), np.log(truth.clip(1e-6))]
    found = [minimize(loss, z, method="Nelder-Mead", options=close) for z in starts]
    return softmax(min(found, key=lambda one: one.fun).x)


def explore_simplex(alpha: float, tau: float):
    """ACR's penalty over the probabilities of three classes, and what the whole loss aims at."""
    truth = (0.6, 0.3, 0.1)
    best = acr_optimum(truth, alpha, tau)

    def draw(ax):
        grid = np.array([(i, j, 60 - i - j) for i in range(61) for j in range(61 - i)]) / 60
        colours = ax.tricontourf(*(grid @ CORNERS).T, acr_penalty(grid, alpha, tau), cmap="Blues")
        ax.figure.colorbar(colours, ax=ax, shrink=0.7, label="penalty")
        ax.plot(*(np.array(truth) @ CORNERS), "o", color="black", fillstyle="none", markersize=13)
        ax.plot(*(best @ CORNERS), "D", color=WRONG, markersize=5)
        for name, at, side in zip("ABC", CORNERS, ("top", "top", "bottom"), strict=True):
            ax.text(*at, name, ha="center", va=side)
        ax.set(aspect="equal", frame_on=False, xticks=[], yticks=[])

    true, least = ("A {:.3f}, B {:.3f}, C {:.3f}".format(*p) for p in (truth, best))
    return Explorable(
        "simplex",
        f"The triangle of the probabilities of three classes, shaded by ACR's penalty for α"
        f" {alpha:g} and τ {tau:g}. Where the truth is {true}, cross-entropy and ACR"
        f" together are least at {least}.",
        {
            "alpha": slider("α", 0, 1, 0.01, alpha),
            "tau": slider("τ", 0, 1, 0.05, tau),
            "first": slider("Truth: A", 0.01, 0.98, 0.01, truth[0]),
            "share": slider("B’s share of the rest", 0.01, 0.99, 0.01, truth[1] / sum(truth[1:])),
        },
        draw,
    )


def explore_scaling():
    """What scales of LLS (equation 4), a shift of A's logit and a temperature do to two logits."""
    logits, scales, shift, temperature = (1.5, 1.0), (0.7, 1.4), -1.0, 2.0
    z = np.array(logits)
    titles = ("As trained", "Scales (LLS)", "Shift", "Temperature")
    changed = softmax([z, z * scales, z + [shift, 0], z / temperature], axis=1)
    p = dict(zip(titles, changed[:, 0], strict=True))

    def draw(ax):
        bars = ax.barh(list(p), list(p.values()), color=[MUTED, *COLOURS[:3]])
        ax.bar_label(bars, fmt="%.3f", padding=4)
        ax.axvline(0.5, color=MUTED, linewidth=0.8)
        ax.invert_yaxis()
        ax.set(xlabel="probability of A", xlim=(0, 1))
        ax.set_title(f"Logits {logits[0]:g} (A) and {logits[1]:g} (B)")

    said = ", ".join(f"{title} {value:.3f}" for title, value in p.items())
    return Explorable(
        "scaling",
        f"Probability of class A where the logits are {logits[0]:g} (A) and {logits[1]:g} (B):"
        f" {said}.",
        {
            "a": slider("Logit of A", -4, 4, 0.1, logits[0]),
            "b": slider("Logit of B", -4, 4, 0.1, logits[1]),
            "scaleA": slider("Scale of A", 0.2, 2, 0.1, scales[0]),
            "scaleB": slider("Scale of B", 0.2, 2, 0.1, scales[1]),
            "shift": slider("Shift of A", -3, 3, 0.1, shift),
            "temperature": slider("Temperature", 0.2, 5, 0.1, temperature),
        },
        draw,
    )


def study_spread(gap: float, images: int, spread: float, seeds: int, disagree: float) -> float:
    """Standard deviation of a study's difference in accuracy, in percentage points like the true
    ``gap`` and the ``spread`` of a method's accuracy over seeds; the accuracies of ``seeds`` are
    averaged for each method, and on ``disagree`` percent of the images only one method is right."""
    sampling = max(disagree / 100 - (gap / 100) ** 2, 0) / images
    return 100 * float(np.sqrt(sampling + 2 * (spread / 100) ** 2 / seeds))


def explore_seeds(spread: float, disagree: float):
    """How often the better of two methods looks worse; arguments as of :func:`study_spread`."""
    spread, disagree = round(float(spread), 2), round(float(disagree), 1)  # the sliders' steps
    gap, images, most = 0.5, 3179, min(3.0, disagree)  # no gap can be larger than the disagreement
    sd = study_spread(gap, images, spread, 1, disagree)
    wrong = f"{100 * norm.cdf(0, gap, sd):.0f} %"

    def draw(ax):
        x = np.linspace(-4, 4, 401)
        for side, colour in ((x <= 0, COLOURS[0]), (x >= 0, ACCENT)):
            ax.fill_between(x[side], norm.pdf(x[side], gap, sd), color=colour)
        ax.set(xlabel="better minus worse, percentage points", ylabel="density of studies")
        ax.set_title(f"Looks worse in {wrong} of studies")

    return Explorable(
        "seeds",
        f"Differences in accuracy that repeated studies would find where one method is {gap:g}"
        f" percentage points better, with {images:,} test images and one seed each: in {wrong} of"
        " the studies the better method looks worse.",
        {
            "gap": slider("True gap (points)", 0, most, 0.1, gap),
            "images": slider("Test images", 179, 10179, 500, images),
            "spread": slider("Spread over seeds (points)", 0, 2, 0.01, spread),
            "seeds": slider("Seeds a method", 1, 20, 1, 1),
            "disagree": slider("Disagreement (%)", most, 20, 0.1, disagree),
        },
        draw,
    )


def shares_won(losses, sd: float, points: int = 2001) -> np.ndarray:
    """Share of repetitions in which each of some losses ``(pairs,)`` is the lowest under
    independent normal noise."""
    losses = np.asarray(losses, float)[:, None]
    x = np.linspace(losses.min() - 6 * sd, losses.max() + 6 * sd, points)
    density = norm.pdf(x, losses, sd)
    above = (1 - cumulative_trapezoid(density, x, initial=0)).clip(0)
    others = np.array([np.delete(above, i, axis=0).prod(axis=0) for i in range(len(losses))])
    return (density * others).sum(axis=1) * (x[1] - x[0])


def explore_tuning(grid, published: tuple[float, float], per_image: float, spread: float):
    """How often each pair of a ``grid`` of :func:`acrlls.tune` would come out best, if the noise
    were drawn again: ``per_image`` is the standard deviation over images of the difference of two
    pairs' losses, ``spread`` that of a pair's loss over seeds. In full frame is the pair that
    would win most often, in dashes the ``published`` one."""
    loss = grid.pivot(index="alpha", columns="tau", values="val_loss")
    alphas, taus, pairs = loss.index.tolist(), loss.columns.tolist(), loss.stack().index.to_list()
    losses, images = loss.to_numpy().ravel(), 3172
    won = shares_won(losses, np.sqrt(per_image**2 / (2 * images) + spread**2))
    best, theirs = pairs[won.argmax()], pairs.index(published) if published in pairs else -1

    def draw(ax):
        table = won.reshape(loss.shape)
        ax.imshow(table, cmap="Blues", vmin=0, vmax=1.3 * won.max())
        for (i, j), share in np.ndenumerate(table):
            ax.text(j, i, f"{100 * share:.0f} %", ha="center", va="center")
        frame_pairs(ax, alphas, taus, won.argmax(), theirs)
        ax.set(xlabel="τ", ylabel="α", title="Share of repetitions won")

    return Explorable(
        "tuning",
        f"Grid of pairs of α and τ, each with the share of repetitions in which it would have"
        f" the lowest validation loss; α {best[0]:g} and τ {best[1]:g} in"
        f" {100 * won.max():.0f} %.",
        {
            "images": slider("Validation images", 172, 20172, 100, images),
            "spread": slider("Spread over seeds (loss)", 0.0001, 0.05, 0.0001, max(spread, 0.0001)),
        },
        draw,
        {"losses": losses.tolist(), "alphas": alphas, "taus": taus, "perImage": float(per_image)}
        | {"published": theirs},
    )


def slider(label, low, high, step, value):
    """A slider among the controls of an :class:`Explorable`."""
    return {"label": label, "min": low, "max": high, "step": step, "value": round(value, 4)}


def _base64(array) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
