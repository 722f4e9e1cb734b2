"""The verdicts and what they mean."""

# The verdicts, from the one that a reader must know first to the one that says least.
MEANING = {
    "does not follow": "No numbers that round to the printed ones give it, or the paper says "
    "otherwise elsewhere.",
    "lower than perfect calibration would show": "It is smaller than the ECE of a perfectly "
    "calibrated model, under every reading of what the paper leaves open.",
    "cannot be told from noise": "Sampling noise, or the spread between seeds, gives as much.",
    "depends on the reading": "It is more or less than sampling noise explains under some readings "
    "of what the paper leaves open, or in one class mix, and not in others; the row says which.",
    "differs": "Our runs do not show it, nor would a run with another seed in 95 % of cases. They "
    "have other images and a shorter training; that is no error of the paper.",
    "too few seeds to tell": "Our runs do not show it. They are few and differ so much that a run "
    "with another seed may.",
    "stands out from noise": "It is larger than sampling noise, or the spread between seeds, "
    "explains, under every reading.",
    "reproduced": "Our runs show it: the published number lies where 95 % of their repetitions do.",
    "follows": "The paper's own other numbers give it, rounding taken into account.",
    "compatible": "A run with another seed may show it, and may show no effect.",
    "not checkable": "It is a choice of the authors, a figure without numbers, or rests on "
    "something that is not published; the row says which.",
}
VERDICTS = tuple(MEANING)
CONTRARY, LOWER, NOISE, DEPENDS, DIFFERS, TOO_FEW, STANDS_OUT, *_REST = VERDICTS
REPRODUCED, FOLLOWS, COMPATIBLE, UNCHECKABLE = _REST
