"""Figures of more classes than a page can hold."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from acrlls import calibration
from acrlls import figures as plots


class Many:
    """Images of 80 classes, three each."""

    class_names = tuple(f"class {k}" for k in range(80))
    labels = np.repeat(np.arange(80), 3)

    def image(self, i):
        return np.full((8, 8), i, np.uint8)


def test_of_many_classes_the_first_are_drawn_and_the_rest_is_said_to_be_left_out():
    many = Many()
    p = np.full((240, 80), 1 / 80)
    scales = pd.DataFrame({"phase": 1, "epoch": [1, 2], **dict.fromkeys(many.class_names, 1.0)})
    prepared = calibration.prepare_reliability(p, many.labels, 15, many.class_names, resamples=19)
    floor = calibration.noise_floor(p, many.labels, 15, 19).table(many.class_names)
    drawn = [
        plots.plot_examples(many)[0, 0],
        plots.plot_lls(scales, {}),
        plots.plot_reliability(prepared)[0, 0],
        plots.plot_floor({15: floor, 20: floor})[0],
    ]
    for ax in drawn:
        assert "the first 12 of 80 classes are shown" in ax.figure.get_supxlabel()
        assert len(ax.figure.axes) <= 6 * 12
        plt.close(ax.figure)
    assert plots.choose_examples(many.labels, many.labels, 80).shape == (12, 2)
    ax = plots.plot_confusion(np.eye(80, dtype=int), many.class_names)
    assert "80 classes" in ax.get_title("left") and not ax.texts
