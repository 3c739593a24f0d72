"""Export what writing and measuring need of a run, in half precision, or what writing needs alone.

ldg export outputs/NAME/ID model.safetensors    all of the model, in half precision
ldg export outputs/NAME/ID model.onnx           the decoder, which writes without torch
"""

import json
from pathlib import Path
from typing import Any

from ldg.checkpoint import find, fit, read
from ldg.commands.cli import Parser
from ldg.errors import UserError
from ldg.files import look, whole
from ldg.generation.picture import require_writable

TOLERANCE = 1e-4  # between torch and onnxruntime, whose kernels round differently


def export(source: str | Path, path: str | Path) -> None:
    """Write the model of a run as ``.safetensors``, weights in half precision, or its decoder as ``.onnx``.

    Both say of themselves what classes and config they have.

    Args:
        source: Checkpoint file or run folder.
        path: The file to write, which must not exist.

    Raises:
        UserError: If the checkpoint cannot be read, the file exists or cannot be written, or ONNX does not have what
            the model computes.
    """
    path = Path(path)
    if path.suffix not in (".safetensors", ".onnx"):
        raise UserError(f"{path}: give a name that ends in .safetensors or .onnx")
    if look(path):
        raise UserError(f"{path} exists; remove it, or give another name")
    require_writable(path)
    file = find(source)  # an error before torch is imported
    content = read(file)
    model = fit(content, file).eval()  # weights that do not fit their config are refused
    config = content["ldg"]["config"]
    kept = {key: config[key] for key in ("name", "seed", "model", "data") if key in config}
    kept["data"] = _without_places(kept.get("data", {}))
    about = content["ldg"] | {"config": kept}
    with whole(path) as temporary:
        if path.suffix == ".onnx":
            _write_onnx(model, about, file, temporary)
        else:
            _write_safetensors(content["state_dict"], about, temporary)


def _write_safetensors(state: dict[str, Any], about: dict[str, Any], path: Path) -> None:
    import torch
    from safetensors.torch import save

    weights = {
        # running statistics may lie outside the range of half precision, and are few
        name: (value.half() if value.dtype == torch.float32 and "running_" not in name else value).contiguous()
        for name, value in state.items()
        if name.startswith("model.")
    }
    # not save_file, whose files only their owner may read
    path.write_bytes(save(weights, metadata={"ldg": json.dumps(about)}))


def _write_onnx(model: Any, about: dict[str, Any], file: Path, path: Path) -> None:
    import numpy as np

    from ldg.generation.decoder import TorchDecoder
    from ldg.generation.onnx import FORMAT, OnnxDecoder
    from ldg.models.graph import to_onnx
    from ldg.models.vae import VAE

    if not isinstance(model, VAE):
        raise UserError(f"{file} is a {type(model).__name__}; name a run of a VAE")
    described = {key: getattr(model, key) for key in ("image_shape", "conditioning", "latent_dim")}
    path.write_bytes(to_onnx(model, about | described | {"format": FORMAT}))
    rng, count = np.random.default_rng(0), 8
    styles = rng.standard_normal((count, model.latent_dim), dtype=np.float32)
    labels = rng.dirichlet(np.ones(model.num_classes), count).astype(np.float32)
    expected, written = (each.write(styles, labels, 0.5) for each in (TorchDecoder(model), OnnxDecoder(path)))
    if not np.allclose(written, expected, atol=TOLERANCE):
        error = np.abs(written - expected).max()
        raise UserError(f"{file}: onnxruntime draws other images than torch, by up to {error:.2g}; not exported")


def _without_places(data: dict[str, Any]) -> dict[str, Any]:
    """A ``data`` config without folders of this machine; an absolute path keeps its last part."""
    kept = {key: value for key, value in data.items() if key not in ("root", "cache")}
    for key, value in kept.items():
        if key == "path" and Path(value).is_absolute():
            kept[key] = Path(value).name
        elif isinstance(value, dict):
            kept[key] = _without_places(value)
    return kept


def main(arguments: list[str]) -> None:
    """Export the run of a command line.

    Args:
        arguments: Without the program's name.

    Raises:
        UserError: If it cannot be exported.
    """
    parser = Parser("export", __doc__)
    parser.add_argument("run", metavar="RUN", help="checkpoint file or run folder")
    parser.add_argument("file", metavar="FILE", help="the file to write, .safetensors or .onnx")
    args = parser.parse_args(arguments)
    export(args.run, args.file)
    print(args.file)
