"""Fig. 1 from the model object itself; needs no Keras of its own."""

from collections import namedtuple
from functools import partial

import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

from acrlls.figures.style import MUTED, WIDTH, style

_KINDS = {
    "plain": ("#FFFFFF", ""),
    "frozen": ("#E6E6E6", "frozen in both phases"),
    "phase 2": ("#D3E3F3", "learns in Phase 2"),
    "learns": ("#A9CBEA", "learns in both phases"),
    "calibration": ("#FAD7B0", "the paper's calibration layers"),
}
_EDGE = "#8A8A8A"


# One box, with the shape of its output; the moving statistics of BatchNorm are parameters too.
Block = namedtuple("Block", "title detail shape parameters kind")


def prepare_architecture(model, unfrozen: int) -> list[Block]:
    """Boxes of Fig. 1, from the layers of :func:`acrlls.build_model`'s model; the last ``unfrozen``
    of its backbone learn in Phase 2."""
    pool = [layer.name for layer in model.layers].index("pool")
    image, base, head = model.layers[0], model.layers[1:pool], model.layers[pool:]
    cut = max(0, len(base) - unfrozen)
    blocks = [Block("Image", "", image.output.shape[1:], 0, "plain")]
    for part, kind, which in ((base[:cut], "frozen", "first"), (base[cut:], "phase 2", "last")):
        if part:
            which = "all" if len(part) == len(base) else which
            detail = f"up to {part[-1].name}" if kind == "frozen" else f"from {part[0].name}"
            title = f"MobileNetV2, {which} {len(part)} layers"
            parameters = sum(layer.count_params() for layer in part)
            blocks.append(Block(title, detail, part[-1].output.shape[1:], parameters, kind))
    return [*blocks, *map(_head_block, head)]


def _head_block(layer) -> Block:
    config, kind = layer.get_config(), type(layer).__name__
    activation = {"relu": "ReLU", "linear": "logits"}.get(config.get("activation"), "")
    strength = f"adds to the loss only: α = {config.get('alpha')}, τ = {config.get('tau')}"
    title, detail, look = {
        "GlobalAveragePooling2D": ("Global average pooling", "", "plain"),
        "Dense": (f"Dense {config.get('units')}", activation, "learns"),
        "Dropout": (f"Dropout {config.get('rate')}", "in training only", "plain"),
        "AdaptiveConfidenceRegularizer": ("ACR", strength, "calibration"),
        "LearnableLogitScaler": ("LLS", "each logit times a scale of its class", "calibration"),
        "Softmax": ("Softmax", "probabilities", "plain"),
    }.get(kind, (kind, "", "learns" if layer.weights else "plain"))
    return Block(title, detail, layer.output.shape[1:], layer.count_params(), look)


@style()
def plot_architecture(blocks: list[Block]):
    """The boxes from image to probabilities; output shapes to the left, weights to the right."""
    ax = plt.subplots(figsize=(WIDTH, 0.75 + 0.4 * len(blocks)))[1]
    write = partial(ax.text, va="center")
    left, right, end = 0.2, 0.78, len(blocks)

    fills = [_KINDS[block.kind][0] for block in blocks]
    ax.barh(range(end), right - left, 0.68, left, color=fills, edgecolor=_EDGE, linewidth=0.8)
    for i, block in enumerate(blocks):
        write(left + 0.015, i, block.title, size=8.5, weight="bold")
        write(right - 0.015, i, block.detail, size=8, ha="right")
        write(left - 0.02, i, " × ".join(map(str, block.shape)), size=8, ha="right")
        if block.parameters:
            write(right + 0.02, i, f"{block.parameters:,}", size=8)
        if i:
            arrow = {"arrowstyle": "-|>", "color": MUTED, "lw": 0.8, "shrinkA": 0, "shrinkB": 0}
            middle = (left + right) / 2
            ax.annotate("", (middle, i - 0.34), (middle, i - 0.66), arrowprops=arrow)
    write(left - 0.02, -0.85, "output", size=8, color=MUTED, ha="right")
    write(right + 0.02, -0.85, "weights", size=8, color=MUTED)
    there = {block.kind for block in blocks} - {"plain"}
    key = [look for kind, look in _KINDS.items() if kind in there]
    boxes = [Rectangle((0, 0), 1, 1, fc=fill, ec=_EDGE, label=text) for fill, text in key]
    how = {"ncols": len(key), "fontsize": 7.5, "handlelength": 1, "columnspacing": 1.2}
    ax.figure.legend(handles=boxes, loc="outside lower center", **how)
    ax.set(xlim=(0, 1), ylim=(end + 0.25, -1.15))
    ax.axis("off")
    return ax
