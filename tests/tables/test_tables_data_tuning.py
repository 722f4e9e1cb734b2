"""Tables and sentences of the sections on data and on tuning."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from acrlls.config import configure
from acrlls.ledger.facts import Facts
from acrlls.paper import CLASSES
from acrlls.runs import training_weights
from acrlls.tables import data, recorded, tuning, words

WHOLE = SimpleNamespace(train=np.arange(20), validation=np.arange(20, 30), test=np.arange(30, 40))


class Images:
    class_names, labels = ("ill", "well"), np.repeat([0, 1], [30, 10])
    eta = np.where(np.eye(2)[labels] == 1, 0.85, 0.15)
    eta[0] = [0.95, 0.05]

    def __len__(self):
        return len(self.labels)


def test_numbers_have_a_true_minus_sign_and_counts_their_noun():
    assert words.number(-0.01234, 3) == "−0.012" and words.number(2, 1, True) == "+2.0"
    assert words.number(-0.0004, 3, True) == "0.000" == words.number(0.0004, 3, True)
    assert words.percent(0.936, 1) == "93.6 %"
    assert [words.plural(n, "image") for n in (1, 2000)] == ["1 image", "2,000 images"]


def test_the_rule_gives_the_published_split_to_the_last_image():
    rule = data.rule()
    assert len(rule) == 7 and (rule["difference"] == 0).all()
    assert "exactly" in data.finding() and "4 of 4" in data.finding()


def test_class_weights_of_the_records_stand_beside_the_published_ones():
    real = recorded.setting().of("proposed")
    images = SimpleNamespace(class_names=CLASSES, labels=np.repeat(range(4), [4, 3, 2, 1]))
    split = SimpleNamespace(train=np.arange(10))
    found = data.weights(images, split, real, "phantom")
    assert found["real images"].tolist() == pytest.approx(training_weights(real[0]))
    assert found.phantom.tolist() == pytest.approx([10 / 16, 10 / 12, 10 / 8, 10 / 4])


def test_small_numbers_are_in_words():
    assert words.power(2.4e-7) == r"$2.4 \times 10^{-7}$" and words.power(0) == "0"
    assert words.span([2, 1.0]) == "1.000 to 2.000" and words.span([1, 1]) == "1.000"
    assert [words.error(x) for x in (0.0123, 0.0061)] == ["0.012", "0.0061"]


def test_the_parts_are_counted_by_class():
    rows = data.parts(Images(), WHOLE)
    assert rows.loc["All", "train"] == 20 and rows["test"].tolist() == [0, 10, 10]


def test_true_probabilities_bound_what_anybody_can_reach():
    assert "**85.2 %**" in data.limit(Images())
    assert data.by_doubt(Images()) == [1, 1, 1, 0, 0, 0]


def test_a_sheet_has_as_many_images_of_each_class_mixed_and_its_key_their_truth_and_labels():
    sheet, images = data.sheet(Images()), Images()
    assert sorted(images.labels[sheet]) == [0, 0, 0, 1, 1, 1] and len({*sheet}) == 6
    assert list(images.labels[sheet]) not in ([0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0])
    key = data.key(images, sheet)
    assert list(key.index) == [1, 2, 3, 4, 5, 6] and list(key.columns) == ["ill", "well", "label"]
    assert (key[["ill", "well"]].to_numpy() == images.eta[sheet]).all()
    assert list(key.label) == [("ill", "well")[k] for k in images.labels[sheet]]


def test_the_first_augmented_view_is_the_original():
    image = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    some = SimpleNamespace(labels=np.array([1, 0]), image=lambda i: image if i == 1 else None)
    views = data.views(some, configure(image_size=32), 7)
    assert views.shape == (8, 32, 32) and (views[0] == image).all()
    assert all((view != image).any() for view in views[1:])


def tuned():
    pairs = [(0.2, 0.15), (0.08, 0.25), (0.1, 0.15)]
    rows = [(*pair, 0.5, 0.4 + k / 10, 3, 5) for k, pair in enumerate(pairs)]
    columns = ["alpha", "tau", "val_accuracy", "val_loss", "epoch", "epochs"]
    return pd.DataFrame(rows, columns=columns)


def test_table_i_has_the_rank_of_each_published_pair_in_every_grid():
    pairs = tuning.table_1({"real images": None, "phantom": tuned()}).data
    assert pairs.loc["α 0.08, τ 0.25", ("published", "rank")] == 1
    assert pairs.loc["α 0.08, τ 0.25", ("phantom", "rank")] == 2
    assert np.isnan(pairs.loc["α 0.10, τ 0.30", ("phantom", "rank")])
    assert "real images" not in pairs


def test_the_place_of_the_largest_alpha_is_told():
    grid = pd.DataFrame({"alpha": [0.1, 0.1, 0.2, 0.3], "val_loss": [0.5, 0.7, 0.5, 0.4]})
    said = tuning.alpha_sentence(grid, "On the phantom")
    assert said.startswith("**On the phantom the largest α, 0.30, has rank 1 of 3 by its mean loss")
    assert "0.400, of 0.400 to 0.600 over" in said
    grid.loc[3, "val_loss"] = 0.9
    assert "has rank 3 of 3" in tuning.alpha_sentence(grid, "Here")


def test_the_rank_of_the_published_pair_comes_after_what_seeds_move():
    assert tuning.grid_sentence(tuned(), [0.4]).startswith("The pair that the paper chose")
    said = tuning.grid_sentence(tuned(), [0.4, 0.425, 0.45])  # SD 0.025, Student's t 4.303
    assert said.startswith("**On the real images, 1 of the other 2 pairs of ACR's α and τ come ")
    assert "Phase 1 alone, 0.025; " in said and "by up to 0.152 in" in said
    assert "over 0.200." in said and "has rank 2 of 3" in said


def test_section_2_and_the_ledger_read_the_same_runs_of_phase_1_one_a_seed():
    heads = Facts().heads
    assert tuning.seed_losses("laptop") == [run.best_epoch(1).val_loss for (run,) in heads]
    seeds = [run.config.seed for (run,) in heads]
    assert len(seeds) == len(set(seeds)) >= 10
    assert all(run.history.phase.max() == 1 for (run,) in heads)


@pytest.mark.parametrize(
    ("epochs", "said"),
    [
        ([10, 10, 6], "order: 1 pair that it ended first, after epoch 6, have"),
        ([6, 10, 10], ""),
        ([6] * 3, ""),
    ],
)
def test_early_stopping_is_named_where_it_decides_the_order(epochs, said):
    text = tuning.grid_sentence(tuned().assign(epochs=epochs), [0.4, 0.425, 0.45])
    assert said in text and ("Early stopping" in text) == bool(said)
