"""Costs projected from measured epochs."""

import itertools

import pandas as pd
import pytest

from acrlls import bench
from acrlls.config import configure


def epochs(fill=2.0, head=0.1, plain=10.0):
    """Epochs of 100 images; first epochs are slow, and the bank's first run fills the views."""
    rows = []
    parts = ("grid", "phase 1", "phase 2 frozen", "phase 2 update")
    for side, part, run, epoch in itertools.product(("plain", "bank"), parts, range(3), (1, 2, 3)):
        each = plain if side == "plain" else head + (fill if run == 0 else 0.0)
        rows.append((side, part, run, epoch, 100, 50.0 if epoch == 1 else each))
    return pd.DataFrame(rows, columns=["side", "part", "run", "epoch", "train", "seconds"])


def test_rates_leave_out_compiling_and_tell_filling_from_training():
    rate = bench.rates(epochs())
    assert rate["plain", "phase 1"] == pytest.approx(0.1)
    assert rate["bank", "phase 1"] == pytest.approx(0.001)
    assert bench.rates(epochs(), 0.5)["bank", "phase 1"] == 0.5
    assert rate["bank", "fill pool"] == rate["bank", "fill cut"] == pytest.approx(0.02)


def test_plain_keras_with_faster_kernels_stands_beside_the_other_two():
    plain = epochs()[lambda t: t.side == "plain"]
    faster = plain[plain.part != "grid"].assign(side=bench.TUNED, seconds=plain.seconds / 4)
    table = bench.project(bench.rates(pd.concat([epochs(), faster])), bench.Job())
    without = bench.project(bench.rates(epochs()), bench.Job())
    pd.testing.assert_frame_equal(table[without.columns], without)
    assert (table[bench.TUNED] * 4).tolist() == pytest.approx(table.plain.tolist())
    assert (table[f"ratio, {bench.TUNED}"] * 4).tolist() == pytest.approx(table.ratio.tolist())


def test_a_grid_point_more_costs_the_bank_no_view_more():
    rate = bench.rates(epochs())
    one, two = (
        bench.project(rate, bench.Job(train=100, grid_points=g, grid_epochs=10)) for g in (1, 2)
    )
    assert two.plain["grid"] == pytest.approx(2 * one.plain["grid"]) == pytest.approx(200)
    assert two.bank["grid"] - one.bank["grid"] == pytest.approx(1.0)  # ten epochs of the head
    assert one.bank["grid"] == pytest.approx(10 * (2.0 + 0.1))
    assert one.plain["whole job"] == pytest.approx(one.plain.drop("whole job").sum())


@pytest.mark.parametrize(("grid", "phase1"), [(10, 30), (30, 10), (10, 0)])
def test_views_of_the_grid_that_phase_1_sees_again_are_filled_once(grid, phase1):
    job = bench.Job(train=100, grid_epochs=grid, phase1_epochs=phase1)
    table = bench.project(bench.rates(epochs()), job)
    parts = table.bank.drop("whole job").sum()
    assert parts - table.bank["whole job"] == pytest.approx(min(grid, phase1) * 2.0)


def test_the_default_job_is_the_papers():
    c, job = configure("paper", data="phantom", backbone="random"), bench.Job()
    assert job.grid_points == len(c.grid_alpha) * len(c.grid_tau)
    for name in ("grid_epochs", "phase1_epochs", "phase2_epochs"):
        assert getattr(job, name) == getattr(c, name)
