"""Nothing published stands beside images of other classes than the paper's."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import random_case
from PIL import Image

import acrlls
from acrlls.paper import CLASSES, table
from acrlls.runs import Predictions
from acrlls.tables import beside, classification, recorded, reliability, scales, training, tuning


def folder(root, classes):
    for name in classes:
        (root / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(root / name / f"{name}.png")
    return acrlls.configure("quick", data=str(root))


@pytest.mark.parametrize("classes, same", [(["Normal", "Tuberculosis"], False), (CLASSES, True)])
def test_records_stand_beside_the_papers_classes_alone(tmp_path, classes, same):
    config = folder(tmp_path, classes)
    assert bool(recorded.like(config)) == same == (beside.alone(config) is None)
    assert recorded.setting(config=config).title == recorded.AS_PUBLISHED


def fake(classes):
    """A run of both phases on some classes, as far as tables ask."""
    p, y = random_case(60, len(classes))
    test = Predictions(np.arange(60).astype(str), y, np.log(p), tuple(classes), "test")
    manifest = {"selected_phase": 2}
    return SimpleNamespace(
        class_names=tuple(classes), predictions=lambda *_, **__: test, manifest=manifest
    )


@pytest.mark.parametrize("classes, same", [(["Normal", "Ill"], False), (CLASSES, True)])
def test_sentences_and_tables_of_accuracy(classes, same):
    run = fake(classes)
    said = training.finding([run], 20, "real images")
    assert ("Published: from 0.876 to 0.947." in said) == same
    assert ("published" in training.turned(run)) == same
    assert ("published" in training.accuracies([], run, "this run", 20)) == same
    about = run.predictions().probabilities, run.predictions().labels, classes, "this run", 20
    for of in (classification.table_3, classification.by_class):
        assert ("published" in of([], *about)) == same


@pytest.mark.parametrize("classes, same", [(["Normal", "Ill"], False), (CLASSES, True)])
def test_tables_of_scales(classes, same):
    rows = [{"phase": p, "epoch": e, **dict.fromkeys(classes, 1.0)} for p in (1, 2) for e in (1, 2)]
    run = SimpleNamespace(class_names=tuple(classes), scales=pd.DataFrame(rows))
    run.best_scales = lambda phase: pd.Series(1.0, list(classes))
    moves = scales.moves(run, pd.DataFrame(np.eye(2, len(classes)), columns=list(classes)))
    assert ("published change" in moves) == same and not moves.isna().any(axis=None)
    assert ("published" in scales.finding([0.9, 1.1], 1e-7, moves)) == same


def test_no_prediction_of_a_confidence_is_said_to_be_none():
    none = reliability.near_sentence(pd.DataFrame({"images": [0, 0]}))
    assert none == "No image has a confidence of about 0.97."


def test_the_grid_of_other_images_shows_its_own_best_pairs():
    grid = table("I")[["alpha", "tau", "val_accuracy", "val_loss"]].iloc[::-1]
    shown = tuning.table_1({"real images": None, "this run": grid}, published=False).data
    assert list(shown.columns.unique(0)) == ["this run"] and len(shown) == 5
    assert shown["this run", "rank"].tolist() == [1, 2, 3, 4, 5]
