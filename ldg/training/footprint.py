"""How much memory training needs, before it takes it."""

import sys
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from ldg.memory import free_memory, require_memory

FEW = 10**8  # parameters that any machine has room for
COPIES = 3  # of the weights: themselves, and two of their gradients and the optimizer's averages
REMEDY = "choose a smaller data.image_size or model"


def require_model(parameters: int) -> None:
    """Refuse a model that needs more memory to be trained than is free.

    Args:
        parameters: of the model, as far as it is built

    Raises:
        TooLarge: that names the size.
    """
    if parameters > FEW:
        what = f"the model, of {parameters / 1e9:.1f} billion parameters or more,"
        require_memory(COPIES * 4 * parameters, what, REMEDY, 1)


def require_step(model: Any, images: int, device: torch.device, precision: str) -> None:
    """Refuse a training step that needs more memory than is free, and say so if it needs more than half of it.

    The least that a step needs is what it needs for the weights, and what the forward pass keeps for the backward pass,
    which is counted of one image and of two.

    Args:
        model: on the CPU
        images: in a batch
        device: that it is trained on
        precision: as Lightning names it

    Raises:
        TooLarge: that names the size.
    """
    one, two = (_count_saved(model, count) for count in (1, 2))
    saved = (one + (images - 1) * (two - one)) / (2 if "16" in precision else 1)
    size = COPIES * sum(parameter.nbytes for parameter in model.parameters()) + saved
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()
    what = f"a training step with {images:,} images of {'x'.join(map(str, model.image_shape))}"
    require_memory(size, what, f"{REMEDY}, or data.batch_size", 1, free)
    if size > free / 2:
        print(f"{what} takes {size / 1e9:,.1f} GB of memory or more, of {free / 1e9:,.1f} GB", file=sys.stderr)


def _count_saved(model: Any, images: int) -> int:
    """Bytes that the forward pass keeps of so many images; neither the model nor torch's randomness changes."""
    kept: dict[int, int] = {}
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    training = model.training
    model.eval()
    blank = torch.zeros(images, *model.image_shape, dtype=torch.uint8)
    labels = torch.zeros(images, dtype=torch.long)
    with (
        torch.random.fork_rng(devices=[]),
        torch.compiler.set_stance("force_eager"),
        saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        result = model.loss(blank, labels, generator=torch.Generator())
    model.train(training)
    del result  # what it keeps had to stay until all was counted
    return sum(kept.values())
