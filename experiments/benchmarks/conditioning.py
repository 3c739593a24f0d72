"""How a label should enter the convolutional networks: film, concat or planes.

    LDG_DATA=... python experiments/benchmarks/conditioning.py --data emnist

Trains the default model with each, on the same images in the same order for the same number of steps. Prints the test
ELBO (nats per image), the class accuracy of a small classifier on samples at temperature 1, and the time.
"""

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HOME = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HOME))

from ldg.checkpoint import build  # noqa: E402
from ldg.config.compose import compose_config, resolve_config  # noqa: E402
from ldg.models.vae import VAE, unit  # noqa: E402
from ldg.training.run import make_data  # noqa: E402


def batches(data: Any, steps: int, seed: int) -> Any:
    """``steps`` random batches of 128 training images and labels."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        yield data.train[torch.randint(len(data.train), (128,), generator=generator)]


def fit(module: nn.Module, loss: Any, data: Any, steps: int) -> None:
    """Train with Adam, the learning rate falling from 2e-3 to 0 along a cosine."""
    optimizer = torch.optim.Adam(module.parameters(), 2e-3, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 0.5 + 0.5 * math.cos(math.pi * k / steps))
    for images, labels in batches(data, steps, seed=0):
        optimizer.zero_grad()
        loss(images, labels).backward()
        optimizer.step()
        schedule.step()
    module.eval()


def classifier(data: Any, steps: int) -> nn.Module:
    """A small convolutional classifier of the characters."""
    layers: list[nn.Module] = []
    for width, following, stride in ((1, 24, 2), (24, 48, 1), (48, 96, 2)):
        layers += [nn.Conv2d(width, following, 3, stride, 1), nn.BatchNorm2d(following), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(128), nn.ReLU(), nn.Linear(128, data.num_classes))
    net(unit(data.train[torch.arange(2)][0]))
    fit(net, lambda images, labels: F.cross_entropy(net(unit(images)), labels), data, steps)
    return net


@torch.no_grad()
def elbo(model: VAE, images: Tensor, labels: Tensor) -> float:
    parts = zip(images.split(500), labels.split(500), strict=True)
    return torch.cat([model(x, y, torch.Generator().manual_seed(0)).elbo for x, y in parts]).mean().item()


@torch.no_grad()
def class_accuracy(model: VAE, judge: nn.Module, per_class: int = 40) -> float:
    labels = torch.arange(model.num_classes).repeat(per_class)
    images = model.sample(labels, generator=torch.Generator().manual_seed(0))
    return (judge(images).argmax(1) == labels).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="strokes", choices=("strokes", "emnist"))
    parser.add_argument("--steps", type=int, default=1000)
    args = parser.parse_args()
    data = make_data(resolve_config(compose_config([f"data={args.data}"]))["data"])
    images, labels = data.test[torch.arange(len(data.test))]
    torch.manual_seed(0)
    judge = classifier(data, args.steps)
    correct = torch.cat([judge(unit(x)).argmax(1) for x in images.split(500)]) == labels
    print(
        f"{args.data}, {args.steps} steps of 128; the classifier's accuracy on test images {correct.float().mean():.1%}"
    )
    print(f"{'condition':<12}{'test elbo':>10}{'class accuracy':>16}{'seconds':>9}{'parameters':>12}", flush=True)
    for condition in ("film", "concat", "planes"):
        config = resolve_config(compose_config([f"data={args.data}", f"model.network.condition={condition}"]))
        torch.manual_seed(0)
        model = build(config["model"]).to(memory_format=torch.channels_last)
        start = time.perf_counter()
        fit(model, lambda x, y, model=model: model.loss(x, y).objective, data, args.steps)
        seconds, size = time.perf_counter() - start, sum(p.numel() for p in model.parameters())
        scores = f"{elbo(model, images, labels):>10.2f}{class_accuracy(model, judge):>16.1%}"
        print(f"{condition:<12}{scores}{seconds:>9.0f}{size / 1e6:>10.2f} M", flush=True)


if __name__ == "__main__":
    main()
