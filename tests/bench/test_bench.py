"""The benchmark: both sides do the same job, and its record says what the section needs."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from acrlls import backend
from acrlls.bench import compare, parts
from acrlls.config import UserError


@pytest.fixture(scope="module")
def task(tiny):
    config = tiny.replace(views=None, phase1_epochs=2, phase2_epochs=2)
    return compare.Task(config, images=160, plain_points=1)


def write(task, folder):
    note = {**vars(task), "config": task.config.as_dict()}
    (folder / "task.json").write_text(json.dumps(note))


def test_a_sample_has_the_classes_of_the_whole_and_its_own_fingerprint(task, phantom_data):
    some = compare.Task(task.config, images=80).dataset()
    shares = [np.bincount(d.labels, minlength=4) / len(d) for d in (phantom_data, some)]
    np.testing.assert_allclose(*shares, atol=0.02)
    assert some.fingerprint != phantom_data.fingerprint
    k = phantom_data.names.tolist().index(some.names[7])
    np.testing.assert_array_equal(some.image(7), phantom_data.image(k))
    everything = compare.Task(task.config, images=1000).dataset()
    assert everything.fingerprint == phantom_data.fingerprint


def test_the_grid_trains_proposed_in_phase_1_at_every_point(task):
    grid = task.of_part("grid")
    assert {(c.alpha, c.tau) for c in grid} == {(0.08, 0.15), (0.08, 0.25)}
    assert {(c.variant, c.phase2_epochs, c.patience) for c in grid} == {("proposed", 0, None)}


def test_a_failed_part_is_named_with_its_last_words(task, tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 3, stderr="no room")
    monkeypatch.setattr(compare.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(UserError, match="(?s)'machine' failed with status 3.*no room"):
        compare.bench(task, tmp_path, say=lambda *_, **__: None)


def test_plain_keras_is_timed_with_the_kernels_that_tensorflow_chooses_itself(
    task, tmp_path, monkeypatch
):
    """Whoever starts the benchmark may have switched others on for itself."""
    variable = backend.ONEDNN_VARIABLE
    monkeypatch.setenv(variable, "as found")  # so that it is as before afterwards, set or not
    monkeypatch.delenv(variable)
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setattr(backend.importlib, "import_module", lambda name: name)
    backend.import_keras()
    assert os.environ[variable] == "1" and variable not in backend.environment_as_found()


@pytest.mark.parametrize(
    ("name", "switched_on"),
    [("plain phase 1", False), ("tuned phase 1", True), ("bank grid", True)],
)
def test_of_the_sides_plain_keras_alone_is_imported_as_it_is(
    task, tmp_path, monkeypatch, name, switched_on
):
    calls = []
    monkeypatch.setattr(backend, "import_keras", lambda: calls.append(name))
    monkeypatch.setattr(parts, "timed", lambda *_: {})
    write(task, tmp_path)
    parts.main(tmp_path, name)
    assert bool(calls) == switched_on
    assert json.loads((tmp_path / f"{name}.json").read_text())["peak_bytes"] > 1e6


@pytest.mark.thorough
def test_both_sides_train_alike_and_the_record_has_what_the_section_reads(
    task, tmp_path, monkeypatch
):
    """In this process: most of the time would go into starting and compiling."""
    from acrlls.tables import speed

    def here(folder, name):
        parts.main(folder, name)
        return json.loads((folder / f"{name}.json").read_text())

    monkeypatch.setattr(compare, "_in_a_process", here)
    monkeypatch.setattr(compare, "VARIANTS", ("single_dense", "proposed"))
    monkeypatch.setenv("ACRLLS_STORE", os.environ["ACRLLS_STORE"])  # put back afterwards
    said = []
    compare.bench(task, tmp_path / "quick", say=lambda text, **_: said.append(text))
    assert len(said) == 13  # what is timed, the machine, four parts on two sides, three tuned
    monkeypatch.setattr(speed, "RECORDS", tmp_path)
    result, epochs = speed.record("quick")
    # Same seeds, images, views, order and dropout: the head's losses agree but for rounding.
    assert max(result["agreement"].values()) < 1e-3
    hours = speed.projections(result, epochs)
    for table in (speed.measured(result), speed.projected(hours)):
        assert np.isfinite(table.data.to_numpy()).all()
    assert str(tmp_path) not in json.dumps(result)
