"""A recorded population: what one trained network says of many phantoms whose true probabilities are known.

An estimator of calibration can be judged only where the truth is known, and only over many test sets.  So the
logits of a run are recorded once for a large number of fresh phantoms, with ``eta`` and labels.  A test set is then a
sample of the record, and the true calibration error is a sum over all of it (:mod:`acrlls.calibration.estimators`).  Nothing is
drawn or trained again to read it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import softmax
from tqdm import tqdm

from acrlls.config import PROJECT, Config, UserError
from acrlls.phantom import patients as phantom
from acrlls.store import digest, source_digest, store

FOLDER = PROJECT / "results" / "population"
_CHUNK = 2000  # phantoms drawn and judged at a time; each such part is kept, so that a cut costs one part
# Steps of the recorded numbers.  Rounded, they take half the room; see `rounding` in the manifest for what it moves.
_LOGIT_STEP, _ETA_STEP = 2.0**-10, 2.0**-16


@dataclass(frozen=True)
class Population:
    """Predictions for ``n`` phantoms and what is true of them.

    Attributes:
        logits: `(n, classes)` float64, what enters softmax.
        eta: `(n, classes)` float64 true probabilities, rows summing to one.
        labels: `(n,)` int, drawn from ``eta``.
        manifest: how it was made: run, its settings and class weights, phantom seed, versions, rounding.
    """

    logits: np.ndarray
    eta: np.ndarray
    labels: np.ndarray
    manifest: dict

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits, `(n, classes)`."""
        return softmax(self.logits, axis=1)

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.manifest["class_names"])

    @property
    def class_weights(self) -> np.ndarray:
        """The class weights `(classes,)` of the training; ones where it had none."""
        return np.asarray(self.manifest["class_weights"])

    def __len__(self):
        return len(self.labels)


def load_population(folder: str | Path = FOLDER) -> Population:
    """The population recorded in a folder; by default the one that the project ships.

    Raises:
        UserError: there is none.
    """
    folder = Path(folder)
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        with np.load(folder / "population.npz") as kept:
            logits, eta, labels = (kept[name] for name in ("logits", "eta", "labels"))
    except FileNotFoundError as error:
        raise UserError(
            f"{error.filename} is missing; `acrlls population` records a population"
        ) from None
    eta = eta.astype(float)
    return Population(
        logits.astype(float), eta / eta.sum(axis=1, keepdims=True), labels.astype(int), manifest
    )


def record_population(
    config: Config, n: int = 100_000, seed: int = 2, folder: str | Path = FOLDER
) -> Population:
    """Let the run of ``config`` judge the first ``n`` phantoms of a seed, and record what it said.

    Goes on where it was cut off; a larger ``n`` keeps the phantoms of a smaller one.

    Args:
        config: of the run, on phantoms; taken from the store, or trained.
        n: number of phantoms.
        seed: of the phantoms, another than the one that the run was trained on.
        folder: where ``population.npz`` and ``manifest.json`` go.

    Raises:
        UserError: the run is not on phantoms, or its own phantoms are asked for.
    """
    from acrlls import runs
    from acrlls.runs import recorded as records

    if config.data != "phantom":
        raise UserError(
            f"data is {config.data!r}; only of the phantom are the true probabilities known"
        )
    if seed == config.phantom_seed:
        raise UserError(
            f"phantom seed {seed} is the run's own; give another, so that no image was trained on"
        )
    done = runs.run(config)
    logits, eta, labels = _judged(done, n, seed)
    rounded = [np.round(logits / _LOGIT_STEP) * _LOGIT_STEP, np.round(eta / _ETA_STEP) * _ETA_STEP]
    moved = np.abs(softmax(rounded[0], axis=1) - softmax(logits.astype(float), axis=1)).max()
    manifest = {
        "images": n,
        "phantom_seed": seed,
        "phantom_digest": _phantom_digest(),
        "class_names": list(done.class_names),
        "class_weights": records.training_weights(done).tolist(),
        "run": done.manifest["digest"],
        "config": json.loads((done.folder / "config.json").read_text()),
        "rounding": {
            "logits": _LOGIT_STEP,
            "eta": _ETA_STEP,
            "largest change of a probability": float(moved),
        },
        **runs.environment(),
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        folder / "population.npz",
        logits=rounded[0].astype(np.float32),
        eta=rounded[1].astype(np.float32),
        labels=labels.astype(np.uint8),
    )
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return load_population(folder)


def _judged(done, n: int, seed: int) -> list[np.ndarray]:
    """Logits, eta and labels of phantoms 0 to n - 1, part by part, each kept in the store."""
    from acrlls import data

    folder = store() / "population" / digest(done.manifest["digest"], _phantom_digest(), seed)
    folder.mkdir(parents=True, exist_ok=True)
    network, parts = None, []
    for first in tqdm(range(0, n, _CHUNK), unit_scale=_CHUNK, unit="phantom", desc="population"):
        count = min(_CHUNK, n - first)
        file = folder / f"{first}-{count}.npz"
        if not file.exists():
            network = network or _to_logits(done)
            drawn = phantom.draw(count, seed=seed, size=done.config.image_size, first=first)
            images = data.to_input(drawn.images, done.config.input_range)
            aside = file.with_suffix(".aside.npz")
            np.savez(
                aside,
                logits=network.predict(images, batch_size=64, verbose=0),
                eta=drawn.eta,
                labels=drawn.labels,
            )
            aside.replace(file)
        with np.load(file) as kept:
            parts.append([kept[name] for name in ("logits", "eta", "labels")])
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _to_logits(done):
    from acrlls.method.model import between

    model = done.model()
    return between(model, None, model.layers[-2].name)


def _phantom_digest() -> str:
    return source_digest("phantom/patients.py", "phantom/drawing.py")
