"""What a training step costs beside the same step in a hand-written loop.

    python experiments/benchmarks/overhead.py               # bare loop, ldg, Lightning with the usual pipeline
    pip install "ldg[benchmark]"                            # and pythae's trainer as well

Same networks, same optimizer, same images, batch 128, float32. The contenders run in turn, several rounds, so that a
drift of the machine's speed affects all of them. The ratio to the bare loop is taken in each round; its median is
printed.
"""

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.functional import to_pil_image, to_tensor

HOME = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HOME))

from ldg.callbacks.interrupt import SaveOnSignal  # noqa: E402
from ldg.callbacks.progress import Progress  # noqa: E402
from ldg.checkpoint import build  # noqa: E402
from ldg.config.compose import compose_config, resolve_config  # noqa: E402
from ldg.config.run_config import RunConfig  # noqa: E402
from ldg.training.console import silence_libraries  # noqa: E402
from ldg.training.module import make_module  # noqa: E402
from ldg.training.run import make_data  # noqa: E402
from ldg.training.trainer import add_loggers, make_callbacks, make_trainer  # noqa: E402

WARMUP = 10


class Clock(pl.Callback):
    """Seconds from the end of the warm-up to the last of the steps."""

    def __init__(self, steps: int) -> None:
        self.steps, self.seconds = steps, 0.0

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == WARMUP - 1:
            self.start = time.perf_counter()
        if batch_idx == WARMUP + self.steps - 1:
            self.seconds = time.perf_counter() - self.start


def compose_run(overrides: list[str]) -> RunConfig:
    """The config of a command line."""
    return RunConfig.from_dict(resolve_config(compose_config(overrides)))


def bare(overrides: list[str], data: Any, steps: int) -> float:
    """A loop that does nothing but index, forward, backward and step."""
    module = make_module(compose_run(overrides), data.classes)
    model = module.model.train()
    optimizer = module.make_optimizer(model.parameters())
    images, labels, indices = data.train.images, data.train.all_labels, data.train.indices
    order = indices[torch.randperm(len(indices))].split(128)
    start = 0.0
    for step in range(WARMUP + steps):
        rows = order[step % (len(order) - 1)]
        loss = model.loss(images[rows], labels[rows]).objective
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step == WARMUP - 1:
            start = time.perf_counter()
    return time.perf_counter() - start


def ldg(overrides: list[str], data: Any, steps: int) -> float:
    """What train.py does, with its logger, checkpoint, progress bar and signal handling."""
    with tempfile.TemporaryDirectory() as folder:
        config = compose_run([*overrides, f"folder={folder}", "logger=csv"])
        config.trainer |= {"max_epochs": 1, "limit_train_batches": WARMUP + steps, "limit_val_batches": 0}
        config.callbacks = {"checkpoint": config.callbacks["checkpoint"]}
        module = make_module(config, data.classes)
        clock = Clock(steps)
        callbacks = make_callbacks(config, module, [Progress(), SaveOnSignal(Path(folder)), clock])
        trainer = make_trainer(config, callbacks)
        data = build(config.data)
        add_loggers(trainer, list(instantiate(config.logger).values()), config, module, data)
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(nowhere):
            trainer.fit(module, data)
        return clock.seconds


class Items(Dataset):
    """The usual torchvision data set: an image at a time, through PIL and ToTensor."""

    def __init__(self, data: Any, count: int) -> None:
        self.pictures = [to_pil_image(image) for image in data.train.images[data.train.indices[:count]]]
        self.labels = data.train.labels[:count].tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return to_tensor(self.pictures[index]), self.labels[index]


class Usual(pl.LightningModule):
    """The LightningModule of the tutorials: loss and parts logged at every step, to the progress bar too."""

    def __init__(self, model: Any, make_optimizer: Callable[..., Any]) -> None:
        super().__init__()
        self.model, self.make_optimizer = model, make_optimizer

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        objective, inference = self.model.loss(*batch)
        values = {"loss": objective, "kl": inference.kl.mean(), "log_likelihood": inference.log_likelihood.mean()}
        self.log_dict(values, prog_bar=True)
        return objective

    def configure_optimizers(self) -> Any:
        return self.make_optimizer(self.parameters())


def usual(overrides: list[str], data: Any, steps: int) -> float:
    """Lightning with the per-item pipeline and default settings."""
    module = make_module(compose_run(overrides), data.classes)
    loader = DataLoader(Items(data, 128 * (WARMUP + steps)), batch_size=128, shuffle=True)
    clock = Clock(steps)
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=1,
            limit_train_batches=WARMUP + steps,
            default_root_dir=folder,
            callbacks=[clock],
            logger=pl.loggers.CSVLogger(folder),
            enable_model_summary=False,
        )
        with (
            Path(os.devnull).open("w", encoding="utf-8") as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            # its progress bar is part of the cost, but not of this output
            trainer.fit(Usual(module.model, module.make_optimizer), loader)
    return clock.seconds


def pythae(overrides: list[str], data: Any, steps: int) -> float:
    """The same networks inside pythae's VAE, trained by its BaseTrainer on tensors for one epoch of ``steps`` steps."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    inner: Any = make_module(compose_run([*overrides, "conditioning=none"]), data.classes).model

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.net = inner.network.encoder

        def forward(self, x: torch.Tensor) -> Any:
            mean, log_var = inner.network.encode(x, None).chunk(2, dim=1)
            return ModelOutput(embedding=mean, log_covariance=log_var)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.net = inner.network.decoder

        def forward(self, z: torch.Tensor) -> Any:
            return ModelOutput(reconstruction=inner.network.decode(z, None).sigmoid())

    rows = data.train.indices[: 128 * steps]
    with tempfile.TemporaryDirectory() as folder:
        settings = BaseTrainerConfig(
            output_dir=folder, num_epochs=1, learning_rate=1e-3, per_device_train_batch_size=128, no_cuda=True
        )
        shape = VAEConfig(input_dim=inner.image_shape, latent_dim=inner.latent_dim, reconstruction_loss="bce")
        images = data.train.images[rows].float() / 255
        trainer = BaseTrainer(
            model=VAE(shape, Encoder(), Decoder()),
            train_dataset=BaseDataset(images, data.train.all_labels[rows]),
            training_config=settings,
        )
        trainer.prepare_training()
        start = time.perf_counter()
        trainer.train_step(epoch=1)
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    args = parser.parse_args()
    silence_libraries()
    contenders = [bare, ldg, usual]
    try:
        import pythae as _

        contenders.append(pythae)
    except ImportError:
        print("pythae is not installed; it is left out")
    threads = torch.get_num_threads()
    print(f"torch {torch.__version__}, {threads} threads, batch 128, {args.rounds} rounds of {args.steps} steps")
    for model in ("vanilla_cvae", "conv_cvae"):
        overrides = [f"model={model}", "model/prior=normal", "optimizer=adam", "trainer=cpu", "data.batch_size=128"]
        data = make_data(compose_run(overrides).data)
        times: dict[str, list[float]] = {contender.__name__: [] for contender in contenders}
        for _ in range(args.rounds):
            for contender in contenders:
                times[contender.__name__].append(contender(overrides, data, args.steps) / args.steps)
        print(f"\n{model:<14}{'ms a step':>12}{'of the bare loop':>20}{'lowest':>9}{'highest':>9}")
        for name, seconds in times.items():
            ratios = [a / b for a, b in zip(seconds, times["bare"], strict=True)]
            print(
                f"{name:<14}{1000 * statistics.median(seconds):>12.2f}{statistics.median(ratios):>19.2f}x"
                f"{min(ratios):>8.2f}x{max(ratios):>8.2f}x"
            )


if __name__ == "__main__":
    main()
