"""The same statements hold on the other Keras backends (each in a process of its own)."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from acrlls import backend as _start

BACKENDS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            not importlib.util.find_spec(name), reason=f"{name} is not installed"
        ),
    )
    for name in ("jax", "torch")
]

TRAIN = """
import keras, numpy as np
from acrlls import configure, runs
config = configure("quick", phantom_images=120, image_size=32, backbone="random", views=1)
done = runs.run(config.replace(phase1_epochs=1, phase2_epochs=1, unfrozen_layers=20, batch_size=16))
assert done.manifest["backend"] == keras.backend.backend() != "tensorflow"
assert done.manifest["device"]  # "cpu", or the name of a GPU
assert len(done.history) == 2 and np.isfinite(done.history.val_loss).all()
assert not np.allclose(done.scales.iloc[:, 2:], 1)
for loss in ("correctness_ranking", "mixup"):
    rival = runs.run(config.replace(loss=loss, phase1_epochs=2, phase2_epochs=0, batch_size=16))
    assert np.isfinite(rival.history.loss).all()
p = done.model().predict(np.zeros((1, 32, 32, 3)), verbose=0)
np.testing.assert_allclose(p.sum(), 1, rtol=1e-5)
"""

SHARED = """
import sys
import keras, numpy as np
from acrlls import configure, runs
assert len(keras.distribution.list_devices()) == 2
if sys.argv[2] == "shared":
    keras.distribution.set_distribution(keras.distribution.DataParallel())
config = configure("quick", phantom_images=120, image_size=32, backbone="random", views=1)
config = config.replace(phase1_epochs=1, phase2_epochs=1, unfrozen_layers=20, batch_size=16)
done = runs.run(config)
np.savez(sys.argv[1], loss=done.history.loss, logits=done.predictions("test").logits)
"""


def run_on(backend, *arguments, flags=""):
    # most of the time would go into optimising code that runs once
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "XLA_FLAGS": f"--xla_backend_optimization_level=0 {flags}",
    }
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.thorough
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_statement_about_layers_and_losses_holds(backend):
    files = [
        str(Path(__file__).parents[1] / "method" / f"test_{n}.py") for n in ("layers", "losses")
    ]
    run_on(backend, "-m", "pytest", "-p", "no:cacheprovider", *files)


@pytest.mark.thorough
@pytest.mark.parametrize("backend", BACKENDS)
def test_both_phases_train(backend):
    run_on(backend, "-c", TRAIN)


@pytest.mark.thorough
@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="jax is not installed")
def test_a_run_on_two_devices_is_that_on_one(tmp_path, monkeypatch):
    found = []
    for how in ("alone", "shared"):
        monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / how))
        file = tmp_path / f"{how}.npz"
        run_on("jax", "-c", SHARED, file, how, flags="--xla_force_host_platform_device_count=2")
        found.append(np.load(file))
    alone, shared = found
    np.testing.assert_allclose(shared["loss"], alone["loss"], rtol=1e-4)
    np.testing.assert_allclose(shared["logits"], alone["logits"], atol=2e-3)
    assert not np.array_equal(shared["logits"], alone["logits"])  # added in another order


@pytest.mark.parametrize(("set_by_user", "seen"), [(None, "1"), ("0", "0")])
def test_faster_kernels_are_switched_on_before_keras_but_not_against_the_user(
    monkeypatch, set_by_user, seen
):
    monkeypatch.setenv(_start.ONEDNN_VARIABLE, set_by_user or "")
    if not set_by_user:
        monkeypatch.delenv(_start.ONEDNN_VARIABLE)
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setattr(
        _start.importlib, "import_module", lambda name: (name, os.environ[_start.ONEDNN_VARIABLE])
    )
    assert _start.import_keras() == ("keras", seen)
