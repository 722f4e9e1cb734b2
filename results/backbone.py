"""How the shipped backbone was made: python results/backbone.py [FILE]

A small MobileNetV2 is trained on the phantom's source task, of which nothing (classes, findings,
label formula) is the target task's.  A JSON file beside the weights has the recipe and the accuracy
on the phantoms that are held out, a tenth.
"""

import json
import sys
from importlib import resources
from pathlib import Path

import keras
import numpy as np
from source_task import source_task

from acrlls import configure
from acrlls.data import Augmentation, render, to_input
from acrlls.method import POOL, SHIPPED_WEIGHTS, build_backbone
from acrlls.store import digest
from acrlls.training import Batches, jit_compile


def main(output=None, images=24_000, epochs=15, batch_size=64, learning_rate=2e-3, seed=1):
    """Train on fresh augmented views each epoch, the learning rate falling along a cosine."""
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


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
