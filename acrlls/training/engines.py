"""What computes the frozen part of the network: OpenVINO where it helps, or the Keras backend."""

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
from acrlls.method import POOL, frozen_backbone
from acrlls.training.folding import lean

ENGINES = ("openvino", "keras")
ENGINE_VARIABLE = "ACRLLS_ENGINE"
_BATCH = 32  # of the Keras backend


def engine() -> str:
    """The engine in use: what ``ACRLLS_ENGINE`` says, or else OpenVINO where it is installed and
    Keras computes on TensorFlow (it cannot convert what JAX exports) without an accelerator.
    """
    asked, backend = os.environ.get(ENGINE_VARIABLE), keras.backend.backend()
    installed = importlib.util.find_spec("openvino") is not None
    problem = None
    if asked and asked not in ENGINES:
        problem = f"; choose one of: {', '.join(ENGINES)}"
    elif asked == "openvino" and not installed:
        problem = ", which is not installed; `pip install -r requirements-fast.txt`"
    elif asked == "openvino" and backend != "tensorflow":
        problem = f", which needs the TensorFlow backend, not {backend!r}"
    if problem:
        raise UserError(f"{ENGINE_VARIABLE} is {asked!r}{problem}")
    on_cpu = "cpu" in str(keras.ops.zeros(1).device).lower()  # each backend names it in its own way
    return asked or ("openvino" if installed and backend == "tensorflow" and on_cpu else "keras")


def engine_version() -> str:
    """Name and version of the engine in use, as noted beside what it computed."""
    name = engine()
    backend = f" ({keras.backend.backend()})" if name == "keras" else ""
    return f"{name} {importlib.metadata.version(name)}{backend}"


def frozen_forward(config: Config, layers: tuple[str, ...]) -> Callable:
    """The backbone that ``config`` names, pooling included, in inference mode, up to some layers:
    a function of images `(n, size, size, 3)` that gives one float32 array a layer.

    Both engines compute in float32 and fold BatchNormalization into the convolutions; they add in
    another order, so they differ by rounding, about 1e-6 in relative L2 norm.
    """
    return _forward(frozen_backbone(config), layers, engine())


@functools.lru_cache(maxsize=4)
def _forward(base: keras.Model, layers: tuple[str, ...], engine: str) -> Callable:
    pooled = keras.layers.GlobalAveragePooling2D(name=POOL)(base.output)
    outputs = [pooled if name == POOL else base.get_layer(name).output for name in layers]
    part = keras.Model(base.input, outputs)
    return _openvino(part) if engine == "openvino" else _keras(part)


def _keras(part: keras.Model) -> Callable:
    part.trainable = False  # so that its BatchNormalization is folded
    part = lean(part)
    part.compile(jit_compile=jit_compile())

    def forward(images):
        # by predict_on_batch: each predict makes a dataset, which Keras on TensorFlow never frees;
        # flattened: of a network with one output it gives the array alone
        pieces = [images[k : k + _BATCH] for k in range(0, len(images), _BATCH)]
        batches = [keras.tree.flatten(part.predict_on_batch(piece)) for piece in pieces]
        return [np.concatenate(outputs) for outputs in zip(*batches, strict=True)]

    return forward


def _openvino(part: keras.Model) -> Callable:
    # with its telemetry OpenVINO reports every conversion; a program on medical images does not
    sys.modules["openvino_telemetry"] = None
    import openvino

    core = openvino.Core()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "frozen.xml"
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        part.export(str(file), format="openvino", verbose=False)
        # "f32": on CPUs with bfloat16 OpenVINO would else compute in it
        options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "THROUGHPUT"}
        compiled = core.compile_model(core.read_model(file), "CPU", options)
    queue = openvino.AsyncInferQueue(compiled)

    def forward(images):
        shapes = [(len(images), *output.shape[1:]) for output in part.outputs]
        outputs = [np.empty(shape, np.float32) for shape in shapes]

        def keep(request, k):
            for position, output in enumerate(outputs):
                output[k] = request.get_output_tensor(position).data[0]

        queue.set_callback(keep)
        for k in range(len(images)):  # one by one: faster than batches here
            queue.start_async(images[k : k + 1], k)
        queue.wait_all()
        return outputs

    return forward


def jit_compile() -> bool | str:
    """Keras's ``jit_compile``: XLA everywhere but under TensorFlow.

    On two CPU cores the forward pass of MobileNetV2 at 224 px took fifteen times as long under
    TensorFlow with XLA as without; JAX without XLA would run operation by operation.
    """
    return False if keras.backend.backend() == "tensorflow" else "auto"


def steps_per_execution(batches: int) -> int:
    """Steps of a small network in one call of its compiled function, as Keras's argument.

    A step of the head costs as much as its call, so 16 share one, if an epoch has enough of them to
    pay for compiling that.  PyTorch knows no other number than 1.
    """
    return 16 if batches > 128 and keras.backend.backend() != "torch" else 1
