"""Export what writing and measuring need of a run, in half precision.

ldg export outputs/NAME/ID model.safetensors
"""

import json
from pathlib import Path
from typing import Any

from ldg.checkpoint import find, fit, read
from ldg.commands.cli import Parser
from ldg.errors import UserError
from ldg.files import look, whole
from ldg.generation.picture import require_writable


def export(source: str | Path, path: str | Path) -> None:
    """Write the model of a run as safetensors: weights in half precision, config and class names.

    Args:
        source: Checkpoint file or run folder.
        path: The file to write, which must not exist.

    Raises:
        UserError: If the checkpoint cannot be read, or the file exists or cannot be written.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise UserError(f"{path}: give a name that ends in .safetensors")
    if look(path):
        raise UserError(f"{path} exists; remove it, or give another name")
    require_writable(path)
    file = find(source)  # an error before torch is imported
    import torch
    from safetensors.torch import save

    content = read(file)
    fit(content, file)  # weights that do not fit their config are refused
    config = content["ldg"]["config"]
    kept = {key: config[key] for key in ("name", "seed", "model", "data") if key in config}
    kept["data"] = _without_places(kept.get("data", {}))
    weights = {
        # running statistics may lie outside the range of half precision, and are few
        name: (value.half() if value.dtype == torch.float32 and "running_" not in name else value).contiguous()
        for name, value in content["state_dict"].items()
        if name.startswith("model.")
    }
    with whole(path) as temporary:
        # not save_file, whose files only their owner may read
        temporary.write_bytes(save(weights, metadata={"ldg": json.dumps(content["ldg"] | {"config": kept})}))


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
    parser.add_argument("file", metavar="FILE.safetensors", help="the file to write")
    args = parser.parse_args(arguments)
    export(args.run, args.file)
    print(args.file)
