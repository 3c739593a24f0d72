"""Keep of a run what writing and measuring need: python -m ldg.export outputs/NAME/ID model.safetensors"""

import json
import os
import sys
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from ldg.checkpoint import load_any, read
from ldg.errors import UserError


def export(source: str | Path, path: str | Path) -> None:
    """Write the model of a checkpoint or run folder as safetensors: weights in half precision, config, class names.

    Raises:
        UserError: as :func:`load`, or if the file is there already or cannot be written.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise UserError(f"{path}: give a name that ends in .safetensors")
    if path.exists():
        raise UserError(f"{path} exists; remove it, or give another name")
    load_any(source)
    content = read(source)
    facts = content["ldg"]
    kept = {key: facts["config"][key] for key in ("name", "seed", "model", "data") if key in facts["config"]}
    kept["data"] = {key: value for key, value in kept.get("data", {}).items() if key not in ("root", "cache")}
    weights = {
        # running statistics may lie outside the range of half precision, and are few
        name: (value.half() if value.dtype == torch.float32 and "running_" not in name else value).contiguous()
        for name, value in content["state_dict"].items()
        if name.startswith("model.")
    }
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        save_file(weights, part, metadata={"ldg": json.dumps(facts | {"config": kept})})
        part.replace(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"cannot write {path}: {error}") from None
    finally:
        part.unlink(missing_ok=True)


if __name__ == "__main__":
    try:
        if len(sys.argv) != 3:
            raise UserError("give a run and a file: python -m ldg.export outputs/NAME/ID model.safetensors")
        export(*sys.argv[1:])
        print(sys.argv[2])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
