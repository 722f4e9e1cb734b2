"""The benchmark: both sides do the same job, and its record says what the section needs."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from acrlls import backend
from acrlls.config import PROJECT, UserError

_spec = importlib.util.spec_from_file_location("bench", PROJECT / "results" / "bench.py")
bench = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(bench)


@pytest.fixture(scope="module")
def config(tiny):
    return tiny.replace(views=None, phase1_epochs=2, phase2_epochs=2)


def test_a_sample_has_the_classes_of_the_whole_and_its_own_fingerprint(config, phantom_data):
    some = bench.sample(config, 80)
    shares = [np.bincount(d.labels, minlength=4) / len(d) for d in (phantom_data, some)]
    np.testing.assert_allclose(*shares, atol=0.02)
    assert some.fingerprint != phantom_data.fingerprint
    k = phantom_data.names.tolist().index(some.names[7])
    np.testing.assert_array_equal(some.image(7), phantom_data.image(k))
    assert bench.sample(config, 1000).fingerprint == phantom_data.fingerprint


def test_images_that_there_are_not_are_not_counted(config, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(bench, "_in_a_process", lambda folder, name: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bench.bench(config, 10**9, tmp_path, say=lambda text, **_: said.append(text))
    assert said == ["185 images, 128 to train on"]


def test_a_failed_part_is_named_with_its_last_words(config, tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 3, stderr="no room")
    monkeypatch.setattr(bench.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(UserError, match="(?s)'machine' failed with status 3.*no room"):
        bench.bench(config, 160, tmp_path, say=lambda *_, **__: None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"phase1_epochs": 1}, "it takes 2 or more"),
        ({"phase2_epochs": 1}, "it takes 2 or more"),
        ({"loss": "focal"}, "with cross-entropy alone, not with focal"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_timed(
    config, tmp_path, change, said
):
    with pytest.raises(UserError, match=said):
        bench.bench(config.replace(**change), 160, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_plain_keras_is_timed_with_the_kernels_that_tensorflow_chooses_itself(monkeypatch):
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
    [("plain phase 1", False), (f"{bench.TUNED} phase 1", True), ("bank phase 1", True)],
)
def test_of_the_sides_plain_keras_alone_is_imported_as_it_is(
    config, tmp_path, monkeypatch, name, switched_on
):
    calls = []
    monkeypatch.setattr(bench, "import_keras", lambda: calls.append(name))
    monkeypatch.setattr(bench, "histories", lambda c, d, side, part, folder: [side, part])
    task = {"config": config.as_dict(), "images": 160}
    (tmp_path / "task.json").write_text(json.dumps(task))
    bench.main(tmp_path, name)
    assert bool(calls) == switched_on
    side, part = json.loads((tmp_path / f"{name}.json").read_text())
    assert f"{side} {part}" == name and side in bench.SIDES and part in bench.PARTS


@pytest.mark.thorough
def test_both_sides_train_alike_and_the_record_has_what_the_section_reads(
    config, tmp_path, monkeypatch
):
    """In this process: most of the time would go into starting and compiling."""
    from acrlls.tables import speed

    def here(folder, name):
        bench.main(folder, name)
        return json.loads((folder / f"{name}.json").read_text())

    monkeypatch.setattr(bench, "_in_a_process", here)
    monkeypatch.setattr(bench, "VARIANTS", ("single_dense", "proposed"))
    monkeypatch.setenv("ACRLLS_STORE", os.environ["ACRLLS_STORE"])  # put back afterwards
    said = []
    bench.bench(config, 160, tmp_path / "quick", say=lambda text, **_: said.append(text))
    assert len(said) == 11  # what is timed, the machine, three parts on three sides
    result, epochs = speed.load(tmp_path / "quick")
    # Same seeds, images, views, order and dropout: the head's losses agree but for rounding.
    assert result["agreement"]["phase 1"] < 1e-3
    assert np.isfinite(speed.hours(result, epochs)).all(axis=None)
    assert str(tmp_path) not in json.dumps(result)
