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
    "differs": "Our runs do not show it. They are few, so that another seed may, and have other "
    "images and a shorter training; that is no error of the paper.",
    "stands out from noise": "It is larger than sampling noise, or the spread between seeds, "
    "explains, under every reading.",
    "reproduced": "Our runs show it: the published number lies where 95 % of their repetitions do. "
    "They are few, so that a run with another seed may lie outside.",
    "follows": "The paper's own other numbers give it, rounding taken into account.",
    "compatible": "It lies where 95 % of our repetitions do; so does the value of no effect.",
    "not checkable": "It is a choice of the authors, a figure without numbers, or rests on "
    "something that is not published; the row says which.",
}
VERDICTS = tuple(MEANING)
CONTRARY, LOWER, NOISE, DEPENDS, DIFFERS, STANDS_OUT, *_REST = VERDICTS
REPRODUCED, FOLLOWS, COMPATIBLE, UNCHECKABLE = _REST
