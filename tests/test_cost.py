"""Costs counted from the network and projected from measured epochs."""

import itertools

import keras
import pandas as pd
import pytest

from acrlls.bench import cost
from acrlls.config import configure
from acrlls.training import phases


def test_the_multiply_adds_of_mobilenet_v2_are_the_published_three_hundred_million():
    """Sandler et al. 2018, Table 4: 300 M with its classifier of 1,280 x 1,000 at 224 px."""
    base = keras.applications.MobileNetV2((224, 224, 3), weights=None, include_top=False)
    assert sum(map(cost.multiply_adds, base.layers)) + 1280 * 1000 == pytest.approx(300e6, rel=0.01)


def test_a_step_costs_a_forward_pass_and_the_gradients_that_learning_needs():
    x = keras.Input((8,))
    layers = [keras.layers.Dense(n) for n in (4, 5, 6)]
    y = x
    for layer in layers:
        y = layer(y)
    frozen, first, last = (cost.multiply_adds(layer) for layer in layers)
    assert (frozen, first, last) == (32, 20, 30)
    layers[0].trainable = False
    # forward of all; kernels of the two that learn; the input of the last alone, for nothing before the second learns
    assert cost.step_multiply_adds(layers) == 32 + 2 * 20 + 3 * 30


def epochs(fill=2.0, head=0.1, plain=10.0):
    """Epochs of a made-up benchmark with 100 images; first epochs are slow, the first run of the bank fills views."""
    rows = []
    parts = ("grid", "phase 1", "phase 2 frozen", "phase 2 update")
    for side, part, run, epoch in itertools.product(("plain", "bank"), parts, range(3), (1, 2, 3)):
        each = plain if side == "plain" else head + (fill if run == 0 else 0.0)
        rows.append(
            {
                "side": side,
                "part": part,
                "run": run,
                "epoch": epoch,
                "train": 100,
                "seconds": 50.0 if epoch == 1 else each,
            }
        )
    return pd.DataFrame(rows)


def test_rates_leave_out_compiling_and_tell_filling_from_training():
    rate = cost.rates(epochs())
    assert rate["plain", "phase 1"] == pytest.approx(0.1)
    assert rate["bank", "phase 1"] == pytest.approx(0.001)
    assert cost.rates(epochs(), 0.5)["bank", "phase 1"] == 0.5
    assert rate["bank", "fill pool"] == rate["bank", "fill cut"] == pytest.approx(0.02)


def test_plain_keras_with_faster_kernels_stands_beside_the_other_two():
    plain = epochs()[lambda t: t.side == "plain"]
    faster = plain[plain.part != "grid"].assign(side=cost.TUNED, seconds=plain.seconds / 4)
    table = cost.project(cost.rates(pd.concat([epochs(), faster])), cost.Job())
    without = cost.project(cost.rates(epochs()), cost.Job())
    pd.testing.assert_frame_equal(table[without.columns], without)
    assert (table[cost.TUNED] * 4).tolist() == pytest.approx(table.plain.tolist())
    assert (table[f"ratio, {cost.TUNED}"] * 4).tolist() == pytest.approx(table.ratio.tolist())


def test_a_grid_point_more_costs_the_bank_no_view_more():
    rate = cost.rates(epochs())
    one, two = (
        cost.project(rate, cost.Job(train=100, grid_points=g, grid_epochs=10)) for g in (1, 2)
    )
    assert two.plain["grid"] == pytest.approx(2 * one.plain["grid"]) == pytest.approx(200)
    assert two.bank["grid"] - one.bank["grid"] == pytest.approx(1.0)  # ten epochs of the head
    assert one.bank["grid"] == pytest.approx(10 * (2.0 + 0.1))
    assert one.plain["whole job"] == pytest.approx(one.plain.drop("whole job").sum())


def test_views_of_the_grid_that_phase_1_sees_again_are_filled_once():
    rate = cost.rates(epochs())
    for grid, phase1 in ((10, 30), (30, 10), (10, 0)):
        table = cost.project(rate, cost.Job(train=100, grid_epochs=grid, phase1_epochs=phase1))
        parts = table.bank.drop("whole job").sum()
        assert parts - table.bank["whole job"] == pytest.approx(min(grid, phase1) * 2.0)
    counts = {"frozen forward": 300, "cut forward": 150, "head step": 1, "suffix step": 400}
    flops = cost.arithmetic(counts, cost.Job(train=100))
    assert flops.drop("whole job").sum() - flops["whole job"] == pytest.approx(10 * 300 * 2 * 100)


def test_the_grid_and_phase_1_see_the_same_views():
    c = configure("paper", data="phantom", backbone="random")
    grid, first = (phases(c.replace(phase1_epochs=n))[0] for n in (c.grid_epochs, c.phase1_epochs))
    seen, again = ([plan.view(epoch, c) for epoch in range(plan.epochs)] for plan in (grid, first))
    assert seen == again[: len(seen)] and len(set(again)) == len(again)  # fresh ones every epoch
    assert cost.Job().shared_views == len(set(seen) & set(again))


def test_cost_grows_with_each_thing_that_is_turned():
    for table in cost.growth(cost.rates(epochs())).values():
        assert table.diff().dropna().gt(0).all(axis=None)


def test_the_default_job_is_the_papers():
    c, job = configure("paper", data="phantom", backbone="random"), cost.Job()
    assert (job.grid_points, job.grid_epochs) == (
        len(c.grid_alpha) * len(c.grid_tau),
        c.grid_epochs,
    )
    assert (job.phase1_epochs, job.phase2_epochs) == (c.phase1_epochs, c.phase2_epochs)
