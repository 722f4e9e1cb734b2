"""Algorithm 1: two phases of training, each keeping its best epoch (Section II-D)."""

from collections.abc import Iterable
from pathlib import Path

import keras
import pandas as pd

from acrlls.config import Config
from acrlls.data import Dataset
from acrlls.method import build_model, frozen_backbone
from acrlls.store import Damaged, damage, seal
from acrlls.training.bank import FeatureBank
from acrlls.training.phase import Phase, better, load_variables, phases, stored_layers
from acrlls.training.stored import room

_DONE = "best.json"  # written when all else is, with its digests


def train(config: Config, dataset: Dataset, folder: Path) -> keras.Model:
    """Phase 1, then Phase 2 from the best of Phase 1; the better of the two by validation loss.

    Writes ``history.csv``, ``scales.csv``, ``predictions.csv.gz``, ``model.weights.h5`` and
    ``best.json`` into ``folder``, and a checkpoint after every epoch, from which a later call with
    the same arguments goes on to the same result.  Returns the model, images `(n, size, size, 3)`
    to probabilities `(n, classes)`; a ``UserError`` says if there is no room for the features of a
    single view, ``Damaged`` if the folder is not as an earlier call left it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    base = None if config.phase2_epochs else frozen_backbone(config)
    model = build_model(config, len(dataset.class_names), base)
    if (folder / _DONE).exists():  # cut off while it was tidied up
        if wrong := damage(folder, _DONE):
            raise Damaged(f"{folder}: {wrong}")
        model.load_weights(folder / "model.weights.h5")
    else:
        _train_phases(config, dataset, model, folder)
    for leftover in (*folder.glob("*.npz"), *folder.glob("*.aside")):
        leftover.unlink()
    return model


def passes(trainings: Iterable[tuple[Config, Dataset]]) -> list[tuple]:
    """What trainings by some configs, one after another, would have the feature bank compute: for
    each pass over the images of a part a config and the arguments of :meth:`FeatureBank.features`.

    Nothing that is stored, no epoch that early stopping may spare, and no more than there is room
    for without deleting other views.
    """
    found, planned, space = [], {}, room()
    for config, dataset in trainings:
        bank = FeatureBank(config, dataset)
        for plan in phases(config):
            layer, also = stored_layers(plan, config, bank.model)
            views = plan.views[: config.patience and config.patience + 1]
            parts = [("validation", None), ("test", None), *(("train", view) for view in views)]
            for part, view in parts if layer else ():
                asked = part, layer, view, also.get(view, ())
                if new := bank.missing(planned, *asked):
                    planned |= new
                    if sum(planned.values()) > space:
                        return found
                    found.append((config, *asked))
    return found


def _train_phases(config: Config, dataset: Dataset, model: keras.Model, folder: Path) -> None:
    bank = FeatureBank(config, dataset, model)
    own, others, bests, files = [], [], {}, {}
    for plan in phases(config):
        phase = Phase(plan, bank, folder)
        bests[plan.phase] = phase.train()
        *further, (reading, table) = phase.predictions().items()
        own.append(table)
        others += [found.assign(statistics=name) for name, found in further]
        files[plan.phase] = phase.best_file(reading)
    selected = plan.phase if better(bests[plan.phase], bests[1]) else 1
    if selected != plan.phase:
        load_variables(files[selected], model.weights)
        # the returned model is Phase 1's, so what Phase 2 stands for in the tables is too
        own[-1] = own[0].assign(phase=plan.phase)
    predicted = {"predictions": (own, "%.7g"), "statistics_predictions": (others, "%.5g")}
    for name, (tables, digits) in predicted.items():
        if tables:
            pd.concat(tables).to_csv(folder / f"{name}.csv.gz", index=False, float_format=digits)
    model.save_weights(folder / "model.weights.h5")
    note = {"phases": bests, "selected": selected, "engines": sorted(bank.engines)}
    done = [f for f in folder.iterdir() if f.suffix in {".csv", ".gz", ".h5"}]
    seal(folder, note, done, _DONE)
