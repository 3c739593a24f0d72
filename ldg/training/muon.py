"""Muon: the momentum of matrices and filters is made orthogonal, everything else is updated by Adam."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

# of the odd polynomial a x + b x^3 + c x^5, by which a singular value in (0, 1] comes near 1 in a few iterations
# (Jordan et al. 2024, Muon: An optimizer for hidden layers in neural networks)
POLYNOMIAL = (3.4445, -4.7750, 2.0315)
ITERATIONS = 3  # train as well as the five of the paper, in three fifths of the time


def orthogonalise(matrices: Tensor) -> Tensor:
    """Bring the singular values of matrices near 1 by Newton-Schulz iterations.

    All iterations multiply from the left, so they are done on the small matrix X X^T, and X is multiplied once.

    Args:
        matrices: (N, rows, columns), float32.

    Returns:
        (N, rows, columns), with the same singular vectors. Singular values that were above a fortieth of the root of
        the sum of their squares are between 0.6 and 1.2, smaller ones are 41 times larger at most.
    """
    if matrices.shape[-2] > matrices.shape[-1]:
        return orthogonalise(matrices.mT).mT
    x = matrices / (matrices.norm(dim=(-2, -1), keepdim=True) + 1e-12)
    gram = x @ x.mT
    product = factor = _factor(gram)
    for _ in range(ITERATIONS - 1):
        gram = factor @ gram @ factor
        factor = _factor(gram)
        product = factor @ product
    return product @ x


def _factor(gram: Tensor) -> Tensor:
    """What the polynomial multiplies X by, a + b X X^T + c (X X^T)^2."""
    a, b, c = POLYNOMIAL
    factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
    factor.diagonal(dim1=-2, dim2=-1).add_(a)
    return factor


class Muon(torch.optim.Adam):
    """Updates parameters of two and more dimensions by their orthogonalised momentum, the others by Adam.

    A filter (out, in, height, width) is taken for a matrix (out, in * height * width). The entries of an update have
    the size that they have with Adam, so that one learning rate suits both (Liu et al. 2025, Muon is scalable for LLM
    training, section 2.2).

    Args:
        params: What is optimised.
        lr: Learning rate.
        momentum: Decay of the averaged gradient of matrices, with Nesterov's look-ahead.
        betas: Decay of Adam's averages of the gradient and of its square.
        largest: The longest shorter side of a matrix that is made orthogonal. Larger ones are left to Adam: making them
            orthogonal takes a multiple of the step of such a network.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: PositiveFloat = 1e-2,
        momentum: Annotated[float, Field(ge=0, lt=1)] = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        largest: PositiveInt = 256,
    ) -> None:
        params = list(params)
        sides = {p: min(len(p), p[0].numel()) if p.ndim > 1 else math.inf for p in params}
        matrices = {"params": [p for p in params if sides[p] <= largest], "momentum": momentum}
        others = {"params": [p for p in params if sides[p] > largest], "momentum": None}
        groups: list[dict[str, Any]] = [matrices, others]
        super().__init__(groups, lr, betas, fused=True)
        # a fused Adam unscales gradients itself; those of matrices have to be unscaled and finite before they come here
        self._step_supports_amp_scaling = False

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient.

        Args:
            closure: Computes the loss and the gradients anew.

        Returns:
            The closure's loss; None without one.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        groups = self.param_groups
        self._update_matrices(groups[0])
        self.param_groups = groups[1:]
        try:
            super().step()
        finally:
            self.param_groups = groups
        return loss

    def _update_matrices(self, group: dict[str, Any]) -> None:
        """Update the matrices, all of one shape at once."""
        shapes: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for weight in group["params"]:
            if weight.grad is None:
                continue
            state = self.state[weight]
            if not state:  # the number of steps too, which Adam looks for when a state is loaded
                state.update(step=torch.zeros(()), momentum_buffer=torch.zeros_like(weight))
            state["step"] += 1
            average = state["momentum_buffer"]
            average.lerp_(weight.grad, 1 - group["momentum"])
            direction = weight.grad.lerp(average, group["momentum"]).reshape(len(weight), -1)
            shapes[len(direction), direction.shape[1]].append((weight, direction))
        for shape, pairs in shapes.items():
            weights, directions = zip(*pairs, strict=True)
            updates = orthogonalise(torch.stack(directions))
            for weight, update in zip(weights, updates, strict=True):
                # an orthogonal matrix has entries of 1 / sqrt(its longer side), an update by Adam of about 0.2
                weight.add_(update.view_as(weight), alpha=-0.2 * math.sqrt(max(shape)) * group["lr"])
