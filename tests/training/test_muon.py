"""Muon: orthogonal updates of matrices, and Adam for the rest."""

import math

import pytest
import torch

from ldg.training.muon import ITERATIONS, POLYNOMIAL, Muon, orthogonalise


def polynomial(values):
    a, b, c = POLYNOMIAL
    for _ in range(ITERATIONS):
        values = a * values + b * values**3 + c * values**5
    return values


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (16, 16), (1, 9)])
def test_singular_vectors_stay_and_singular_values_go_through_the_polynomial(shape):
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    u, s, v = torch.linalg.svd(matrices.double(), full_matrices=False)
    wanted = u @ torch.diag_embed(polynomial(s / s.norm(dim=1, keepdim=True))) @ v
    torch.testing.assert_close(orthogonalise(matrices).double(), wanted, atol=1e-4, rtol=0)


def test_singular_values_come_near_one_and_a_zero_matrix_stays_zero():
    values = polynomial(torch.linspace(1 / 40, 1, 10_001, dtype=torch.float64))
    assert values.min() > 0.6 and values.max() < 1.21
    small = torch.tensor([1e-6, 1e-3], dtype=torch.float64)
    assert ((ratio := polynomial(small) / small) < 41).all() and (ratio > 40).all()
    assert orthogonalise(torch.zeros(1, 3, 5)).eq(0).all()


def test_a_matrix_is_updated_whatever_the_size_of_its_gradient_and_a_vector_as_by_adam():
    torch.manual_seed(0)
    filters, bias, unused = torch.randn(8, 4, 3, 3), torch.randn(8), torch.randn(5, 5)
    gradients = [torch.randn_like(filters), torch.randn_like(bias)]
    ends = []
    for scale in (1.0, 1e-3):
        parameters = [torch.nn.Parameter(p.clone()) for p in (filters, bias, unused)]
        other = torch.nn.Parameter(bias.clone())
        optimizer, adam = Muon(parameters, lr=0.01), torch.optim.Adam([other], lr=0.01)
        for _ in range(3):
            parameters[0].grad, parameters[1].grad = scale * gradients[0], gradients[1].clone()
            other.grad = gradients[1].clone()
            optimizer.step()
            adam.step()
        torch.testing.assert_close(parameters[1], other)
        assert parameters[2].equal(unused)
        ends.append(parameters[0].detach())
    torch.testing.assert_close(*ends, atol=1e-5, rtol=1e-4)
    # a constant gradient gives three equal updates
    values = torch.linalg.svdvals((ends[0] - filters).view(8, -1) / (3 * -0.01 * 0.2 * math.sqrt(36)))
    torch.testing.assert_close(
        values,
        polynomial((s := torch.linalg.svdvals(gradients[0].view(8, -1))) / s.norm()).sort(descending=True).values,
        atol=1e-3,
        rtol=0,
    )


def test_a_matrix_whose_shorter_side_is_above_the_limit_is_updated_by_adam():
    torch.manual_seed(0)
    large, long = torch.randn(5, 6), torch.randn(4, 9)
    parameters = [torch.nn.Parameter(p.clone()) for p in (large, long, large, long)]
    muon, adam = Muon(parameters[:2], lr=0.01, largest=4), torch.optim.Adam(parameters[2:], lr=0.01)
    for p in parameters:
        p.grad = p.detach().sin()
    muon.step()
    adam.step()
    torch.testing.assert_close(parameters[0], parameters[2])
    assert not torch.allclose(parameters[1], parameters[3])


def test_filters_in_channels_last_and_a_closure():
    weights = [torch.nn.Parameter(torch.ones(4, 3, 2, 2)) for _ in range(2)]
    weights[1].data = weights[1].data.to(memory_format=torch.channels_last)
    gradient = torch.arange(48.0).view(4, 3, 2, 2)
    for weight in weights:
        optimizer = Muon([weight], lr=0.1)

        def loss(weight=weight, optimizer=optimizer):
            optimizer.zero_grad()
            value = (weight * gradient).sum()
            value.backward()
            return value

        assert optimizer.step(loss) == gradient.sum()
    torch.testing.assert_close(*weights)


def test_a_gradient_that_overflows_half_precision_is_left_out():
    torch.manual_seed(0)
    start = [torch.randn(4, 3), torch.randn(4)]
    gradients = [torch.randn(4, 3), torch.randn(4)]
    scaled, plain = ([torch.nn.Parameter(p.clone()) for p in start] for _ in range(2))
    optimizer, scaler = Muon(scaled, lr=0.1), torch.amp.GradScaler("cpu", init_scale=8.0)
    for factor in (math.inf, 1.0):
        scaler.scale(torch.zeros(()))
        for p, gradient in zip(scaled, gradients, strict=True):
            p.grad = scaler.get_scale() * gradient * factor
        scaler.step(optimizer)
        scaler.update()
        if factor == math.inf:
            assert all(map(torch.equal, scaled, start))
    for p, gradient in zip(plain, gradients, strict=True):
        p.grad = gradient
    Muon(plain, lr=0.1).step()
    torch.testing.assert_close(scaled, plain)
