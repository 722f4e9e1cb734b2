"""Section 4: Table II, and what scales of logits can and cannot do."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

import acrlls
from acrlls.config import Config, UserError
from acrlls.paper import table
from acrlls.runs import Run
from acrlls.tables.beside import REAL, here, is_paper, on, told
from acrlls.tables.compare import reach_of_seeds
from acrlls.tables.words import plural, power, span


def run_with_lls(config: Config) -> Run:
    """The run of a config; a UserError where its variant has no LLS."""
    if not acrlls.VARIANTS[config.variant].lls:
        raise UserError(f"variant {config.variant!r} has no LLS; take another")
    return acrlls.run(config)


def _ours(run: Run) -> pd.DataFrame:
    phases = sorted(set(run.scales.phase))
    return pd.DataFrame({f"Phase {phase}": run.best_scales(phase) for phase in phases})


def table_2(run: Run, real: Sequence[Run]) -> pd.DataFrame:
    """Table II: published, mean over the runs on the real images, their difference with its
    interval for a run of another seed (text), and ours; a row a class and phase."""
    ours, title = _ours(run).stack(), here(run.config)
    if not is_paper(run.class_names):
        return pd.DataFrame({title: ours})
    columns = {"published": table("II").stack()}
    if real:
        every = pd.DataFrame([_ours(r).stack() for r in real])[columns["published"].index]
        columns[REAL] = every.mean()
        reach = reach_of_seeds(every, [r.config.seed for r in real], 1)
        gap = columns[REAL] - columns["published"]
        rows = zip(gap, gap - reach, gap + reach, strict=True)
        columns["difference"] = pd.Series([told(*each) for each in rows], gap.index)
    return pd.DataFrame(columns | {title: ours}).rename_axis(["class", "phase"])


def fold(model, images) -> tuple[np.ndarray, float]:
    """Move the learned scales of a model into the dense layer before them; LLS is then all ones.
    Returns the scales ``(classes,)`` as they were learned, and the largest change of any
    probability of the images ``(n, size, size, 3)``."""
    dense, lls = model.get_layer("logits"), model.get_layer("lls")
    (kernel, bias), (scales,) = dense.get_weights(), lls.get_weights()
    before = np.asarray(model.predict_on_batch(images))
    dense.set_weights([kernel * scales, bias * scales])
    lls.set_weights([np.ones_like(scales)])
    after = np.asarray(model.predict_on_batch(images))
    return scales, float(np.abs(after - before).max())


def finding(scales, largest: float, real: Sequence[Run], title: str) -> str:
    """What the scales of the recorded runs show, and those of this build's one run under a heading
    such as "phantom"; ``largest`` is from :func:`fold`."""
    said = (
        f"**The scales that LLS learns cannot be read by themselves**: {on(title).lower()}, moving "
        f"them into the dense layer before changes no probability by more than {power(largest)}. "
        f"{on(title)} the scales end at {span(scales)} with one seed."
    )
    if real:
        theirs = table("II")["Phase 2"]
        ours = pd.DataFrame([r.best_scales(2)[theirs.index] for r in real])
        same = (ours.rank(axis=1) == theirs.rank()).all(axis=1).sum()
        said += (
            f" On the real images the scales end at {span(ours)} (published: {span(theirs)}); they "
            f"have the order of Table II in {same} of {plural(len(real), 'run')}."
        )
    return said
