"""Runs of several variants, losses and seeds, each recorded when it is done."""

import itertools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import joblib

from acrlls.calibration import accuracy, classwise_ece
from acrlls.config import Config, UserError, configure, profiles
from acrlls.data import load_data
from acrlls.runs.recorded import RESULTS, load_run, record
from acrlls.runs.runs import run, run_digest
from acrlls.store import MANIFEST, require_writable, store

# how a folder's name tells a setting that `<setting>-<value>` would tell badly
_NAMES = {
    ("class_weights", "False"): "unweighted",
    ("phase2_epochs", "0"): "phase1",
    ("augment", "False"): "no-augmentation",
    ("input_range", "-1..1"): "range",
    ("loss", "cross_entropy"): "",
}
_UNNAMED = ("variant", "data", "backbone", "batchnorm_statistics")


def study(
    profile: str, changes: Mapping, lists: Mapping[str, Sequence], output: Path | None = None
) -> dict[Path, Config]:
    """The folder of the record and the config of every combination of some lists of settings,
    ``variant`` among them, the last turned fastest; ``changes`` are settings of all runs, or also a
    list of what single runs take.

    ``output`` is the folder without the variant, in which each setting in braces stands for its
    value; ``None`` for ``results/<profile>[-<change>...]``.  A ``UserError`` says if a setting is
    wrong, a folder cannot be written, or two runs, or a profile of the user's and one that ships,
    would have one folder.
    """
    jobs = {}
    if twice := ", ".join(changes.keys() & {n for n, values in lists.items() if values}):
        raise UserError(f"{twice} is given twice: for all runs, and as a list")
    several = {n: v for n, v in changes.items() if isinstance(v, list) and v}
    several = {n: v for n, v in several.items() if not isinstance(getattr(Config, n, 0), tuple)}
    lists = {n: values for n, values in {**several, **lists}.items() if values}
    for values in itertools.product(*lists.values()):
        given = {**changes, **dict(zip(lists, values, strict=True))}
        config = configure(profile, **given)
        if output is None:
            file = Path(config.profile)
            if file.is_absolute() and file.stem in profiles():
                raise UserError(f"{file} is called as a profile that ships; give -o a folder")
            folder = RESULTS / folder_name(config.profile, given)
        else:
            try:
                folder = Path(str(output).format_map(config.as_dict()))
            except (LookupError, ValueError, AttributeError, TypeError) as error:
                what = f"{output} names a setting that there is not: {error}"
                raise UserError(what) from None
        folder = folder / config.variant
        require_writable(folder)
        if folder in jobs:
            several = [n for n, v in lists.items() if n != "variant" and len(v) > 1]
            name = "".join(f"-{{{n}}}" for n in several)
            how = "one is given twice" if jobs[folder] == config else f"give -o '{output}{name}'"
            raise UserError(f"two runs would be recorded in {folder}; {how}")
        jobs[folder] = config
    return jobs


def folder_name(profile: str, changes: Mapping[str, Any]) -> str:
    """Such as ``laptop-phase1-unweighted-focal-seed-1``."""
    parts = []
    for name, value in changes.items():
        if name not in _UNNAMED:
            value = "-".join(map(str, value if isinstance(value, list) else [value]))
            usual = value if name == "loss" else f"{name}-{value}".replace("_", "-")
            parts.append((name, _NAMES.get((name, value), usual)))
    last = ("loss", "seed")
    parts.sort(key=lambda p: p[1] != "phase1" if p[0] not in last else 2 + last.index(p[0]))
    return "-".join([Path(profile).stem, *(text for _, text in parts if text)])


def reproduce(jobs: Mapping[Path, Config], missing: bool = False) -> None:
    """Train what is not kept of the jobs of :func:`study`, and record each run when it is done;
    prints how far it is.  With ``missing``, what has a record is left alone; a folder with a record
    of other settings or images is a ``UserError``.

    As many runs at once as ``joblib.parallel_config`` says around the call.  Several workers first
    fill the feature bank, a view each, as far as there is room: else they would wait for the first.
    """
    for folder, config in jobs.items():
        if not (folder / MANIFEST).exists():
            continue
        there, asked = load_run(folder), config.training_settings()
        had = there.config.training_settings()
        other = [name for name in asked if asked[name] != had[name]]
        if there.manifest["data_fingerprint"] != load_data(config).fingerprint:
            other.append("set of images")
        if other:
            what = f"{folder} holds a run with another {', '.join(other)}"
            raise UserError(f"{what}; give -o another folder, or delete that one")
    left = [f for f in jobs if not (missing and (f / MANIFEST).exists())]
    for dataset in {config.data: load_data(config) for config in jobs.values()}.values():
        if dataset.ignored:
            print(dataset.unread())
    print(f"runs to do: {len(left)}; recorded already: {len(jobs) - len(left)}", flush=True)
    if left and joblib.effective_n_jobs(None) > 1:
        # by a worker: this process may have no device to spare for Keras
        (ahead,) = joblib.Parallel()([joblib.delayed(_passes)([jobs[f] for f in left])])
        print(f"passes over images for the feature bank: {len(ahead)}", flush=True)
        joblib.Parallel()(joblib.delayed(_fill)(*one) for one in ahead)
    start, each = time.perf_counter(), joblib.delayed(_recorded)
    tasks = [each(f.absolute(), jobs[f]) for f in left]  # a worker may stand in another folder
    done = joblib.Parallel(return_as="generator_unordered")(tasks)
    for k, said in enumerate(done, 1):
        print(f"{k} of {len(left)}, {said}", flush=True)
        if k < len(left):
            minutes = (time.perf_counter() - start) / k * (len(left) - k) / 60
            print(f"minutes left, by the runs so far: {minutes:.0f}", flush=True)


def workers(jobs: int = 1, scheduler: str | None = None) -> joblib.parallel_config:
    """Where runs are trained inside a ``with``: some at once here, or by workers of a scheduler.

    Workers must see the same files by the same names, ``ACRLLS_STORE`` and ``ACRLLS_DATA`` among
    them.  A run whose worker dies is trained on by another, from its last epoch.
    """
    if jobs < 1:
        raise UserError(f"{jobs} runs at once are none; give 1 or more")
    if not scheduler:
        return joblib.parallel_config("loky", n_jobs=jobs)
    try:
        from distributed import Client

        return joblib.parallel_config("dask", n_jobs=-1, client=Client(scheduler, timeout=10))
    except ImportError as error:
        raise UserError("a scheduler needs Dask: pip install distributed") from error
    except (OSError, ValueError) as error:
        raise UserError(f"no Dask scheduler answers at {scheduler}: {error}") from error


def _passes(configs: Sequence[Config]) -> list[tuple]:
    from acrlls.training import passes

    each, kept = ((config, load_data(config)) for config in configs), store()
    return passes(one for one in each if not (kept / run_digest(*one)).exists())


def _fill(config: Config, *asked) -> None:
    from acrlls.training import FeatureBank

    FeatureBank(config, load_data(config)).features(*asked)


def _recorded(folder: Path, config: Config) -> str:
    """Have a run, record it, and say how it is."""
    print(f"{folder}: training, or taking what is kept in {store()}", flush=True)
    done = run(config)
    test = done.predictions("test")  # a run that diverged is not recorded
    record(done, folder)
    p, y = test.probabilities, test.labels
    ece = classwise_ece(p, y, bins=config.bins).mean()
    return f"{folder}: accuracy {accuracy(p, y):.4f}, mean class-wise ECE {ece:.4f}; recorded"
