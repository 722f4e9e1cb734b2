"""For each test image the training image that is most like it: python results/twins.py [FILE]

Images are compared as by :func:`acrlls.doctor.nearest`.  The table has names and correlations, no
image.  Needs ACRLLS_DATA; two minutes.
"""

import sys

import pandas as pd

import acrlls
from acrlls.config import PROJECT
from acrlls.data import split_of
from acrlls.doctor import nearest


def main(file=PROJECT / "results" / "twins.csv.gz"):
    config = acrlls.configure("laptop")
    dataset = acrlls.load_data(config)
    test, (positions, alike) = split_of(dataset, config).test, nearest(dataset, config)
    columns = {
        "name": dataset.names[test],
        "nearest": dataset.names[positions],
        "correlation": alike.astype(float).round(5),
        "same_class": (dataset.labels[test] == dataset.labels[positions]).astype(int),
    }
    packed = {"method": "gzip", "mtime": 0}
    pd.DataFrame(columns).to_csv(file, index=False, compression=packed)


if __name__ == "__main__":
    main(*sys.argv[1:2])
