"""The recorded population: made once, read by everybody, and what it says is so."""

import json

import numpy as np
import pytest
from scipy.special import softmax

from acrlls import runs
from acrlls.calibration import registry as calibration
from acrlls.config import UserError
from acrlls.phantom import patients as phantom
from acrlls.phantom import population
from acrlls.phantom.population import load_population, record_population
from acrlls.runs import recorded as records


@pytest.fixture(scope="module")
def recorded(tiny, tmp_path_factory):
    return tmp_path_factory.mktemp("population"), tiny


@pytest.fixture(scope="module")
def small(recorded):
    folder, config = recorded
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(population, "_CHUNK", 40)
        return record_population(config, 100, seed=7, folder=folder)


def test_it_holds_the_phantoms_of_its_seed_as_the_phantom_draws_them(small, tiny):
    drawn = phantom.draw(100, seed=7, size=tiny.image_size)
    np.testing.assert_array_equal(small.labels, drawn.labels)
    np.testing.assert_allclose(small.eta, drawn.eta, atol=2**-15)
    np.testing.assert_allclose(small.eta.sum(axis=1), 1, atol=1e-12)


def test_its_probabilities_are_those_of_the_runs_network(small, tiny):
    from acrlls import data

    drawn = phantom.draw(100, seed=7, size=tiny.image_size)
    said = runs.run(tiny).model().predict(data.to_input(drawn.images, tiny.input_range), verbose=0)
    np.testing.assert_allclose(small.probabilities, said, atol=1e-3)
    np.testing.assert_allclose(small.probabilities, softmax(small.logits, axis=1))


def test_its_manifest_says_what_made_it_and_names_no_folder_of_the_machine(small, recorded, tiny):
    manifest = json.loads((recorded[0] / "manifest.json").read_text())
    assert manifest["run"] == runs.run(tiny).manifest["digest"]
    assert (manifest["images"], manifest["phantom_seed"]) == (100, 7)
    np.testing.assert_allclose(small.class_weights, records.training_weights(runs.run(tiny)))
    assert str(recorded[0].parent) not in json.dumps(manifest)


def test_a_larger_one_keeps_the_parts_of_a_smaller_one(small, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(population, "_CHUNK", 40)
    asked = []
    real = phantom.draw
    monkeypatch.setattr(
        phantom, "draw", lambda n, **how: asked.append((how["first"], n)) or real(n, **how)
    )
    larger = record_population(tiny, 140, seed=7, folder=tmp_path)
    assert asked == [(80, 40), (120, 20)]
    np.testing.assert_array_equal(larger.logits[:80], small.logits[:80])


def test_the_runs_own_phantoms_and_real_images_are_refused(tiny):
    with pytest.raises(UserError, match="the run's own"):
        record_population(tiny, 10, seed=tiny.phantom_seed)
    with pytest.raises(UserError, match="only of the phantom"):
        record_population(tiny.replace(data="some/folder"), 10)


def test_a_missing_record_is_an_error_that_says_how_to_make_it(tmp_path):
    with pytest.raises(UserError, match="manifest.json is missing; `acrlls population`"):
        load_population(tmp_path)


def test_the_shipped_record_has_labels_drawn_from_its_eta_and_a_model_far_from_calibrated():
    shipped = load_population()
    assert len(shipped) == shipped.manifest["images"]
    by_label = np.bincount(shipped.labels, minlength=4) / len(shipped)
    error = np.sqrt((shipped.eta * (1 - shipped.eta)).mean(axis=0) / len(shipped))
    assert (np.abs(by_label - shipped.eta.mean(axis=0)) < 4 * error).all()
    # eta is calibrated: its own ECE lies within its floor
    floor = calibration.noise_floor(shipped.eta, shipped.labels, resamples=100)
    assert (
        floor.observed
        < np.quantile(np.column_stack([floor.classwise, floor.top_label]), 0.999, axis=0)
    ).all()
    assert calibration.true_calibration_error(shipped.probabilities, shipped.eta).mean() > 0.01
