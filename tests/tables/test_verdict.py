"""The verdict's sentences follow from the tables beside them, whatever these say."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from scipy.stats import ttest_1samp

from acrlls import calibration
from acrlls.config import PROJECT
from acrlls.paper import CLASSES
from acrlls.runs import records
from acrlls.tables import beside, compare, recorded, verdict
from acrlls.tables.words import signed


def difference(nll, seeds=1):
    columns = ["difference", "low", "high"]
    rows = pd.DataFrame([nll] * len(compare.MEASURES), compare.MEASURES, columns)
    return compare.Difference(rows.assign(p=0.5), seeds, seeds)


BETTER, WORSE, NEITHER = (-0.3, -0.4, -0.2), (0.3, 0.2, 0.4), (0.01, -0.1, 0.2)


@pytest.fixture(scope="module")
def published():
    return recorded.settings(records("laptop").values())[0]


@pytest.mark.parametrize(
    "row, said",
    [
        (BETTER, "predicts better than"),
        (WORSE, "predicts worse than"),
        (NEITHER, "is not shown to predict better or worse"),
    ],
)
def test_the_sentence_says_what_the_interval_of_the_nll_says(row, said):
    text = verdict.tell(difference(row, 3), ("baseline", ""), ("proposed", ""))
    assert said in text and "3 seeds" in text and f"{abs(row[0]):.3f}" in text
    assert "-" not in text.replace("class-wise", "")


MISSED = (([0.02], [0.01]),) * 2  # one run, above its floor in both mixes
THEM = "the network's probabilities better or worse"
BOTH, HERE = "in either class mix", "in our class mix; in the paper's class mix"


@pytest.mark.parametrize(
    "own, paper, layers, step",
    [
        (BETTER, BETTER, f"They make the network's probabilities better {BOTH}", "are better than"),
        (
            NEITHER,
            NEITHER,
            f"They could not be shown to make {THEM} {BOTH}",
            "network's probabilities could not be shown to be better or worse than those with both",
        ),
        (
            WORSE,
            WORSE,
            f"They make the network's probabilities worse {BOTH}",
            "are worse than those",
        ),
        (
            BETTER,
            NEITHER,
            f"probabilities better {HERE} that could not",
            f"with both layers {HERE} that could not",
        ),
        (NEITHER, WORSE, f"or worse {HERE} the NLL is higher with them", "higher after that step"),
        (WORSE, BETTER, f"worse {HERE} the NLL is lower with them", "lower after that step"),
    ],
)
def test_headline_and_cards_say_what_the_intervals_of_both_mixes_say(own, paper, layers, step):
    both = difference(own), difference(paper, 2)
    text = verdict.headline(both, both, MISSED)
    assert layers in text.split("3. ")[0] and step in text.split("3. ")[1]
    assert "cannot be told" not in text and "no differently" not in text
    better, needed = verdict.better(both, both[0]), verdict.needed(both, both[0], MISSED)
    unshown = "could be shown" in better or "could not be shown" in better
    assert unshown == (NEITHER in (own, paper))
    for card in (better, needed):
        assert "one seed" in card
        assert (" brier score " in card.lower()) == any(d.shows("Brier score") for d in both)


def test_each_sentence_of_the_headline_has_the_numbers_of_its_own_comparison_and_mix():
    layers = difference(NEITHER), difference(WORSE, 2)
    step = difference(BETTER), difference((-0.5, -0.6, -0.4), 2)
    missed = ([0.02], [0.01]), ([0.005], [0.01])
    first, *two, _, last = verdict.headline(layers, step, missed).splitlines()
    assert first.endswith("in every run in our class mix, and in no run in the paper's.")
    for line, found in zip(two, (layers, step), strict=True):
        ends = (signed(*f.table.loc["NLL", ["difference", "low", "high"]]) for f in found)
        assert line.endswith("NLL: {} in our class mix, {} in the paper's.".format(*ends))
    assert "one seed for each" in last


@pytest.mark.parametrize(
    "errors, there, said",
    [
        ([0.02], [0.02], "do not calibrate every class in either class mix."),
        ([0.02], [0.001], "do not calibrate every class in our class mix."),
        ([0.001], [0.001], "leave no visible miscalibration in either class mix."),
        ([0.02, 0.005], [0.02, 0.02], "leave miscalibration in 1 of 2 runs in our class mix."),
    ],
)
def test_the_headline_says_how_many_runs_are_calibrated(errors, there, said):
    both, floors = (difference(NEITHER),) * 2, [0.01] * len(errors)
    text = verdict.headline(both, both, ((errors, floors), (there, floors)))
    assert f"The two layers {said}" in text


@pytest.mark.parametrize(
    "least, said, short", [(0.002, "p ≤ 0.002", "≤ 0.002"), (0.001, "p = 0.002", "0.002")]
)
def test_a_p_at_its_least_value_is_a_bound(least, said, short):
    table = difference(NEITHER).table.assign(p=0.002)
    found = compare.Difference(table, 1, 1, least)
    assert compare.Difference(table.assign(p=0.0003), 1, 1).p_value == "p = 0.0003"
    assert f"({said} over images alone)" in verdict.tell(found, ("baseline", ""), ("proposed", ""))
    assert compare.difference_table({"a": found})["ECE (p)"]["a"] == f"+0.010 ({short})"


@pytest.mark.parametrize(
    "errors, said",
    [
        (
            [0.02, 0.03],
            "No: in every run the probabilities of some classes are off in our class mix.",
        ),
        ([0.02, 0.011], "1 of 2 runs show miscalibration in either class mix."),
        ([0.001, 0.002], "No miscalibration is shown in our class mix."),
    ],
)
def test_the_card_on_calibration_counts_runs_above_their_own_floors(errors, said):
    there = [0.03, 0.04], [0.05, 0.02]
    classes = {"A": ([0.02, 0.01], [0.03, 0.02]), "B": ([0.02, 0.03], [0.01, 0.02])}
    top = [0.02, 0.01], [0.01, 0.01]
    text = verdict.calibrated(((errors, [0.01, 0.012]), there), top, classes)
    assert (
        said in text and "(2 runs); a calibrated run would stay below 0.010 to 0.012, the" in text
    )
    assert "In the paper's, it is 0.030 to 0.040 and the quantile 0.020 to 0.050; it lies" in text
    assert "its own run in 1 of 2 runs" in text
    assert text.endswith(
        "class alone does so in 1 of 2 runs, and by class that of B in 2, A in 0 of 2."
    )


def test_the_floor_of_a_run_is_that_of_its_own_scores(published):
    errors, floors = beside.errors_of_each([published], resamples=300)
    rng, name = np.random.default_rng(0), "Proposed"
    for k, run in enumerate(published.of("proposed")):
        p = run.predictions("test").probabilities
        drawn = []
        for _ in range(200):
            y = (rng.random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1).clip(max=3)
            drawn.append(calibration.classwise_ece(p, y).mean())
        assert floors["as published"][name][k] == pytest.approx(np.quantile(drawn, 0.95), rel=0.06)
    assert np.ptp(floors["as published"][name]) > 0.001
    assert {n: len(e) for n, e in errors["as published"].items()} == {
        n: len(f) for n, f in floors["as published"].items()
    }


@pytest.mark.parametrize(
    "proposed, there, seeds, said",
    [
        ([0.01, 0.02], 0.01, 1, "Not settled: Proposed has the lower ECE in 2 of 2 pairs of runs"),
        ([0.01, 0.02], 0.01, 3, "Yes: Proposed has the lower ECE in 2 of 2 pairs of runs in our"),
        ([0.01, 0.04], 0.01, 3, "No: Proposed has the lower ECE in 1 of 2 pairs of runs"),
        ([0.01, 0.02], 0.04, 3, "No: Proposed has the lower ECE in 2 of 2 pairs of runs"),
    ],
)
def test_the_card_on_seeds_gives_no_verdict_under_three(proposed, there, seeds, said):
    base = {"Baseline": [0.02, 0.03]}
    text = verdict.repeated(base | {"Proposed": proposed}, base | {"Proposed": [there] * 2}, seeds)
    assert text.startswith(f"**Repeated: does every run agree?** {said}")
    assert f"0.010, {proposed[1]:.3f} for Proposed and 0.020, 0.030 for Baseline (2 runs" in text
    assert f"class mix Proposed has the lower one in {2 * (there < 0.02)} of 2. " in text
    lower = proposed[1] < 0.03  # in both pairs: a coin gives two equal sides in half of the cases
    assert f"as one-sided in {'50' if lower else '100'} % of cases" in text


@pytest.mark.parametrize(
    "phases, said",
    [
        ({"baseline": [2, 2], "proposed": [2]}, "Every run kept an epoch of Phase 2"),
        (
            {"baseline": [2, 2], "single_dense": [1, 2, 1], "proposed": [2]},
            "never fine-tuned: 2 of 3 of Single Dense, none of Baseline and Proposed. A",
        ),
        ({"baseline": [1], "proposed": [1, 2]}, "1 of 1 of Baseline, 1 of 2 of Proposed. A"),
    ],
)
def test_runs_that_were_never_fine_tuned_are_counted(phases, said):
    runs = {
        n: {k: SimpleNamespace(manifest={"selected_phase": phase}) for k, phase in enumerate(each)}
        for n, each in phases.items()
    }
    assert said in verdict.fine_tuned(recorded.Setting("as published", runs))


@pytest.mark.parametrize(
    "own, paper, answer",
    [
        (BETTER, BETTER, "Yes. B"),
        (BETTER, NEITHER, "Yes, in our class mix. B"),
        (NEITHER, BETTER, "Not settled. B"),
        (WORSE, NEITHER, "No, in our class mix. B"),
        (WORSE, WORSE, "No. B"),
    ],
)
def test_the_card_on_the_step_begins_with_an_answer(own, paper, answer):
    step = difference(own), difference(paper)
    said = {"1 of 2 runs": [0.02, 0.005], "every run": [0.02], "no run": [0.005]}
    for runs, errors in said.items():
        floors = [0.01] * len(errors)
        text = verdict.needed(step, step[0], ((errors, floors), ([0.005], [0.01])))
        assert text.startswith(f"**Is a step after training still needed?** {answer}")
        assert f"above the 95 % quantile of its noise floor in {runs} in our class mix" in text
        assert text.endswith(", and in no run in the paper's.")


def test_a_weight_of_two_is_an_image_twice():
    rng = np.random.default_rng(1)
    p = softmax(rng.normal(size=(300, 4)), axis=1)
    y = rng.integers(0, 4, 300)
    weights = rng.integers(1, 4, 300)
    twice = np.repeat(np.arange(300), weights)
    assert compare.measures(p, y, weights) == pytest.approx(compare.measures(p[twice], y[twice]))


def test_in_the_papers_mix_the_classes_have_their_published_shares(published):
    run = published.of("baseline")[0]
    weights = recorded.mix_weights(run, "paper")
    labels = run.predictions("test").labels
    shares = np.bincount(labels, weights) / weights.sum()
    np.testing.assert_allclose(shares, np.array([543, 903, 1530, 203]) / 3179)
    assert weights.mean() == pytest.approx(1)
    assert run.class_names == CLASSES


def test_a_step_for_the_papers_mix_gives_its_classes_their_shares(published):
    run = published.of("baseline")[0]
    p = recorded.probabilities(run, recorded.STEP, "paper")
    weights = recorded.mix_weights(run, "paper")
    shares = np.average(p, axis=0, weights=weights)
    own = np.average(recorded.probabilities(run, recorded.STEP), axis=0, weights=weights)
    there = np.array([543, 903, 1530, 203]) / 3179
    assert np.abs(shares - there).sum() < np.abs(own - there).sum()


def test_a_network_does_not_differ_from_itself(published):
    found = compare.compare(published, ("proposed", ""), ("proposed", ""), resamples=20)
    assert (found.table.drop(columns="p").fillna(0) == 0).all().all()
    assert found.table.p["Mean class-wise ECE"] == 1


def test_the_p_of_a_difference_in_ece_is_that_of_the_sides_that_are_named(published):
    sides = ("baseline", ""), ("baseline", recorded.STEP)
    found = compare.compare(published, *sides, resamples=49)
    assert found.p_value == "p ≤ 0.020" and found.shows("Mean class-wise ECE") == -1


def test_a_difference_in_ece_is_not_shown_where_seeds_differ_by_as_much(published):
    sides = ("baseline", ""), ("single_dense", "")
    groups = ["laptop", *(f"laptop-seed-{k}" for k in range(3))]
    runs = {n: {g: published.runs[n][g] for g in groups} for n, _ in sides}
    found = compare.compare(recorded.Setting("few seeds", runs), *sides, resamples=49)
    each = [[compare.mean_of([run])[-1] for run in runs[n].values()] for n, _ in sides]
    gaps = np.subtract(*each)  # of one sign in every run, which three seeds are in one case of four
    assert len(set(np.sign(gaps))) == 1 and found.table.p[compare.ECE] < 0.05
    by_seed = [gaps[:2].mean(), *gaps[2:]]  # the first two runs are of one seed
    assert ttest_1samp(by_seed, 0).pvalue > 0.05
    assert found.shows(compare.ECE) == 0
    assert "(not shown: seeds differ by as much), from" in verdict.tell(found, *sides)
    assert compare.difference_table({"a": found})["ECE (p)"]["a"].endswith(" †")


@pytest.mark.parametrize("mix", ["own", "paper"])
def test_p_is_of_the_difference_that_stands_beside_it(published, mix, monkeypatch):
    tested = []
    whole = calibration.calibration_difference

    def kept(*about, **how):
        tested.append(whole(*about, **how))
        return tested[-1]

    monkeypatch.setattr(calibration, "calibration_difference", kept)
    found = compare.compare(published, ("baseline", ""), ("proposed", ""), mix, resamples=20)
    ece = found.table.difference["Mean class-wise ECE"]
    assert ece == pytest.approx(tested[0].gaps[:, -1].mean())


def test_the_step_is_fitted_without_a_test_label(published):
    run = published.of("baseline")[0]
    before = recorded.probabilities(run, recorded.STEP)
    test = run.predictions("test")
    method = calibration.METHODS[recorded.STEP].make(np.ones(4))
    again = method.fit(run.predictions("validation")).predict_proba(test.logits)
    np.testing.assert_allclose(before, again)


def test_dividing_out_equal_weights_changes_nothing():
    run = recorded.setting(recorded.UNWEIGHTED).of("baseline")[0]
    as_trained = run.predictions("test").probabilities
    np.testing.assert_allclose(recorded.probabilities(run, "prior"), as_trained)


def test_a_difference_turns_its_sign_with_the_sides(published):
    sides = ("baseline", ""), ("proposed", "")
    there, back = (compare.compare(published, *two, resamples=20) for two in (sides, sides[::-1]))
    np.testing.assert_allclose(there.table.difference, -back.table.difference, atol=1e-12)
    assert there.table.p[compare.ECE] == back.table.p[compare.ECE]


def test_runs_on_other_test_images_cannot_be_compared(published):
    run = published.of("baseline")[0]
    names = run.predictions("test").names[::-1]
    other = SimpleNamespace(
        predictions=lambda part: SimpleNamespace(names=names), config=run.config
    )
    setting = recorded.Setting("x", {"baseline": {"a": run}, "proposed": {"a": other}})
    with pytest.raises(ValueError, match="different images"):
        compare.compare(setting, ("baseline", ""), ("proposed", ""))


def test_the_readme_gives_the_headline_that_the_records_give():
    published, how = recorded.setting(), {"resamples": 500}  # as many as the profile quick draws
    bare, trained, scaled = ("baseline", ""), ("proposed", ""), ("baseline", recorded.STEP)
    layers, step = (
        [compare.compare(published, *sides, mix, **how) for mix in compare.MIXES]
        for sides in ((bare, trained), (trained, scaled))
    )
    found = beside.errors_of_each([published], **how)
    ours = tuple(each[published.title][recorded.name_of(trained)] for each in found)
    there = beside.errors_and_floors(published.of("proposed"), **how)[..., -1]
    said = " ".join(verdict.headline(layers, step, (ours, there)).split("**")[1::2])
    readme = " ".join((PROJECT / "README.md").read_text("utf-8").replace("> ", "").split())
    assert said in readme


def mean(values, _, weights):
    return compare.weighted_mean(values, weights)


def test_images_that_are_drawn_again_keep_their_weights():
    labels, weights = np.array([0, 0, 0, 1, 1]), np.array([1.0, 1, 1, 0, 0])
    values = np.array([[[1.0], [1], [1], [5], [5]]])  # one run; those of class 1 do not count
    found = compare.interval(mean, values, labels, weights, [0], 20)
    np.testing.assert_allclose(found, np.ones((3, 1)))


def test_the_interval_over_runs_is_that_of_a_t_test_where_images_add_nothing():
    runs = np.array([1.0, 2, 4, 3])
    values, labels = np.tile(runs[:, None, None], (1, 50, 1)), np.zeros(50, int)
    found = np.ravel(compare.interval(mean, values, labels, np.ones(50), range(4), 20))
    expected = ttest_1samp(runs, 0).confidence_interval()
    np.testing.assert_allclose(found, [2.5, *expected])
    # one more run: Student's prediction interval
    found = np.ravel(compare.interval(mean, values, labels, np.ones(50), range(4), 20, [80]))
    reach = (expected.high - 2.5) * np.sqrt(4 + 1)
    np.testing.assert_allclose(found, [2.5, 2.5 - reach, 2.5 + reach])


def test_a_run_that_is_there_twice_is_no_more_evidence():
    values = np.array([1.0, 2, 4, 1, 2, 4])[:, None, None] * np.ones((1, 50, 1))
    found = compare.interval(mean, values, np.zeros(50, int), np.ones(50), [5, 6, 7] * 2, 20)
    expected = ttest_1samp([1, 2, 4], 0).confidence_interval()
    np.testing.assert_allclose(np.ravel(found), [7 / 3, *expected])
    # as many runs as columns, one of them of a seed of its own
    each = np.array([[1.0, 5], [3, 5]])
    low, high = ttest_1samp([1, 3], 0).confidence_interval()
    np.testing.assert_allclose(compare.reach_of_seeds(each, [0, 1]), [(high - low) / 2, 0])
    assert (compare.reach_of_seeds(each, [4, 4]) == 0).all()


@pytest.mark.parametrize("alike", [0, 1], ids=["runs of a seed differ", "runs of a seed are equal"])
@pytest.mark.parametrize("images", [0.1, 1.0])
def test_95_of_100_intervals_hold_the_truth_whether_or_not_runs_of_a_seed_are_alike(alike, images):
    rng, seeds, n, held = np.random.default_rng(7), [0, 0, 1, 2], 30, 0
    for _ in range(400):
        run = rng.normal(size=3)[seeds] if alike else rng.normal(size=4)
        values = run[:, None] + images * np.sqrt(n) * rng.normal(size=n)
        about = values[..., None], np.zeros(n, int), np.ones(n), seeds, 60
        _, low, high = compare.interval(mean, *about)
        held += (low < 0 < high).item()
    assert held / 400 > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 400)  # treated as four seeds: 0.86


def test_the_interval_of_one_run_is_that_of_its_images():
    values = np.random.default_rng(0).normal(size=(1, 900, 1))
    about = values, np.zeros(900, int), np.ones(900), [0], 2000
    middle, low, high = compare.interval(mean, *about)
    expected = 1.96 * values.std() / 30
    assert high - middle == pytest.approx([expected], rel=0.06) == middle - low
    assert np.isinf(compare.interval(mean, *about[:-1], 20, [900])[1:]).all()


def test_another_run_is_tested_on_images_of_its_own_number():
    values = np.tile(np.random.default_rng(0).normal(size=(1, 400, 1)), (2, 1, 1))
    about = values, np.zeros(400, int), np.ones(400), [0, 1], 4000
    for size in (100, 1600):  # two seeds of which neither changes anything
        middle, low, high = compare.interval(mean, *about, [size])
        expected = 1.96 * values[0].std() * np.sqrt(1 / 400 + 1 / size)
        assert high - middle == pytest.approx([expected], rel=0.06) == middle - low


@pytest.mark.parametrize(
    "row, said, count",
    [(BETTER, "a lower NLL", 2), (WORSE, "a higher", 0), (NEITHER, "no diff", 0)],
)
def test_what_other_statistics_change_is_told_by_the_intervals(row, said, count):
    found = difference(row)
    two = {"Baseline": difference(row, 3), "Proposed": found}
    text = verdict.statistics(two, found, "made anew")
    assert text.startswith("**Statistics made anew, on the same training, are shown to give")
    assert f"for {count} of 2 networks**" in text and f"so that {said}" in text
    assert "over seeds (1 to 3 a network) and images" in text
    assert text.count(f"{row[0]:+.3f}".replace("-", "−")) == 3


def test_statistics_are_compared_on_the_same_runs_and_images(published, monkeypatch):
    asked = []

    def said(run, step="", mix="own", reading=""):
        asked.append((run.config.variant, step, reading))
        return run.predictions("test").probabilities

    monkeypatch.setattr(recorded, "probabilities", said)
    changes, layers = compare.with_statistics(published, "0.9", resamples=2)
    assert list(changes) == ["Baseline", "Single Dense", "Proposed"]
    assert all((c.table.difference == 0).all() for c in changes.values())  # a run with itself
    assert layers.seeds >= changes["Single Dense"].seeds >= 3
    assert ("proposed", "", "0.9") in asked and ("proposed", "", "") in asked


def test_the_published_setting_comes_first_and_then_those_with_most_runs():
    first, *others = recorded.settings(records("laptop").values())
    assert first.title == recorded.AS_PUBLISHED
    counts = [sum(map(len, setting.runs.values())) for setting in others]
    assert counts == sorted(counts, reverse=True) and len(set(counts)) > 1


def test_runs_of_other_settings_are_not_taken_for_those_as_published(monkeypatch):
    known, folder = records("laptop"), PROJECT / "results" / "laptop-alpha-0.2" / "proposed"
    both, head = known["", "proposed"], known["phase1-seed-0", "proposed"]
    other = replace(both, folder=folder, config=both.config.replace(alpha=0.2))
    found = recorded.settings([*known.values(), other])
    assert found[0].of("proposed") == recorded.setting().of("proposed")
    assert {s.title: s.of("proposed") for s in found}["alpha 0.2"] == [other]
    focal = replace(head, config=head.config.replace(loss="focal", seed=9))
    own = focal.folder.parents[1] / "laptop-phase1-focal" / "proposed"
    more = {**known, ("phase1-focal", "proposed"): replace(focal, folder=own)}
    before = recorded.heads()
    monkeypatch.setattr(
        recorded, "records", lambda name: more if name == "laptop" else records(name)
    )
    assert [run.folder for run in recorded.heads()] == [run.folder for run in before]


def test_a_step_is_fitted_on_validation_images_read_in_the_same_way(published):
    run = published.runs["baseline"]["laptop-seed-0"]
    every = pd.read_csv(run.folder / "statistics_predictions.csv.gz", dtype={"statistics": str})
    parts = {}
    for part in ("validation", "test"):
        rows = every[(every.part == part) & (every.statistics == "0.9")]
        assert list(rows.name) == list(run.predictions(part).names)
        parts[part] = rows[[f"logit_{c}" for c in run.class_names]].to_numpy(), rows.label
    fitted = calibration.TemperatureScaling().fit(*parts["validation"])
    expected = fitted.predict_proba(parts["test"][0])
    found = recorded.probabilities(run, "temperature", reading="0.9")
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    own = recorded.probabilities(run, "temperature", reading="0.999")
    np.testing.assert_allclose(own, recorded.probabilities(run, "temperature"))


def test_a_difference_between_readings_is_that_of_their_means(published):
    pair = ("baseline", "", "0.999"), ("proposed", "", "0.9")
    found = compare.compare(published, *pair, resamples=50)
    groups = published.common(*pair)
    assert groups == [g for g in published.common(*pair) if g.startswith("laptop-seed")]
    assert found.seeds == len(groups) < len(published.of("baseline"))
    labels = published.of("baseline")[0].predictions("test").labels
    base, ours = (
        np.mean([calibration.nll(recorded.probabilities(r, reading=which), labels) for r in runs])
        for which, runs in (
            ("0.999", [published.runs["baseline"][g] for g in groups]),
            ("0.9", [published.runs["proposed"][g] for g in groups]),
        )
    )
    table = found.table.loc["NLL"]
    assert table.difference == pytest.approx(ours - base, rel=1e-6)
    assert table.low < table.difference < table.high


def test_the_first_phase_pairs_runs_of_one_seed_and_code():
    heads = recorded.first_phase("laptop", False)
    pair = ("baseline", ""), ("proposed", "")
    assert heads.title == "without class weights" and len(heads.common(*pair)) >= 9
    for group in heads.common(*pair):
        base, ours = (heads.runs[network][group] for network, _ in pair)
        assert base.config.seed == ours.config.seed and not base.config.phase2_epochs
        assert not base.config.class_weights and base.manifest["commit"] == ours.manifest["commit"]
    both = compare.in_each_mix([heads], *pair, resamples=19)
    assert list(both) == [(heads.title, title) for title in compare.MIXES.values()]
