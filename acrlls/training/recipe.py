"""The recipe of the shipped backbone: a small MobileNetV2 trained on the phantom's source task.

Nothing of the target task (its classes, its findings, its label formula) takes part.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import keras
import numpy as np

from acrlls.config import configure
from acrlls.data import Augmentation, render, to_input
from acrlls.method import POOL, SHIPPED_WEIGHTS, build_backbone
from acrlls.phantom import source_task
from acrlls.store import digest
from acrlls.training.batches import Batches
from acrlls.training.engines import jit_compile


def pretrain(
    output: str | Path | None = None,
    *,
    images: int = 24_000,
    epochs: int = 15,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    seed: int = 1,
) -> Path:
    """Train the backbone of profile ``quick`` on the source task and save its weights in a file,
    ``None`` for the one that the package ships; a JSON file beside it has the recipe and the
    accuracy on the tenth of the phantoms that is held out.

    Each epoch sees fresh augmented views, the learning rate falling along a cosine.  The target
    data use another seed.
    """
    recipe = {k: v for k, v in locals().items() if k != "output"}
    output = Path(output or str(resources.files("acrlls") / "weights" / SHIPPED_WEIGHTS))
    config = configure("quick", backbone="random", seed=seed)
    pictures, labels, classes = source_task(images, seed=seed, size=config.image_size)
    held_out = images // 10
    steps = epochs * -(-(images - held_out) // batch_size)
    backbone, model = _network(config, len(classes), learning_rate, steps)
    augmentation = Augmentation(rotation=7, flip=0.5, shift=0.05, shear=0.05, zoom=0.05)
    for epoch in range(epochs):
        rng = np.random.default_rng((seed, epoch))

        def fetch(rows, rng=rng):
            views = [render(pictures[i], config.image_size, augmentation.matrix(rng)) for i in rows]
            return to_input(np.stack(views), config.input_range)

        order = rng.permutation(np.arange(held_out, images))
        model.fit(Batches(fetch, labels, order, batch_size), shuffle=False, verbose=2)
    plain = to_input(pictures[:held_out], config.input_range)
    checked = model.evaluate(plain, labels[:held_out], verbose=0, return_dict=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    backbone.save_weights(output)
    recipe |= {name: getattr(config, name) for name in ("image_size", "backbone_width")}
    recipe |= {"task": classes, "held_out_images": held_out, "keras": keras.__version__}
    recipe |= {f"held_out_{what}": checked[what] for what in ("accuracy", "loss")}
    recipe |= {"input_range": config.input_range, "weights_digest": digest(output)}
    output.with_suffix("").with_suffix(".json").write_text(json.dumps(recipe, indent=1) + "\n")
    return output


def _network(config, classes: int, learning_rate: float, steps: int):
    """The backbone, and the compiled network that trains it."""
    backbone = build_backbone(config)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            # Keras's 0.999 would still remember the random start after so few steps.
            layer.momentum = 0.95
    x = keras.layers.GlobalAveragePooling2D(name=POOL)(backbone.output)
    x = keras.layers.Dropout(0.1, seed=config.seed)(x)
    model = keras.Model(backbone.input, keras.layers.Dense(classes)(x))
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=jit_compile(),
    )
    return backbone, model
