"""What the section on speed says, and costs projected from measured epochs."""

import itertools
import shutil

import pandas as pd
import pytest

from acrlls.config import UserError, configure
from acrlls.tables import speed


@pytest.fixture(scope="module")
def paper():
    return speed.load("paper")


def projected(fill=2.0, head=0.1, plain=10.0):
    """Hours from epochs of 100 images, which take so many seconds; first epochs are slow, the
    bank's first run fills the views, and faster kernels take a quarter."""
    parts = "phase 1", "phase 2 frozen", "phase 2 update"
    rows, times = [], {"plain": plain, speed.TUNED: plain / 4, "bank": head}
    for side, part, run, epoch in itertools.product(speed.SIDES, parts, range(3), (1, 2, 3)):
        each = times[side] + (fill if side == "bank" and run == 0 else 0)
        rows.append((side, part, run, epoch, 100, 50.0 if epoch == 1 else each))
    epochs = pd.DataFrame(rows, columns=["side", "part", "run", "epoch", "train", "seconds"])
    return speed.hours({"machine": {"head_seconds": head / 100}}, epochs) * 3600 / speed.TRAIN


def test_hours_leave_out_compiling_and_tell_filling_from_training():
    table = projected()
    assert table.loc["Phase 1", "plain"] == pytest.approx(3 * 30 * 0.1)
    assert table.loc["Phase 1", "bank"] == pytest.approx(30 * (3 * 0.001 + 0.02))
    # sixteen grid points share their views
    assert table.loc["grid", "bank"] == pytest.approx(10 * (16 * 0.001 + 0.02))
    assert (table[speed.TUNED] * 4).tolist() == pytest.approx(table.plain.tolist())


def test_views_of_the_grid_that_phase_1_sees_again_are_filled_once():
    table = projected()
    saved = table.loc[list(speed.JOB)].sum() - table.loc[speed.WHOLE]
    assert saved.to_dict() == pytest.approx({"plain": 0, speed.TUNED: 0, "bank": 10 * 0.02})


def test_the_job_is_the_papers():
    c = configure("paper", data="phantom", backbone="random")
    points = len(c.grid_alpha) * len(c.grid_tau)
    each = [(points, c.grid_epochs), (3, c.phase1_epochs), (3, c.phase2_epochs)]
    assert list(speed.JOB.values()) == each


def test_a_record_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(UserError, match="recorded is 'mine'; .*paper, .*quick"):
        speed.load("mine")


def test_a_record_elsewhere_is_found_by_its_folder(tmp_path, monkeypatch):
    for name in ("bench.json", "epochs.csv"):
        shutil.copy(speed.RECORDS / "quick" / name, tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    for folder in (str(tmp_path), f"~/{tmp_path.name}"):
        assert speed.load(folder)[0] == speed.load("quick")[0]


def test_the_set_up_names_images_and_machine(paper):
    result, _ = paper
    said = speed.setup(result)
    assert "1,000 real radiographs of 224 px (699 to train on, in batches of" in said
    assert "on tensorflow; openvino 20" in said
    assert "phantoms" in speed.setup({**result, "config": {**result["config"], "data": "phantom"}})


def test_ratios_are_those_of_the_hours(paper):
    table = speed.shown(speed.hours(*paper)).data
    for side in ("plain Keras", "plain Keras, oneDNN"):
        times = table["hours", side] / table["hours", "feature bank"]
        pd.testing.assert_series_equal(times, table["ratio to the bank", side], check_names=False)


def test_the_finding_names_the_faster_kernels(paper):
    hours = speed.hours(*paper)
    ratio = hours.div(hours.bank, axis=0).loc[speed.WHOLE]
    said = speed.finding(hours)
    assert f"{ratio[speed.TUNED]:.1f} times as fast as plain Keras with the same" in said
    assert f"and {ratio.plain:.1f} times as fast as plain Keras as it comes.**" in said


# --- What more would cost ---


def test_more_images_cost_in_proportion_and_more_grid_points_only_the_head(paper):
    result, epochs = paper
    hours = speed.hours(result, epochs)
    table, dear = (speed.scaled(hours, result, price) for price in (0.04, 0.08))
    once = table.loc["the paper's"]
    assert once.days == pytest.approx(hours.bank[speed.WHOLE] / 24)
    assert table.loc["10 × the images"].tolist() == pytest.approx((10 * once).tolist())
    points = 9 * 160 * speed.TRAIN * result["machine"]["head_seconds"] / 3600 / 24
    assert table.days["10 × the grid points"] - once.days == pytest.approx(points)
    seeds = hours.bank[["Phase 1", "Phase 2"]].sum() / 24
    assert table.days["1,000 seeds"] - once.days == pytest.approx(999 * seeds)
    hour = 24 * result["machine"]["cores"] * 0.04  # of all cores
    assert (table.price / table.days).tolist() == pytest.approx([hour] * len(table))
    assert (dear.price / table.price).tolist() == pytest.approx([2.0] * len(table))
    assert table["GB a view"]["1,000 seeds"] == once["GB a view"]


def test_recorded_costs_are_within_what_the_page_says_of_them():
    times = pd.read_csv(speed.SCALE / "images.csv")
    assert times.images.tolist() == [21165, 211650]  # the paper's number, and ten times as many
    assert times["peak memory in MB"].max() < 2000  # 2 GB
    assert times["seconds in epochs"].iloc[1] < 10 * times["seconds in epochs"].iloc[0]
    assert len(pd.read_csv(speed.SCALE / "workers.csv")) == 5


def test_a_row_a_recorded_machine_has_the_ratios_of_its_own_hours(paper):
    table, hours = speed.machines(), speed.hours(*paper)
    assert "quick" not in table.index  # phantoms
    ratio = (hours.plain / hours.bank)[speed.WHOLE]
    assert table.loc["paper", "than plain Keras"] == pytest.approx(ratio)
    assert dict(table["AVX-512 VNNI"]) == {"paper": "no", "paper-vnni": "yes"}
