"""Sentences of sections 6 to 9, and the tables behind them."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import fake_run, labels_of, random_case
from scipy.stats import ttest_1samp, ttest_ind
from sklearn.metrics import log_loss

from acrlls import calibration, paper
from acrlls.runs import records, training_weights
from acrlls.tables import ablation, compare, heat, recorded, reliability, seeds, words

CLASSES = list(paper.CLASSES)


def run_of(p, labels):
    """A run that says these probabilities of test images with these labels."""
    return fake_run(np.log(p), labels)


# Section 6


def test_a_change_of_nll_is_scikit_learns():
    p, y = random_case()
    q = p**0.6 / (p**0.6).sum(axis=1, keepdims=True)
    row = reliability.nll_changes({"as trained": p, "temperature": q}, y, 50).loc["temperature"]
    assert row.estimate == pytest.approx(log_loss(y, q) - log_loss(y, p))
    assert row.low <= row.estimate <= row.high < 0  # the labels were drawn from flatter scores


def test_the_finding_of_calibration_holds_its_numbers():
    rows = {"as trained": [0.05, 0.03, 0.038], "temperature": [0.04, 0.03, 0.037]}
    scores = pd.DataFrame(rows, ["ECE", "floor, mean", "floor, 95 %"]).T
    floor = pd.DataFrame({"p_above": [0.01, 0.01, 0.5, 0.5, 0.01]}, [*CLASSES, "Top label"])
    text = reliability.finding(scores, floor, "Proposed")
    assert "0.050" in text and "0.030" in text and "2 of 4 classes" in text
    assert "methods, temperature gives the lowest, 0.040, where" in text and "below 0.037" in text
    assert "No post-hoc method" in reliability.finding(scores.iloc[:1], floor, "Proposed")


def test_images_near_a_confidence_are_counted():
    run = recorded.setting().of("proposed")[0]
    test = run.predictions("test")
    top = test.probabilities.max(axis=1)
    right = (test.classes == test.labels)[(top > 0.96) & (top <= 0.98)]
    text = reliability.near([run], 50)
    assert f"with 0.96 to 0.98, {100 * right.mean():.1f} % were right, and" in text
    assert f"% ({len(right)} answers of 1 run). The" in text
    assert reliability.near([run], 50, 2, 3).startswith("No answer")


@pytest.mark.parametrize(
    ("right", "verdict"), [(465, "too high"), (485, "not shown to be wrong"), (499, "too low")]
)
def test_a_confidence_is_judged_by_the_interval_of_its_gap(right, verdict):
    p = np.repeat([[0.97, 0.03], [0.03, 0.97], [0.6, 0.4]], [500, 500, 99], 0)  # 99 less sure
    labels = np.repeat([0, 1, 1, 0, 1], [right, 500 - right, right, 500 - right, 99])
    text = reliability.near([run_of(p, labels)], 2000)
    assert text.startswith(f"**A confidence near 0.97 is {verdict}, over all classes")
    share = right / 500
    reach = 1.96 * np.sqrt(share * (1 - share) / 1000)  # of a binomial share
    found = re.search(r"is ([−+0-9.]+) points.*images of ([−+0-9.]+) to ([−+0-9.]+)\.", text)
    found = [float(x.replace("−", "-")) for x in found.groups()]
    assert found == pytest.approx(100 * (share - 0.97 + reach * np.array([0, -1, 1])), abs=0.15)


def test_every_measure_sees_strong_miscalibration_and_none_sees_perfect_calibration():
    p, y = random_case()
    seen = reliability.measures(run_of(p, y), 10, 99)
    assert (seen.loc[["ECE", "Smooth ECE"]] < 0.1).all(axis=None)
    perfect = run_of(p, labels_of(p, np.random.default_rng(1)))
    assert (reliability.measures(perfect, 10, 99) > 0.001).all(axis=None)


# Section 7


def test_the_finding_of_the_ablation_takes_its_numbers_from_the_table():
    moved = dict(zip(list(ablation.WAYS)[1:], [(0.012, False), (-0.01, True)], strict=True))
    rows = {"difference": -0.02, "p": 0.03, "low": -0.1, "high": 0.1}
    rows = pd.DataFrame(rows, list(compare.MEASURES))
    text = ablation.finding(0.05, "phantom", compare.Difference(rows, 1, 1, beyond=False), moved)
    assert text.startswith("**No difference in NLL between Proposed and Baseline could be shown on")
    assert "Baseline is 0.050. The layers change it by −0.020, dividing" in text
    assert "out by +0.012 and training without them by −0.010 (1 run of" in text
    assert text.endswith(
        "mix). Only the change by training without them exceeds the spread between seeds."
    )
    worse = compare.Difference(rows.assign(low=0.1, high=0.2), 1, 1, beyond=False)
    moved.pop(recorded.UNWEIGHTED)
    text = ablation.finding(0.05, "phantom", worse, moved)
    assert "raise the NLL on the phantom**" in text and "training without" not in text
    assert text.endswith("mix). None of these exceeds the spread between seeds.")
    every = replace(worse, beyond=True)
    moved = dict.fromkeys(list(ablation.WAYS)[1:], (-0.01, True))
    text = ablation.finding(0.05, "phantom", every, moved)
    assert text.endswith("Each of these exceeds the spread between seeds.")


def test_each_layer_is_judged_in_both_mixes():
    def nll(low, high):
        rows = {"difference": (low + high) / 2, "low": low, "high": high, "p": 0.5}
        return compare.Difference(pd.DataFrame(rows, list(compare.MEASURES)), 2, 3)

    title, mix = recorded.AS_PUBLISHED, ablation.ENDINGS["paper"]
    found = {(title, "ACR alone"): nll(-0.1, 0.1), (title + mix, "ACR alone"): nll(-0.2, 0.1)}
    found |= {(title, "LLS alone"): nll(-0.2, -0.1), (title + mix, "LLS alone"): nll(0.1, 0.2)}
    text = ablation.each_layer(found)
    assert "ACR alone is not shown to change the NLL in either class mix** (3 runs of 2" in text
    assert (
        "**LLS alone lowers the NLL in our class mix; in the paper's class mix the NLL is hi"
        in text
    )


# Section 8


def test_another_image_is_of_the_same_group_and_each_is_used_once():
    groups = np.array([0, 0, 0, 1, 1, 2])
    other = heat.of_another(groups, seed=3)
    assert sorted(other) == list(range(6)) and (groups[other] == groups).all()
    assert (other[:5] != np.arange(5)).all() and other[5] == 5


def test_heat_that_follows_each_mask_beats_both_references_and_blind_heat_beats_none():
    rng = np.random.default_rng(0)
    masks = np.zeros((40, 8, 8), bool)
    for mask, corner in zip(masks, rng.integers(0, 5, (40, 2)), strict=True):
        mask[corner[0] : corner[0] + 4, corner[1] : corner[1] + 4] = True
    masks[0] = False  # unknown: left out
    labels = np.append(np.zeros(39, int), 1)
    about = masks, labels, labels, ["all", "one"], 100, 0
    leads = ["more than area", "more than another"]
    follows = heat.shares(masks + 0.5 * rng.random(masks.shape), *about)
    assert follows.index.tolist() == ["all", "right predictions"]
    row = follows.loc["all"]
    assert row.images == 38 and row[leads].all() and row.low < row.estimate < row.high
    blind = heat.shares(np.ones((40, 8, 8)), *about).loc["all"]
    assert not blind[leads].any() and blind.estimate == pytest.approx(blind.area)
    assert (heat.shares(1.1 - masks, *about).loc["all", leads] == -1).all()


def test_the_finding_of_the_heat():
    columns = {"estimate": 0.4, "area": 0.25, "more than area": [1, -1, 1]}
    table = pd.DataFrame(columns | {"more than another": 0}, index=["COVID", "Normal", "right"])
    text = heat.finding(table, CLASSES)
    assert "in 1 of 2 classes and less than their area in Normal, and" in text
    assert "in 0 of 2" in text and "60 % of the heat lies outside" in text and "75 %" in text
    assert heat.finding(table.iloc[:0], CLASSES).startswith("No lung masks are known")


def test_a_sample_has_at_most_so_many_images_of_each_class():
    labels = np.repeat([0, 1, 2], [50, 5, 20])
    chosen = heat.sample(labels, 10, seed=0)
    assert np.bincount(labels[chosen]).tolist() == [10, 5, 10] and len(set(chosen)) == 25


# Section 9


@pytest.fixture(scope="module")
def heads():
    return recorded.heads("laptop")


def heads_of(heads, network):
    return [r for r in heads if r.config.class_weights and r.config.variant == network]


def test_seeds_are_grouped_by_network_and_class_weights(heads):
    table = seeds.over_seeds(heads)
    count = {w: table.xs(w, level=1)["seeds", ""].iloc[0] for w in ("yes", "no")}
    assert len(table) == 6 and count["yes"] >= 10
    mean = np.mean([compare.mean_of([run])[-1] for run in heads_of(heads, "baseline")])
    assert table.loc["Baseline", "yes", "as trained"][compare.ECE, "mean"] == pytest.approx(mean)


def test_as_many_runs_are_needed_as_a_simulation_says(heads):
    table = seeds.needed(heads)
    row = table.loc["Lung Opacity"]
    rng, n = np.random.default_rng(0), int(row["runs needed"])
    shape = (4000, n)
    first = rng.normal(0, row["sd of a run"], shape)
    second = rng.normal(row["published difference"], row["sd of a run"], shape)
    power = (ttest_ind(first, second, axis=1).pvalue < 0.05).mean()
    assert 0.78 < power < 0.86
    text = seeds.needed_sentence(table, table.assign(seeds=3))
    most = table.loc["COVID"]
    assert f"{most['runs needed']:.0f} ({most.low:.0f} to {most.high:.0f}) runs of" in text
    assert (
        f"spread of {len(heads_of(heads, 'proposed'))} seeds" in text and "of 3 seeds after" in text
    )


def test_the_interval_of_the_runs_needed_holds_what_the_true_spread_would_need(heads):
    table, rng, freedom = seeds.needed(heads), np.random.default_rng(0), 0
    for network in ("baseline", "proposed"):
        freedom += len(heads_of(heads, network)) - 1
    # the variance of a run is that of many runs of as many seeds, if the true one is 1
    ratio = np.var(rng.normal(size=(20000, freedom + 1)), axis=1, ddof=1)
    most = table.loc["COVID"]
    low, high = most["runs needed"] / np.quantile(ratio, [0.975, 0.025])
    assert [most.low, most.high] == pytest.approx([low, high], rel=0.04)


def test_a_second_run_of_a_seed_does_not_count_for_the_runs_needed(heads):
    pd.testing.assert_frame_equal(seeds.needed(heads), seeds.needed([*heads, *heads[:3]]))


def test_runs_are_counted_in_which_prior_correction_lowers_the_nll():
    some = [run for run in records("laptop").values() if run.config.augment][:6]
    lower = total = 0
    for run in some:
        if run.config.class_weights:
            test, w = run.predictions("test"), training_weights(run)
            corrected = test.probabilities / w
            corrected /= corrected.sum(axis=1, keepdims=True)
            before, after = (log_loss(test.labels, p) for p in (test.probabilities, corrected))
            lower, total = lower + (after < before), total + 1
    said = ablation.correction_count(some)
    assert f"lowers the NLL of {lower} and raises that of {total - lower}." in said


def test_the_swings_are_those_of_the_validation_losses_by_both_readings(tmp_path):
    def run(name, own, other):
        (folder := tmp_path / name).mkdir()
        rows = {"phase": 2, "epoch": [2, 1, 3], "val_loss": other, "statistics": "reestimated"}
        more = pd.DataFrame(rows).assign(statistics="0.9", val_loss=9.0)
        pd.concat([more, pd.DataFrame(rows)]).to_csv(folder / "statistics.csv")
        history = {"phase": [1, 2, 2, 2], "epoch": [1, 1, 2, 3], "val_loss": [7, *own]}
        about = {"folder": folder, "history": pd.DataFrame(history)}
        how = {"batchnorm_statistics": [0.999, 0.9, "reestimated"]}
        return fake_run(np.zeros((1, 4)), np.zeros(1, int), about=about, **how)

    runs = {"a": run("a", [1, 2, 1], [1.1, 1, 1.21]), "b": run("b", [1, 2, 16], [1, 1, 1])}
    runs["c"] = fake_run(np.zeros((1, 4)), np.zeros(1, int))  # one reading alone
    found = [recorded.Setting("as published", {"baseline": runs})]
    text = seeds.swings(found)
    assert "by a factor of 2.00 to 4.00 on average, by run (2 runs as published)" in text
    assert "on the same trainings, by 1.00 to 1.10. Another learning rate" in text
    one = {"a": run("slow", [0.5, 1.5, 0.5 - 1e-9], [1, 1, 1])}
    found.append(recorded.Setting("learning rate 0.00001", {"baseline": one}))
    slow = "With the learning rate 0.00001 in Phase 2 it is 3.00, and 1.00 with recomputed "
    slow += "statistics (1 run). The lowest loss of Phase 2 is then 0.500, in epoch 3 of "
    slow += f"{one['a'].config.phase2_epochs}; Phase 1 had reached 7.000."
    assert seeds.swings(found).endswith(f"by 1.00 to 1.10. {slow}")


def test_longer_training_stands_beside_the_last_run_of_the_same_network_and_seed():
    usual = recorded.setting()
    assert "not tried" in seeds.longer_sentence(seeds.longer([usual]))

    def of(run, seed):
        return replace(run, config=run.config.replace(seed=seed, phase2_epochs=30))

    other = of(usual.runs["baseline"]["laptop-seed-1"], 0)
    more = {"baseline": {"x": other}}
    more["proposed"] = {"x": of(usual.runs["proposed"]["laptop-seed-2"], 2)}  # nothing is lower
    found = [usual, recorded.Setting("30 epochs of Phase 2", more)]
    table = seeds.longer([*found, recorded.Setting("frozen, 30 epochs of Phase 2", more)])
    assert list(table.index) == [("Baseline", "0"), ("Proposed", "2")]
    before = compare.mean_of([usual.runs["baseline"]["laptop-seed-0"]])  # not the first of seed 0
    after = compare.mean_of([other])
    for name, *values in zip(compare.MEASURES, before, after, strict=True):
        assert list(table.loc[("Baseline", "0"), name]) == values
        assert list(table[name].columns) == ["12 epochs", "30 epochs"]
        same = table.loc[("Proposed", "2"), name]
        assert same["12 epochs"] == same["30 epochs"]
    text = seeds.longer_sentence(table)
    lower = np.less(after, before).astype(int)
    assert f"lower in {lower[1]} of 2 runs and the mean class-wise ECE in {lower[3]}**" in text
    ends = [words.error(x, True) for x in sorted((after[1] - before[1], 0))]
    assert f"The NLL changes by {' to '.join(ends)}, the ECE" in text


def test_the_lower_row_draws_the_same_trainings_by_recomputed_statistics():
    found = [recorded.setting(), recorded.setting("BatchNorm frozen")]
    axes = seeds.plot_validation(found)
    above, below = ([ax.lines for ax in row] for row in axes)
    runs = found[0].of("baseline")
    every = [run for run in runs if len(recorded.readings(run)) > 1]
    assert len(every) < len(runs)  # one has no other reading, and is above alone
    curves = [line.get_ydata() for line in below[0] if len(line.get_ydata()) > 1]
    for curve, run in zip(curves, every, strict=True):
        table = pd.read_csv(run.folder / "statistics.csv").set_index("statistics")
        assert list(curve) == list(table.val_loss["reestimated"])
    drawn = [line for line in above[0] if len(line.get_ydata()) > 1]
    assert len(drawn) == len(runs) + len(found[1].of("baseline"))
    first = runs[0].history.query("phase == 2").val_loss
    assert list(drawn[0].get_ydata()) == list(first)
    names = [text.get_text() for text in axes[0, 0].figure.legends[0].get_texts()]
    assert names == [setting.title for setting in found]


def test_where_perfect_calibration_is_exceeded_is_counted_by_class_and_network(monkeypatch):
    runs = {"a": run_of(*random_case(20)), "b": run_of(*random_case(20))}
    both = np.array(
        [[[0.2] * 5, [0.2, 0.1, 0.1, 0.1, 0.2]], [[0.15] * 5, [0.1, 0.2, 0.2, 0.2, 0.3]]]
    )
    there = both * [[[1.0]], [[9.0]]]  # in the paper's mix none is exceeded
    by_mix = {"own": both, "paper": there}
    monkeypatch.setattr(ablation.beside, "errors_and_floors", lambda *about: by_mix[about[-1]])
    table = ablation.above_floors(recorded.Setting("as published", {"proposed": runs}), 15, 9)
    told = ["2 of 2", "1 of 2", "1 of 2", "1 of 2", "1 of 2"]
    assert list(table.loc["in our class mix", "Proposed"]) == told
    assert set(table.loc["in the paper's class mix", "Proposed"]) == {"0 of 2"}
    assert list(table) == [*CLASSES, compare.ECE]


def test_every_run_has_a_row_however_often_its_seed_was_trained():
    run = recorded.setting().of("baseline")[0]
    found = recorded.Setting("as published", {"baseline": {str(k): run for k in range(3)}})
    rows = seeds.every_run([found], 15)
    assert [seed for *_, seed in rows.index] == ["0", "0 again", "0 again again"]


def test_the_run_that_is_shown_has_the_middle_error_of_those_recorded():
    runs = recorded.setting().of("proposed")
    errors = [
        calibration.ece(r.predictions().probabilities, r.predictions().labels, of="mean")
        for r in runs
    ]
    kept = recorded.middle(runs)
    assert np.argsort(errors)[(len(runs) - 1) // 2] == runs.index(kept)
    assert recorded.middle(runs[:1]) is runs[0]


def test_a_change_by_class_weights_is_shown_where_students_interval_leaves_out_zero():
    titles = recorded.AS_PUBLISHED, recorded.UNWEIGHTED
    pair = tuple(recorded.setting(title) for title in titles)
    verdicts = set()
    for network in recorded.NETWORKS:
        for way, (gap, shown) in ablation.changes(pair, 15, network).items():
            which, step = ablation.WAYS[way]
            sides = (pair[0].of(network), ""), (pair[which].of(network), step)
            each = [
                pd.Series({k: compare.mean_of([r], s)[-1] for k, r in enumerate(runs)})
                .groupby([r.config.seed for r in runs])
                .mean()
                for runs, s in sides
            ]
            ends = ttest_1samp((each[1] - each[0]).dropna(), 0).confidence_interval()
            means = [compare.mean_of(runs, s)[-1] for runs, s in sides]  # as in the table
            assert gap == pytest.approx(means[1] - means[0])
            assert shown == (ends.low > 0 or ends.high < 0)
            verdicts.add(shown)
    assert verdicts == {True, False}


def test_the_spread_that_the_runs_needed_rest_on_is_that_of_the_papers_mix(heads):
    errors = {}
    for run in heads:
        if run.config.class_weights and run.config.variant in ("baseline", "proposed"):
            test, weights = run.predictions("test"), recorded.mix_weights(run, "paper")
            ece = compare.classwise_ece(test.probabilities, test.labels, weights)
            errors.setdefault(run.config.variant, {})[run.config.seed] = ece[1]
    pooled = np.sqrt(np.mean([np.var(list(e.values()), ddof=1) for e in errors.values()]))
    assert seeds.needed(heads)["sd of a run"]["Lung Opacity"] == pytest.approx(pooled)


@pytest.mark.parametrize("within, verdict", [(0.001, "is closer"), (0.2, "is not shown to be")])
def test_a_repetition_is_as_far_as_runs_of_one_seed_are(within, verdict, monkeypatch):
    rng = np.random.default_rng(0)
    nll = {(k, seed): rng.normal(0.3, 0.1) for k in range(3) for seed in range(4)}
    runs = [[SimpleNamespace(config=SimpleNamespace(seed=s), nll=nll[k, s])] for k, s in nll]
    networks = [sum(runs[4 * k : 4 * k + 4], []) for k in range(3)]
    for network in networks:  # seed 0 again
        again = SimpleNamespace(config=network[0].config, nll=network[0].nll + within)
        network.append(again)
    monkeypatch.setattr(seeds, "mean_of", lambda runs: [0.9, runs[0].nll, 0.1, 0.01])
    text = seeds.repeats_sentence(networks)
    between = np.sqrt(np.mean([np.var([nll[k, s] for s in range(4)], ddof=1) for k in range(3)]))
    assert verdict in text and "3 repetitions" in text and "9 degrees of freedom" in text
    assert f"{within / np.sqrt(2):.3f} between runs" in text and f"{between:.3f} between" in text
