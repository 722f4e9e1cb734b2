"""Section 4: Table II, and what scales of logits can and cannot do."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import softmax
from scipy.stats import permutation_test, spearmanr

import acrlls
from acrlls.calibration import accuracy, brier_score, classwise_ece, nll, noise_floor
from acrlls.config import Config, UserError
from acrlls.data import class_weights, load_data, split_of
from acrlls.paper import by_class, table
from acrlls.runs import Run, grid
from acrlls.tables.beside import is_paper, real_title
from acrlls.tables.words import number, plural


def run_with_lls(config: Config) -> Run:
    """The run of a config; a UserError where its variant has no LLS."""
    with_lls = [name for name, variant in acrlls.VARIANTS.items() if variant.lls]
    if config.variant not in with_lls:
        raise UserError(f"variant {config.variant!r} has no LLS; take {', '.join(with_lls)}")
    return acrlls.run(config)


def _ours(run: Run) -> pd.DataFrame:
    phases = sorted(set(run.scales.phase))
    return pd.DataFrame({f"Phase {phase}": run.best_scales(phase) for phase in phases})


def table_2(run: Run, real: Sequence[Run], title: str) -> pd.DataFrame:
    """Table II: published, mean, least and largest over the runs on the real images, and ours; a
    row a class and phase."""
    ours = pd.DataFrame({title: _ours(run).stack()})
    if not is_paper(run.class_names):
        return ours
    columns = {("published", ""): table("II").stack()}
    if real:
        every = pd.concat([_ours(r).stack() for r in real], axis=1)
        for how in ("mean", "min", "max"):
            columns[real_title(real), how] = every.agg(how, axis=1)
    columns[title, ""] = ours[title]
    return pd.DataFrame(columns).rename_axis(["class", "phase"])


def over_seeds(config: Config, repeats: int) -> pd.DataFrame:
    """Scales after short trainings of Phase 1 that differ in the seed alone: a row a seed."""
    first = {"grid_alpha": config.grid_alpha[:1], "grid_tau": config.grid_tau[:1]}
    rows = {}
    for seed in range(config.seed, config.seed + repeats + 1):
        (run,) = grid(config.replace(variant="proposed", seed=seed, **first)).values()
        rows[seed] = run.best_scales(1)
    return pd.DataFrame(rows).T


def moves(run: Run, again: pd.DataFrame) -> pd.DataFrame:
    """Change of each scale between the phases, published and ours, beside two yardsticks of noise:
    ``again`` is of :func:`over_seeds`.
    """
    names, scales, published = list(run.class_names), _ours(run), table("II")
    last = run.scales[run.scales.phase == run.scales.phase.max()][names]
    columns = {
        "published change": (published["Phase 2"] - published["Phase 1"]).reindex(names),
        "our change": scales.iloc[:, -1] - scales.iloc[:, 0],
        "epoch to epoch": last.diff().abs().mean(),
        "seed to seed": again.std(ddof=1),
    }
    return pd.DataFrame(columns)


def _beyond(moved: pd.DataFrame) -> int:
    return (moved["our change"].abs() > 2 * moved["seed to seed"]).sum()


def change(moved: pd.DataFrame, seeds: int) -> str:
    """How many changes between the phases are larger than the noise of seeds."""
    spread, theirs = moved["seed to seed"], moved["published change"].abs().dropna()
    published = f"from {number(theirs.min(), 4)} to {number(theirs.max(), 4)}"
    return (
        f"**{_beyond(moved) or 'None'} of our {len(moved)} changes** exceed twice the standard "
        f"deviation over {seeds} seeds, which goes from {number(spread.min(), 4)} to "
        f"{number(spread.max(), 4)}"
        + (f"; the published changes {published}." if len(theirs) else ".")
    )


def fold(model, images) -> tuple[np.ndarray, np.ndarray, float]:
    """Move the learned scales of a model into the dense layer before them; LLS is then all ones.

    Returns the kernel ``(features, classes)`` and scales ``(classes,)`` as they were learned, and
    the largest change of any probability of the images ``(n, size, size, 3)``.
    """
    dense, lls = model.get_layer("logits"), model.get_layer("lls")
    (kernel, bias), (scales,) = dense.get_weights(), lls.get_weights()
    before = np.asarray(model.predict_on_batch(images))
    dense.set_weights([kernel * scales, bias * scales])
    lls.set_weights([np.ones_like(scales)])
    after = np.asarray(model.predict_on_batch(images))
    return kernel, scales, float(np.abs(after - before).max())


def folded(scales, largest: float, n: int) -> str:
    """What :func:`fold` shows on ``n`` images."""
    verdict = "which is rounding" if largest < 1e-5 else "which is **more than rounding**"
    return (
        f"With the learned scales ({', '.join(map(number, scales))}) and with all scales one, the "
        f"largest difference of any probability of {n} test images is **{largest:.1e}**, {verdict}."
    ).replace("e-", "e−")


def effective(config: Config, kernel, scales, names) -> pd.DataFrame:
    """Length of each row of W before and after training, its scale, and their product."""
    start, _ = acrlls.build_model(config, len(names)).get_layer("logits").get_weights()
    before, after = (np.linalg.norm(weights, axis=0) for weights in (start, kernel))
    rows = pd.DataFrame({"length at start": before, "length trained": after}, index=list(names))
    rows = rows.assign(scale=scales, effective=after * np.abs(scales))
    rows["growth of length"] = after / before
    rows["growth of effective"] = rows["effective"] / before
    return rows


def below_one(lengths: pd.DataFrame) -> str:
    """Whether classes with a scale below one have lost weight, from :func:`effective`."""
    low = lengths[lengths.scale < 1]
    grown = low.index[low["growth of effective"] > 1]
    verdict = f"{plural(len(low), 'scale is', 'scales are')} below one.".capitalize()
    if len(grown):
        verdict += f" The effective weight of {', '.join(grown)} has grown all the same."
    elif len(low):
        verdict += " None of these has gained effective weight during training."
    orders = [" < ".join(lengths[by].sort_values().index) for by in ("scale", "effective")]
    if orders[0] == orders[1]:
        return f"{verdict} Scale and effective weight give the same order: {orders[0]}."
    return f"{verdict} By scale the order is {orders[0]}; by effective weight it is {orders[1]}."


def _before_lls(run: Run):
    """Predictions of the test images, their logits before LLS, and the scales of the model."""
    scales = run.best_scales(run.manifest["selected_phase"]).to_numpy()
    test = run.predictions("test")
    return test, test.logits / scales, scales


def one_by_one(run: Run) -> pd.DataFrame:
    """What happens on the test images if the scale of one class is put back to one."""
    test, raw, scales = _before_lls(run)
    ones = np.where(np.eye(len(scales)), 1, scales)
    put_back = [softmax(raw * ones[k], axis=1)[:, k].mean() for k in range(len(scales))]
    rows = {
        "scale": scales,
        "negative logits": (raw < 0).mean(axis=0),
        "mean probability, scale one": put_back,
        "mean probability, learned": test.probabilities.mean(axis=0),
        "share of labels": np.bincount(test.labels, minlength=len(scales)) / len(test.labels),
    }
    return pd.DataFrame(rows, index=list(run.class_names))


def whole_layer(run: Run, bins: int) -> pd.DataFrame:
    """Scores of the test images with the learned scales and with all of them one."""
    test, raw, _ = _before_lls(run)
    ways = {"as learned": test.probabilities, "all scales one": softmax(raw, axis=1)}
    y = test.labels
    scores = {
        "accuracy": lambda p: accuracy(p, y),
        "NLL": lambda p: nll(p, y),
        "Brier score": lambda p: brier_score(p, y),
        "mean class-wise ECE": lambda p: classwise_ece(p, y, bins).mean(),
        "noise floor (mean)": lambda p: noise_floor(p, bins=bins, resamples=200).mean.mean(),
    }
    return pd.DataFrame({name: {w: of(p) for w, p in ways.items()} for name, of in scores.items()})


def beside_weights(run: Run, lengths: pd.DataFrame) -> pd.DataFrame:
    """Class weights and scales, published and ours."""
    dataset, names = load_data(run.config), list(run.class_names)
    weights = class_weights(dataset.labels[split_of(dataset, run.config).train], len(names))
    columns = {
        ("published", "class weight"): by_class("class_weight").reindex(names),
        ("published", "scale"): table("II")["Phase 2"].reindex(names),
        ("ours", "class weight"): weights if run.config.class_weights else np.ones(len(names)),
        ("ours", "scale"): lengths["scale"],
        ("ours", "effective"): lengths["effective"],
    }
    return pd.DataFrame(columns, index=names)


def rank_correlation(side: pd.DataFrame) -> str:
    """Rank correlation of class weight and scale in :func:`beside_weights`, with its exact p."""
    said = []
    for who in ("published", "ours"):
        weights, scales = side[who][["class weight", "scale"]].dropna().to_numpy().T
        if len(weights) < 3 or len(set(weights)) < 2:
            continue

        def correlation(order, weights=weights):
            return spearmanr(weights, order).statistic

        how = {"permutation_type": "pairings", "n_resamples": 10_000, "vectorized": False}
        test = permutation_test((scales,), correlation, **how)
        said.append(f"{number(test.statistic, 2, True)} ({who}, p = {number(test.pvalue, 2)})")
    if not said:
        return "These classes, or a training without class weights, leave nothing to correlate."
    orders = math.factorial(len(side))
    return (
        f"The rank correlation of class weight and scale is {' and '.join(said)}. {len(side)} "
        f"classes have {orders} orders, so that even a perfect correlation has p = "
        f"{number(2 / orders, 2)}."
    )


def finding(scales, largest: float, moved: pd.DataFrame) -> str:
    """What the scales of one run show."""
    published = table("II")["Phase 2"]
    return (
        "**A scale cannot be read by itself**: moved into the layer before, the scales change no "
        f"probability by more than {largest:.0e}. ".replace("e-", "e−")
        + f"They end between {number(min(scales))} and {number(max(scales))} with one seed "
        f"(published: {number(published.min())} to {number(published.max())}), and "
        f"{_beyond(moved) or 'none'} of the {len(moved)} changes between the phases exceed "
        "twice the standard deviation over seeds."
    )
