"""What a recorded run says of images that its test set does not have, and where its heat lies.

    python results/outside.py RUN RECORD [EXTERNAL]

RUN is the folder of a kept run (it has the weights), RECORD where its record lies, EXTERNAL the
folder of images from elsewhere, one folder a source with ``<finding>/images/*`` or ``images/*`` in
it.  ``ACRLLS_DATA`` names the images that the run was trained on.  Writes into RECORD, without any
image:

- ``outside.csv.gz``: logits of all external images; of the test images with their middle covered
  (the rectangle from 25 % to 75 % of the height and from 20 % to 80 % of the width, filled with the
  image's mean grey); and of the test images of which only the border is kept (a frame of 12.5 % of
  the side, the rest filled likewise).
- ``heat.csv.gz``: for each test image the class that was predicted and the shares of its Grad-CAM
  heat in that middle, in that border, and in the four corners (squares of 20 % of the side); of
  heat spread evenly they would be 30, 44 and 16 %.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import acrlls
from acrlls import data, method, runs
from acrlls.data.folder import decode
from acrlls.method import build_model

PIECE = 512  # Grad-CAM compiles its step anew at every call


def regions(size: int) -> dict[str, np.ndarray]:
    """Boolean masks `(size, size)` of the middle, the border and the corners."""
    at = (np.arange(size) + 0.5) / size
    row, column = at[:, None], at[None, :]
    edge = np.minimum(np.minimum(row, 1 - row), np.minimum(column, 1 - column))
    return {
        "middle": (abs(row - 0.5) < 0.25) & (abs(column - 0.5) < 0.3),
        "border": edge < 0.125,
        "corners": (np.minimum(row, 1 - row) < 0.2) & (np.minimum(column, 1 - column) < 0.2),
    }


def filled(grey: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Images `(n, size, size)` with their mean grey where ``mask`` is true."""
    return np.where(mask, grey.mean(axis=(1, 2), keepdims=True), grey)


def external(folder: Path):
    """Source, finding and file of every external image."""
    for source in sorted(f for f in folder.iterdir() if f.is_dir()):
        for file in sorted(f for f in source.rglob("images/*") if f.is_file()):
            inside = file.relative_to(source).parts
            yield source.name, inside[0] if len(inside) > 2 else source.name.capitalize(), file


def main(kept: Path, record: Path, folder: Path | None) -> None:
    run = runs.load_run(kept)
    config = run.config
    size, spread = config.image_size, config.input_range
    dataset = data.load_data(
        acrlls.configure("laptop", **{n: getattr(config, n) for n in ("image_size", "split_seed")})
    )
    if dataset.fingerprint != run.manifest["data_fingerprint"]:
        sys.exit(f"ACRLLS_DATA is not what {kept} was trained on")
    # its weights come next
    model = build_model(config.replace(backbone="random"), len(run.class_names))
    model.load_weights(kept / "model.weights.h5")
    network = method.between(model, None, model.layers[-2].name)  # what enters softmax

    def logits(grey):
        return network.predict(data.to_input(grey, spread), batch_size=32, verbose=0)

    rows, heat = [], []

    def tell(source, names, labels, values):
        columns = {f"logit_{c}": values[:, k] for k, c in enumerate(run.class_names)}
        rows.append(pd.DataFrame({"source": source, "name": names, "label": labels, **columns}))

    listed = list(external(folder)) if folder else []
    for start in range(0, len(listed), PIECE):
        piece = listed[start : start + PIECE]
        grey = np.stack([data.render(decode(file), size) for _, _, file in piece])
        tell(
            [s for s, _, _ in piece],
            [f.stem for _, _, f in piece],
            [label for _, label, _ in piece],
            logits(grey),
        )
    masks = regions(size)
    test = data.split_of(dataset, config).test
    for start in range(0, len(test), PIECE):
        chosen = test[start : start + PIECE]
        grey = np.stack([data.render(dataset.image(i), size) for i in chosen])
        names, labels = dataset.names[chosen], [run.class_names[k] for k in dataset.labels[chosen]]
        tell("middle covered", names, labels, logits(filled(grey, masks["middle"])))
        tell("border alone", names, labels, logits(filled(grey, ~masks["border"])))
        images = data.to_input(grey, spread)
        predicted = network.predict(images, batch_size=32, verbose=0).argmax(axis=1)
        maps = method.gradcam(model, images, config.gradcam_layer, predicted)
        shares = {
            name: method.lung_share(maps, np.broadcast_to(m, maps.shape))
            for name, m in masks.items()
        }
        heat.append(
            pd.DataFrame(
                {
                    "name": names,
                    "label": labels,
                    "predicted": [run.class_names[k] for k in predicted],
                    **shares,
                }
            )
        )
    pd.concat(rows).to_csv(record / "outside.csv.gz", index=False, float_format="%.5g")
    pd.concat(heat).to_csv(record / "heat.csv.gz", index=False, float_format="%.4f")
    print(f"{record}: {len(listed)} external images, {len(test)} test images")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
