"""Section 17: commands, minutes, and how far two runs differ."""

import numpy as np
import pandas as pd
import pytest
from conftest import fake_run, random_case

from acrlls.paper import CLASSES
from acrlls.tables import repeat


def run_of(variant, shift, losses, tuned):
    z = np.log(random_case()[0]) + [shift, 0, 0, 0]
    scales = pd.DataFrame([(k, 1, *[1 + shift / k] * 4) for k in (1, 2)])
    scales.columns = ["phase", "epoch", *CLASSES]
    history = pd.DataFrame({"phase": [1, 1, 2], "epoch": [1, 2, 1], "val_loss": losses})
    about = {
        "history": history.assign(seconds=[60.0, 30.0, 90.0]),
        "scales": scales if variant == "proposed" else pd.DataFrame(),
        "best_epoch": lambda phase: pd.Series({"epoch": 1}),
    }
    run = fake_run(z, random_case()[1], about=about, variant=variant, grid_epochs=tuned)
    run.manifest["seconds_in_epochs"] = 180.0
    return run


def pairs(tuned=1):
    names, losses = ("baseline", "single_dense", "proposed"), ([0.9, 0.5, 0.4], [0.8, 0.75, 0.4])
    both = tuple(zip((0, 0.25), losses, strict=True))
    return {v: [run_of(v, *one, tuned) for one in both] for v in names}


def test_two_runs_differ_by_the_largest_difference_over_classes_and_epochs():
    moved = repeat.gaps(pairs())
    assert moved.Proposed[repeat.SCALE] == pytest.approx(0.25)  # of Phase 1; 0.125 in Phase 2
    assert moved.Baseline.isna()[repeat.SCALE]
    assert moved.Baseline[[repeat.LOSS, repeat.CURVE]].tolist() == pytest.approx([0.1, 0.25])
    assert repeat.gaps(pairs(tuned=2)).Baseline[repeat.LOSS] == pytest.approx(0.25)
    right = [
        np.mean(r.predictions().classes == r.predictions().labels) for r in pairs()["baseline"]
    ]
    assert moved.Baseline["Accuracy"] == pytest.approx(abs(right[0] - right[1])) != 0


def test_every_table_and_figure_has_a_command_that_exists_and_its_minutes():
    from acrlls.book import all_sections

    text = repeat.commands(pairs(), pd.DataFrame({"epochs": [2, 1, 1]}))
    rows = {r.split(" | ")[0].strip("| "): r for r in text.split("\n")[2:]}
    assert len(rows) == 9 and all(item in rows for item in ("Table V", "Fig. 3"))
    slugs = {section.slug for section in all_sections()}
    assert all(row.split("`acrlls run ")[1].split("`")[0] in slugs for row in rows.values())
    assert (
        "tuning -p profile laptop` | about 3 |" in rows["Table I"]
    )  # 60 + 30 s, and two epochs of 45 s
    assert "| 9 |" in rows["Table V"] and "| 3 |" in rows["Table II"]
    assert (
        "laptop --variants baseline proposed -o results/mine`" in rows["p of the gain in accuracy"]
    )
    assert "`acrlls run gradcam -p profile laptop`" in rows["Fig. 3"]
    assert "not recorded" in repeat.commands(pairs(), None)
