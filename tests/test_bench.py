"""The benchmark: both sides do the same job, and its record says what is needed."""

import functools
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from acrlls import backend as _start
from acrlls import data
from acrlls.bench import bench
from acrlls.bench import parts as bench_parts


@pytest.fixture(scope="module")
def task(tiny):
    config = tiny.replace(views=None, phase1_epochs=2, phase2_epochs=2)
    return bench.Task(config, images=160, plain_points=1, workers=(1,), seeds=())


def test_a_sample_has_the_classes_of_the_whole_and_its_own_fingerprint(phantom_data):
    some = bench.sample(phantom_data, 80)
    shares = [np.bincount(d.labels, minlength=4) / len(d) for d in (phantom_data, some)]
    np.testing.assert_allclose(*shares, atol=0.02)
    assert some.fingerprint != phantom_data.fingerprint
    k = phantom_data.names.tolist().index(some.names[7])
    np.testing.assert_array_equal(some.image(7), phantom_data.image(k))
    assert bench.sample(phantom_data, 1000) is phantom_data


@pytest.mark.thorough
def test_plain_keras_sees_the_views_and_the_order_of_training_through_the_bank(task, tmp_path):
    """Same seeds, images, views, order and dropout: the head's losses agree but for rounding."""
    (config,) = task.variants(phase2_epochs=0)[-1:]
    dataset = task.dataset()
    from acrlls.method.model import build_model

    plain = bench_parts._plain_phase(config, dataset, build_model(config, 4), 1, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACRLLS_STORE", str(tmp_path))
        bank = bench_parts._through_bank(task, [config], tmp_path / "bank")
    a, b = ([row["val_loss"] for row in rows] for rows in (plain["history"], bank["histories"][0]))
    np.testing.assert_allclose(a, b, rtol=1e-3)
    np.testing.assert_allclose(plain["logits"], bank["logits"][0], rtol=1e-2, atol=1e-2)


@pytest.fixture(scope="module")
def exactness(task, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exactness")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACRLLS_STORE", str(folder))
        return bench_parts._exactness(task, folder)


@pytest.mark.thorough
def test_the_first_step_of_phase_2_is_exact_in_float64(exactness):
    found = exactness
    assert found["head_validation_loss"] < 1e-3
    for batchnorm in ("frozen", "update"):
        step = found[f"first_step_{batchnorm}"]
        assert step["loss"] < 1e-4
        assert step["gradient, both in float64"] < 1e-6  # read off a step of gradient descent
        assert step["gradient, bank in float32 to float64"] < 0.05


@pytest.mark.slow
def test_a_failed_part_is_named_with_its_last_words(task, tmp_path):
    (tmp_path / "task.json").write_text(json.dumps({**vars(task), "config": task.config.as_dict()}))
    with pytest.raises(bench.UserError, match="(?s)the part 'nonsense' failed.*KeyError"):
        bench._in_a_process(tmp_path, "nonsense")


def test_plain_keras_is_timed_with_the_kernels_that_tensorflow_chooses_itself(
    task, tmp_path, monkeypatch
):
    """Whoever starts the benchmark may have switched others on for itself."""
    variable, seen = _start.ONEDNN_VARIABLE, {}
    monkeypatch.setenv(variable, "as found")  # so that it is as before afterwards, set or not
    monkeypatch.delenv(variable)
    monkeypatch.setattr(_start, "_set_here", set())
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setattr(_start.importlib, "import_module", lambda name: name)
    _start.import_keras()
    assert os.environ[variable] == "1"

    def started(command, env, **_):
        seen[command[-1]] = env.get(variable)
        (tmp_path / f"{command[-1]}.json").write_text("{}")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(bench.subprocess, "run", started)
    bench._in_a_process(tmp_path, "plain phase 1")
    monkeypatch.setenv(variable, "0")
    monkeypatch.setattr(_start, "_set_here", set())
    bench._in_a_process(tmp_path, "plain grid")
    assert seen == {"plain phase 1": None, "plain grid": "0"}  # what the user sets stays


@pytest.mark.parametrize(
    "name, switched_on", [("plain phase 1", False), ("tuned plain", True), ("bank phase 1", True)]
)
def test_of_the_sides_plain_keras_alone_is_imported_as_it_is(
    task, tmp_path, monkeypatch, name, switched_on
):
    calls = []
    monkeypatch.setattr(_start, "import_keras", lambda: calls.append(name))
    monkeypatch.setitem(bench_parts.WORK, name, lambda task, folder: {})
    (tmp_path / "task.json").write_text(json.dumps({**vars(task), "config": task.config.as_dict()}))
    bench_parts.main(tmp_path, name)
    assert bool(calls) == switched_on and "peak_bytes" in json.loads(
        (tmp_path / f"{name}.json").read_text()
    )


def test_the_plain_side_is_scaled_up_to_all_grid_points(task):
    assert len(task.grid()) == len(task.config.grid_alpha) * len(task.config.grid_tau)
    assert {(c.variant, c.phase2_epochs, c.patience) for c in task.grid()} == {
        ("proposed", 0, None)
    }


@pytest.mark.thorough
def test_the_benchmark_records_what_its_tables_need(task, tmp_path, monkeypatch, exactness):
    """Some parts for one network, in this process: most of the time would go into starting and compiling."""
    parts = ("phase 1", "phase 2 frozen")
    sides = {f"{side} {part}" for side in bench.SIDES for part in parts}

    def here(folder, name):
        if name == "exactness":
            return exactness
        bench_parts.main(folder, name)
        found = json.loads((folder / f"{name}.json").read_text())
        if (
            name in sides
        ):  # the one that fills the bank, and another as the rates of the suffix need it
            assert len(found["histories"]) == len(found["logits"]) == 1
            return {**found, "histories": 2 * found["histories"], "logits": 2 * found["logits"]}
        return found

    few = functools.partial(bench_parts._metrics, n=1000)
    monkeypatch.setitem(bench_parts.WORK, "metrics", few)
    monkeypatch.setattr(bench, "VARIANTS", ("proposed",))
    for module in (bench, bench_parts):
        monkeypatch.setattr(module, "PARTS", parts)
    monkeypatch.setattr(bench, "_in_a_process", here)
    monkeypatch.setenv(
        "ACRLLS_STORE", str(tmp_path / "store")
    )  # which the parts turn for themselves
    said = []
    bench.bench(task, tmp_path, say=lambda text, **_: said.append(text))
    result, epochs = bench.load(tmp_path)
    for table in bench.tables(result, epochs).values():
        assert np.isfinite(table.drop(columns="relplot", errors="ignore").to_numpy(float)).all()
    assert len(result["parts"]) == 2 * len(parts)
    whole = bench.tables(result, epochs)["The whole job at the paper's size, hours"][
        "BatchNorm frozen"
    ]
    np.testing.assert_allclose(whole["ratio, plain, oneDNN"] * whole.bank, whole["plain, oneDNN"])
    assert str(data.store()) not in json.dumps(result)
    assert (
        result["machine"]["multiply_adds"]["frozen forward"]
        > result["machine"]["multiply_adds"]["cut forward"]
    )
    assert any("whole job" in text for text in said)
    assert result["final_loss"]["plain_moved_by_rounding"] == pytest.approx(
        result["final_loss"]["plain"], rel=0.1
    )
