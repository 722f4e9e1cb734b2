"""Where a backbone's weights come from; without Keras, so that a kept run is found at once."""

from pathlib import Path

from acrlls.backend import chosen, import_keras, precision
from acrlls.config import PROJECT, Config, UserError
from acrlls.store import digest

SHIPPED_WEIGHTS = "phantom_mobilenet_v2_0.35_96.weights.h5"


def weights_file(config: Config) -> Path | None:
    """The file of the backbone's weights, fetched if it is ImageNet's; ``None`` for random weights.
    A ``UserError`` says if there is no such file, or if it cannot be fetched.
    """
    if config.backbone == "random":
        return None
    if config.backbone == "phantom":
        path = PROJECT / "acrlls" / "weights" / SHIPPED_WEIGHTS
    elif config.backbone == "imagenet":
        return _imagenet_file(config)
    else:
        path = Path(config.backbone)
    if not path.is_file():
        raise UserError(
            f"backbone {config.backbone!r} is not a weights file; give the path of one, or "
            "'imagenet', 'phantom' or 'random'"
        )
    return path


def _imagenet_file(config: Config) -> Path:
    """Keras's ImageNet weights, fetched into its own cache (needs a network the first time)."""
    # one file a width and size; images of another size take the weights for 224 px, as in Keras
    size = config.image_size if config.image_size in (96, 128, 160, 192, 224) else 224
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_"
    name += f"{config.backbone_width}_{size}_no_top.h5"
    url = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/" + name
    keras = import_keras()
    try:
        return Path(keras.utils.get_file(name, url, cache_subdir="models"))
    except Exception as error:  # get_file raises bare Exception when there is no network
        raise UserError(
            f"ImageNet weights could not be fetched ({error}): there are some for backbone_width "
            "0.35, 0.5, 0.75, 1, 1.3 and 1.4. Without a network, put the file "
            f"{name} somewhere and give its path as backbone, or use the profile 'quick', whose "
            "backbone ships with the project"
        ) from error


def weights_digest(config: Config) -> str:
    """Digest of the weights a run starts from, and of the precision in force, if it is not float32;
    random ones follow from the seed and backend."""
    path, policy = weights_file(config), precision()
    found = digest(path) if path else f"random {config.seed} {chosen()}"
    return found if policy == "float32" else f"{found} {policy}"
