"""Tables and sentences of the sections on data, tuning, training and scales."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from acrlls.paper import NUMBERS, table
from acrlls.tables import data, scales, training, tuning, words


def images(eta=True, ignored=()):
    labels = np.repeat([0, 1], [30, 10])
    chances = np.where(np.eye(2)[labels] == 1, 0.85, 0.15)
    chances[0] = [0.95, 0.05]
    return SimpleNamespace(
        class_names=("ill", "well"), labels=labels, eta=chances if eta else None, ignored=ignored
    )


class Images(SimpleNamespace):
    def __len__(self):
        return len(self.labels)


def dataset(**how):
    return Images(**vars(images(**how)))


def split(train, validation, test):
    return SimpleNamespace(**{k: np.asarray(v) for k, v in locals().items()})


def test_numbers_have_a_true_minus_sign_and_counts_their_noun():
    assert words.number(-0.01234, 3) == "−0.012" and words.number(2, 1, True) == "+2.0"
    assert words.percent(0.936, 1) == "93.6 %"
    assert [words.plural(n, "image") for n in (0, 1, 2000)] == [
        "no image",
        "1 image",
        "2,000 images",
    ]


def test_the_rule_gives_the_published_split_to_the_last_image():
    rule = data.rule()
    assert len(rule) == 7 and (rule["difference"] == 0).all()
    assert "exactly" in data.finding() and "4 of the 4" in data.finding()


@pytest.mark.parametrize(
    "how, said",
    [
        ({}, "Phantoms have no files"),
        ({"eta": False}, "No file in the class folders was ignored"),
        ({"eta": False, "ignored": ["a.txt"]}, "1 file of the class folders is listed: `a.txt`."),
        ({"eta": False, "ignored": ["a.txt"] * 52}, "52 files are listed: .* and 2 more"),
    ],
)
def test_ignored_files_are_named(how, said):
    import re

    assert re.search(said, data.ignored(dataset(**how)))


def test_a_split_that_loses_or_repeats_images_is_seen():
    whole = split(range(20), range(20, 30), range(30, 40))
    assert data.leaks(dataset(), whole).startswith("40 of 40") and "no image is" in data.leaks(
        dataset(), whole
    )
    broken = split(range(20), range(19, 30), range(30, 39))
    assert "39 of 40" in data.leaks(dataset(), broken) and "1 image is" in data.leaks(
        dataset(), broken
    )
    rows = data.parts(dataset(), whole).data
    assert rows.loc["All", "train"] == 20 and rows.loc["well", "share of test"] == 1


def test_true_probabilities_bound_what_anybody_can_reach():
    whole = split(range(20), range(20, 30), range(30, 40))
    said = data.limit(dataset(), whole)
    assert "**85.2 %**" in said and "100.0 % of the 10 test images" in said and "98 %" in said
    assert data.truth(dataset()).data.loc["well", "η, well"] == pytest.approx(0.85)
    assert data.by_doubt(dataset(), 2) == [1, 0]


PAIRS = [(0.1, 0.2), (0.1, 0.3), (0.2, 0.2)]


def losses(n=400, gaps=(0, 0.001, 0.5)):
    rng = np.random.default_rng(0)
    hard = rng.exponential(size=n)
    rows = [hard + gap + 0.1 * rng.normal(size=n) for gap in gaps]
    index = pd.MultiIndex.from_tuples(PAIRS, names=["α", "τ"])
    return pd.DataFrame(rows, index=index), np.arange(n) % 2


def tuned():
    pairs = [(0.2, 0.15), (0.08, 0.25), (0.1, 0.15)]
    rows = [(*pair, 0.5, 0.4 + k / 10, 3, 5) for k, pair in enumerate(pairs)]
    columns = ["alpha", "tau", "val_accuracy", "val_loss", "epoch", "epochs"]
    return pd.DataFrame(rows, columns=columns)


def test_table_i_stands_beside_ours_by_rank_and_by_pair():
    top = tuning.top_five(tuned()).data
    assert top.loc[1, ("τ", "published")] == 0.25 and top.loc[1, ("τ", "ours")] == 0.15
    assert not {"val_loss", "val_accuracy"} & set(top.columns.get_level_values(0))
    pairs = tuning.published_pairs(tuned()).data
    assert pairs.loc["α 0.08, τ 0.25", ("rank", "ours")] == 2
    assert np.isnan(pairs.loc["α 0.10, τ 0.30", ("rank", "ours")])


def test_differences_are_paired_so_that_a_hard_image_cancels():
    rows, labels = losses()
    noise = tuning.against_first(rows, labels, 200)
    assert list(noise.index) == ["α 0.10, τ 0.30", "α 0.20, τ 0.20"]
    near, far = noise.iloc[0], noise.iloc[1]
    assert near.low < 0 < near.high and 0.4 < far.low < far.high < 0.6
    assert far.wins == 0 and 0 < near.wins < 1
    assert "share of draws won" in tuning.differences(noise).data
    means = tuning.by_alpha(rows, labels, 50).data
    assert means.loc["α 0.20", "above the first"] == pytest.approx(0.5, abs=0.02)


def test_the_finding_of_the_grid_says_how_many_pairs_are_alike():
    rows, labels = losses()
    noise = tuning.against_first(rows, labels, 200)
    said = tuning.finding(noise, "α 0.10, τ 0.20", 400)
    assert (
        said.startswith("**1 of the other 2 pairs cannot be told") and "2 different pairs" in said
    )
    said = tuning.finding(noise.iloc[1:].assign(wins=0.0), "α 0.10, τ 0.20", 400)
    assert "can be told from each of the other 1" in said and "1 pair wins" in said


def again(worst):
    frame = pd.DataFrame({"best": [0.4, 0.5, 0.5, 0.5], "worst": worst})
    return frame.assign(**{"worst − best": frame.worst - frame.best})


def test_seeds_say_whether_the_best_pair_stays_ahead():
    said = tuning.seed_finding(again([0.5, 0.6, 0.4, 0.4]), tuned())
    assert "**1 of 3**" in said and "−0.0333 on average, after 0.1000 in the grid" in said
    assert "nothing can be said" in tuning.seed_finding(again([0.5, 0.6, 0.4, 0.4])[:2], tuned())


def test_the_published_gaps_are_set_beside_a_guide_to_their_noise():
    rows, _ = losses()
    said = tuning.published_noise(rows, again([0.5, 0.6, 0.4, 0.4]))
    assert "of the 4 published gaps" in said and "over 3 seeds" in said
    assert "seeds" not in tuning.published_noise(rows, again([0.5, 0.6, 0.4, 0.4])[:1])
    assert "no difference" in tuning.published_noise(rows[:1], again([0.5] * 4)[:1])


def accuracies(low, high):
    rows = {"published": [0.8, 0.9, 0.1], "ours": [0.7, 0.75, 0.05]}
    return pd.DataFrame(rows, index=list(training.PHASES)).assign(low=low, high=high)


@pytest.mark.parametrize(
    "low, high, verdict",
    [
        (0.01, 0.1, "**Phase 2 raises"),
        (-0.1, 0.1, "**Phase 2 does not clearly raise"),
        (-0.1, -0.01, "**Phase 2 lowers"),
    ],
)
def test_the_finding_of_training_follows_the_interval(low, high, verdict):
    said = training.finding(accuracies(low, high))
    assert said.startswith(verdict) and "with one seed" in said and "from 0.700 to 0.750" in said
    assert "-" not in said


def rivals(low, high, loss):
    rows = [[0.7, 0.5, 0.2, low, high], [0.6, loss, -0.5, -0.6, -0.4]]
    columns = ["pretrained", "random start", "difference", "low", "high"]
    return pd.DataFrame(rows, ["Accuracy, Phase 1", "NLL, Phase 1"], columns)


@pytest.mark.parametrize(
    "low, high, loss, said",
    [
        (0.1, 0.3, np.log(2), ("**beats**", "next to nothing")),
        (-0.1, 0.3, 0.4, ("cannot be told from", "has learnt something")),
        (-0.3, -0.1, 0.4, ("falls behind", "has learnt something")),
    ],
)
def test_the_backbone_is_judged_by_its_interval_and_the_rival_by_its_loss(low, high, loss, said):
    sentence = training.transfer(rivals(low, high, loss), np.array([0, 0, 0, 1]))
    assert all(words in sentence for words in said) and "0.750 of the images" in sentence
    assert "random already" in training.transfer(rivals(0, 0, 1)[:0], np.array([0, 1]))


NAMES = ["COVID", "Lung Opacity", "Normal", "Viral Pneumonia"]


def moved():
    rows = {"published change": [0.01, -0.02, np.nan, 0.03], "our change": [0.1, 0, -0.1, 0.01]}
    return pd.DataFrame(rows, NAMES).assign(**{"epoch to epoch": 0.01, "seed to seed": 0.02})


def test_changes_count_only_beyond_twice_the_noise_of_seeds():
    said = scales.change(moved(), 4)
    assert said.startswith("**2 of our 4 changes**") and "0.0100 to 0.0300." in said
    own = moved().assign(**{"published change": np.nan})
    assert "published" not in scales.change(own, 4)
    said = scales.finding([0.8, 1.1], 2.4e-7, moved())
    assert "2e−07" in said and "0.800 and 1.100 with one seed" in said and "2 of 4 changes" in said


def test_a_fold_that_is_not_exact_is_said_to_be_so():
    assert "rounding**" not in scales.folded([0.9, 1.0], 1e-7, 8)
    assert "more than rounding" in scales.folded([0.9, 1.0], 1e-2, 8)


@pytest.mark.parametrize(
    "growth, effective, said",
    [
        ([0.9, 1.2], [0.5, 1.0], "None of these"),
        ([1.1, 1.2], [0.5, 1.0], "of ill has grown all the same"),
        (
            [0.9, 1.2],
            [1.0, 0.5],
            "By scale the order is ill < well; by effective weight it is well",
        ),
    ],
)
def test_a_scale_below_one_need_not_mean_less_weight(growth, effective, said):
    rows = {"scale": [0.9, 1.1], "effective": effective, "growth of effective": growth}
    assert said in scales.below_one(pd.DataFrame(rows, index=["ill", "well"]))


def test_no_scale_below_one_is_no_class():
    rows = {"scale": [1.2, 1.1], "effective": [2, 1], "growth of effective": [1, 1]}
    said = scales.below_one(pd.DataFrame(rows, index=["ill", "well"]))
    assert said.startswith("The scale is below one for no class. Scale and effective weight give")


def test_rank_correlation_has_its_exact_p():
    columns = pd.MultiIndex.from_product([("published", "ours"), ("class weight", "scale")])
    weight = [NUMBERS[f"class_weight.{name}"].value for name in NAMES]
    published = table("II")["Phase 2"].to_numpy()
    side = pd.DataFrame(np.column_stack([weight, published, weight, weight]), NAMES, columns)
    said = scales.rank_correlation(side)
    assert "−0.20 (published, p = 0.92)" in said and "+1.00 (ours, p = 0.08)" in said
    assert "24 orders" in said
    side[[("published", "class weight"), ("ours", "class weight")]] = 1.0
    assert "nothing to correlate" in scales.rank_correlation(side)
