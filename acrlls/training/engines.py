"""What runs the frozen part of the network: OpenVINO where it is installed and helps, the Keras backend otherwise."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from acrlls.config import Config, UserError
from acrlls.method.model import POOL, build_backbone, weights_digest
from acrlls.training.folding import lean

ENGINES = ("openvino", "keras")
ENGINE_VARIABLE = "ACRLLS_ENGINE"
_BATCH = 32  # of the Keras backend

Forward = Callable[
    [np.ndarray], list[np.ndarray]
]  # images `(n, size, size, 3)` to one float32 array a layer


def engine() -> str:
    """The engine in use: what ``ACRLLS_ENGINE`` says, else OpenVINO if it is installed and Keras computes on TensorFlow
    and has no accelerator.  OpenVINO 2026.4 cannot convert what Keras exports from JAX.

    Raises:
        UserError: the variable names something else, or OpenVINO where it is not installed or on another backend.
    """
    asked = os.environ.get(ENGINE_VARIABLE)
    installed = importlib.util.find_spec("openvino") is not None
    if asked and asked not in ENGINES:
        raise UserError(f"{ENGINE_VARIABLE} is {asked!r}; choose one of: {', '.join(ENGINES)}")
    if asked == "openvino" and not installed:
        raise UserError(
            f"{ENGINE_VARIABLE} is 'openvino', which is not installed; `pip install -r requirements-fast.txt`"
        )
    backend = keras.backend.backend()
    if asked == "openvino" and backend != "tensorflow":
        raise UserError(
            f"{ENGINE_VARIABLE} is 'openvino', which needs the TensorFlow backend, not {backend!r}"
        )
    return asked or ("openvino" if installed and backend == "tensorflow" and _on_cpu() else "keras")


def engine_version(name: str) -> str:
    """Name and version of an engine as it is noted beside what it computed."""
    return f"{name} {importlib.metadata.version(name)}" + (
        f" ({keras.backend.backend()})" if name == "keras" else ""
    )


def frozen_forward(config: Config, layers: tuple[str, ...]) -> Forward:
    """The backbone that ``config`` names, pooling included, in inference mode, from images to some of its layers.

    It is a network of its own, not the one in training, whose later layers move.  A process makes it once for all
    variants, grid points and seeds of the head.  Both engines compute in float32 and fold BatchNormalization into the
    convolutions; they add in another order, so they differ by rounding, about 1e-6 in relative L2 norm.
    """
    seed = config.seed if config.backbone == "random" else 0
    names = ("image_size", "backbone", "backbone_width")
    settings = Config(seed=seed, **{name: getattr(config, name) for name in names})
    return _forward(settings, weights_digest(config), layers, engine())


@functools.lru_cache(maxsize=4)
def _forward(config: Config, weights: str, layers: tuple[str, ...], engine: str) -> Forward:
    base = build_backbone(config)
    pooled = keras.layers.GlobalAveragePooling2D(name=POOL)(base.output)
    outputs = [pooled if name == POOL else base.get_layer(name).output for name in layers]
    part = keras.Model(base.input, outputs)
    return _openvino(part) if engine == "openvino" else _keras(part)


def _keras(part: keras.Model) -> Forward:
    part.trainable = False  # so that its BatchNormalization is folded
    part = lean(part)
    part.compile(jit_compile=jit_compile())

    def forward(images):
        # by predict_on_batch: each predict makes a data set, which Keras on TensorFlow never lets go of
        # flattened: of a network with one output it gives the array alone
        batches = [
            keras.tree.flatten(part.predict_on_batch(images[k : k + _BATCH]))
            for k in range(0, len(images), _BATCH)
        ]
        return [np.concatenate(outputs) for outputs in zip(*batches, strict=True)]

    return forward


def _openvino(part: keras.Model) -> Forward:
    # OpenVINO tells its makers of every conversion if it finds its telemetry; a program on medical images does not.
    sys.modules["openvino_telemetry"] = None
    import openvino

    core = openvino.Core()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "frozen.xml"
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        part.export(str(file), format="openvino", verbose=False)
        # "f32": on CPUs with bfloat16 OpenVINO would else compute in it
        compiled = core.compile_model(
            core.read_model(file),
            "CPU",
            {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "THROUGHPUT"},
        )
    queue = openvino.AsyncInferQueue(compiled)

    def forward(images):
        outputs = [
            np.empty((len(images), *output.shape[1:]), np.float32) for output in part.outputs
        ]

        def keep(request, k):
            for position, output in enumerate(outputs):
                output[k] = request.get_output_tensor(position).data[0]

        queue.set_callback(keep)
        for k in range(
            len(images)
        ):  # image by image: faster than batches here, and nothing depends on neighbours
            queue.start_async(images[k : k + 1], k)
        queue.wait_all()
        return outputs

    return forward


def jit_compile() -> bool | str:
    """Keras's ``jit_compile``: XLA everywhere but under TensorFlow.

    On two CPU cores the forward pass of MobileNetV2 at 224 px ran fifteen times slower under TensorFlow with XLA
    than without; JAX without XLA would run operation by operation.
    """
    return False if keras.backend.backend() == "tensorflow" else "auto"


def steps_per_execution(batches: int) -> int:
    """Steps of a small network in one call of its compiled function, for Keras's argument of that name.

    A step of the head costs as much as its call, so 16 share one, if an epoch has enough to pay for compiling that.
    PyTorch knows no other number than 1.
    """
    return 16 if batches > 128 and keras.backend.backend() != "torch" else 1


def _on_cpu() -> bool:
    """Whether the Keras backend computes on the CPU; each backend names the device of a new array in its way."""
    return "cpu" in str(keras.ops.zeros(1).device).lower()
