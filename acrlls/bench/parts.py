"""The parts of a benchmark, each in a process: ``python -m acrlls.bench.parts FOLDER PART``.

``FOLDER/task.json`` holds the :class:`acrlls.bench.Task`; ``FOLDER/PART.json`` takes the result.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from acrlls.bench.compare import Task
from acrlls.config import Config, UserError
from acrlls.data import Dataset, batch, class_weights, split_of


def main(folder: Path, name: str) -> None:
    """Do one part and write its result, its peak memory included."""
    from acrlls.backend import import_keras

    side, _, part = name.partition(" ")
    if side == "plain":
        import keras  # noqa: F401  # as a user has it
    else:
        import_keras()
    note = json.loads((folder / "task.json").read_text())
    task = Task(**{**note, "config": Config(**note["config"])})
    result = timed(task, side, part, folder) if part else machine(task.config)
    (folder / f"{name}.json").write_text(json.dumps({**result, "peak_bytes": _peak_bytes()}))


def _peak_bytes() -> float:
    """Largest resident memory of this process; NaN on Windows, where Python does not tell."""
    try:
        import resource
    except ImportError:
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def timed(task: Task, side: str, part: str, folder: Path) -> dict:
    """Seconds of a part's runs on one side, scaled up to all of them, and the runs' epochs."""
    from acrlls.training import train  # noqa: F401  # its import does not count

    configs, dataset = task.of_part(part), task.dataset()
    some = {"plain grid": task.plain_points, "tuned": 1}
    trained = configs[: some.get(f"{side} {part}", some.get(side))]
    os.environ["ACRLLS_STORE"] = str(folder / f"store {part}")  # filling it is a part of the time
    run, histories = through_bank if side == "bank" else plain, []
    start, cpu = time.perf_counter(), time.process_time()
    for k, config in enumerate(trained):
        histories.append(run(config, dataset, part, folder / f"{side} {part} {k}"))
    times = time.perf_counter() - start, time.process_time() - cpu
    seconds, cpu = (len(configs) / len(trained) * each for each in times)
    return {"seconds": seconds, "cpu_seconds": cpu, "histories": histories}


def through_bank(config: Config, dataset: Dataset, part: str, run: Path) -> list[dict]:
    """The epochs of a run, trained as ``acrlls.run`` does."""
    from acrlls.training import train

    train(config, dataset, run)
    return pd.read_csv(run / "history.csv").to_dict("records")


def plain(config: Config, dataset: Dataset, part: str, run: Path) -> list[dict]:
    """The epochs of a run with ``fit``; Phase 2 goes on from the weights that Phase 1 kept."""
    from acrlls.method import build_model

    model = build_model(config, len(dataset.class_names))
    kept = Path(str(run).replace(part, "phase 1") + ".weights.h5")
    if part.startswith("phase 2"):
        model.load_weights(kept)
        return plain_phase(config, dataset, model, 2)
    history = plain_phase(config, dataset, model, 1)
    if part == "phase 1":
        model.save_weights(kept)
    return history


def plain_phase(config: Config, dataset: Dataset, model, number: int) -> list[dict]:
    """The epochs of one phase with ``fit``; the best epoch's weights stay in the model."""
    import keras

    from acrlls.method import unfreeze_top
    from acrlls.training import jit_compile, phases, seed_dropout

    plan, split = phases(config)[number - 1], split_of(dataset, config)
    unfreeze_top(model, config.unfrozen_layers if number == 2 else 0, config.batchnorm)
    logits = keras.Model(model.input, model.layers[-2].output)
    _compile(logits, plan.learning_rate, jit_compile=jit_compile())
    weights = class_weights(dataset.labels[split.train], len(dataset.class_names))
    weights = dict(enumerate(weights.tolist())) if config.class_weights else None
    train, validation, test = (
        _images(config, dataset, getattr(split, part)) for part in ("train", "validation", "test")
    )
    history, best = [], None
    for epoch in range(plan.epochs):
        start = time.perf_counter()
        rng = np.random.default_rng((config.seed, number, epoch))  # as the bank's side does
        seed_dropout(model, rng)
        train.order, train.view = rng.permutation(len(split.train)), plan.view(epoch, config)
        fitted = logits.fit(
            train, validation_data=validation, class_weight=weights, shuffle=False, verbose=0
        )
        row = {k: v[-1] for k, v in fitted.history.items()}
        seconds = time.perf_counter() - start
        history.append({"phase": number, "epoch": epoch + 1, "seconds": seconds, **row})
        if row["val_loss"] == min(h["val_loss"] for h in history):
            best = model.get_weights()
    model.set_weights(best)
    for images in (validation, test):  # the bank's side predicts these too
        logits.predict(images, verbose=0)
    return history


def _compile(logits, learning_rate: float, **how) -> None:
    import keras

    logits.compile(
        keras.optimizers.Adam(learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        **how,
    )


def _images(config: Config, dataset: Dataset, rows):
    """A ``PyDataset`` of images: ``view`` and ``order`` are set before each epoch."""
    import keras

    class Images(keras.utils.PyDataset):
        view, order = None, np.arange(len(rows))

        def __len__(self):
            return -(-len(self.order) // config.batch_size)

        def __getitem__(self, k):
            chosen = rows[self.order[k * config.batch_size : (k + 1) * config.batch_size]]
            return batch(dataset, chosen, config, self.view), dataset.labels[chosen]

    return Images(workers=1)  # two and four were slower on two cores


def machine(config: Config) -> dict:
    """Processor, versions, and the cost of the head."""
    from acrlls.method import POOL, between, build_model, unfreeze_top
    from acrlls.runs import environment
    from acrlls.training import engine, engine_version

    model = build_model(config.replace(variant="proposed"), 4)
    unfreeze_top(model, 0)
    head = between(model, POOL, model.layers[-2].name)
    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    named = [line.split(":")[1].strip() for line in cpu.splitlines() if "model name" in line]
    return {
        "cpu": named[0] if named else platform.processor(),
        "cores": os.cpu_count(),
        "engine": engine_version(engine()),
        **environment(),
        "head_seconds": _head_seconds(head, config),
    }


def _head_seconds(head, config: Config, n: int = 10_000) -> float:
    """Seconds for a training image and epoch of the head on stored features, validation included.

    Measured apart, on random vectors: among few images an epoch of the head is all overhead.
    """
    from acrlls.training import jit_compile, steps_per_execution

    rng = np.random.default_rng(0)
    x, y = rng.random((n, *head.input_shape[1:]), np.float32), rng.integers(0, 4, n)
    steps = steps_per_execution(n // config.batch_size)
    rate = config.phase1_learning_rate
    _compile(head, rate, jit_compile=jit_compile(), steps_per_execution=steps)
    share = int(n * config.validation_fraction / config.train_fraction)
    seconds = []
    for _ in range(3):  # the first one compiles
        start = time.perf_counter()
        head.fit(x, y, batch_size=config.batch_size, verbose=0)
        head.evaluate(x[:share], y[:share], batch_size=config.batch_size, verbose=0)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:]) / n


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2])
    except UserError as error:
        sys.exit(str(error))
