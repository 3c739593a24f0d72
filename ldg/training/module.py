"""The LightningModule: one step, one epoch's averages, and what a checkpoint needs to stand alone."""

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from ldg.checkpoint import VERSION
from ldg.errors import UserError
from ldg.models.vae import VAE, Loss
from ldg.training.resume import relocate

NAMES = ("loss", "elbo", "log_likelihood", "kl")
ACTIVE = 0.01  # a latent is active if its posterior mean varies more than this over the images (Burda et al. 2016)


class Averages:
    """A loss's parts of every image of an epoch, kept on the device: a step costs no synchronisation, nor arithmetic."""

    def __init__(self) -> None:
        self.parts: list[tuple[Tensor, ...]] = []
        self.sums: Tensor | None = None

    def add(self, loss: Loss) -> None:
        self.parts.append((loss.log_likelihood.detach(), loss.kl.detach(), loss.loss.detach()))

    def fold(self) -> Tensor | None:
        """The sums so far, of log-likelihood, KL, loss and number of images, (4,) float64; None before the first."""
        if self.parts:
            log_likelihood, kl, losses = zip(*self.parts, strict=True)
            counts = torch.tensor([len(part) for part in kl], dtype=torch.float64, device=kl[0].device)
            sums = [torch.cat(part).double().sum() for part in (log_likelihood, kl)]
            new = torch.stack([*sums, torch.stack(losses).double() @ counts, counts.sum()])
            self.sums = new if self.sums is None else self.sums + new
            self.parts.clear()
        return self.sums

    def compute(self, prefix: str, trainer: pl.Trainer) -> dict[str, float]:
        """The averages so far, in nats per image, over all processes; the sums begin anew."""
        if (sums := self.fold()) is None:
            return {}
        sums = trainer.strategy.reduce(sums, reduce_op="sum")
        self.sums = None
        *parts, n = sums.tolist()
        log_likelihood, kl, loss = (part / n for part in parts)
        values = (loss, log_likelihood - kl, log_likelihood, kl)
        return {f"{prefix}/{name}": value for name, value in zip(NAMES, values, strict=True)}


class VAEModule(pl.LightningModule):
    """Trains a :class:`VAE`.

    ``optimizer`` takes parameters, ``scheduler`` is Lightning's scheduler config whose ``scheduler`` takes an optimizer
    (and ``total_steps``, if it asks for it), ``config`` is the resolved run config that goes into the checkpoint.
    """

    def __init__(
        self,
        model: VAE,
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: dict[str, Any],
        config: dict[str, Any],
    ) -> None:
        super().__init__()
        self.model = model
        self.make_optimizer = optimizer
        self.scheduler = scheduler
        self.run_config = config
        self.averages = {"train": Averages(), "val": Averages(), "test": Averages()}
        self.metrics: dict[str, float] = {}  # of the validation, until the epoch ends
        self.reported: dict[str, float] = {}  # of the last whole epoch
        self._means: list[Tensor] = []
        self._noise: torch.Generator | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning notes the running hook dozens of times a step; nn.Module's way to set an attribute takes 10 us each
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def _generator(self, *key: int) -> torch.Generator:
        """Noise that depends on the seed and ``key`` alone: a resumed run draws what an uninterrupted one would."""
        if self._noise is None or self._noise.device != self.device:
            self._noise = torch.Generator(self.device)
        seed = self.run_config["seed"]
        for number in (*key, self.global_rank):
            seed = (seed * 0x9E3779B1 + number + 0x7F4A7C15) & 0xFFFFFFFF
        return self._noise.manual_seed(seed)

    @property
    def epoch(self) -> float:
        """Epochs done, as a float."""
        return self.trainer.global_step / max(1, int(self.trainer.num_training_batches))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        loss = self.model.loss(images, labels, self.epoch, self._generator(1, self.trainer.global_step))
        self.averages["train"].add(loss)
        return loss.loss

    def on_train_epoch_end(self) -> None:
        metrics = self.averages["train"].compute("train", self.trainer) | self.metrics
        self.metrics = {}
        metrics |= {"beta": self.model.beta.weight(self.epoch), "lr": self.trainer.optimizers[0].param_groups[0]["lr"]}
        self.reported = metrics
        self.log_dict(metrics, logger=False)
        for logger in self.loggers:
            # one record an epoch, instead of Lightning's two
            logger.log_metrics({"epoch": self.current_epoch + 1, **metrics}, step=self.trainer.global_step)

    def _evaluation_step(self, split: str, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        # the same noise every epoch: a difference between epochs is the model's
        loss = self.model.loss(images, labels, self.epoch, self._generator(2, batch_idx))
        self.averages[split].add(loss)
        self._means.append(loss.posterior.mean)

    def _evaluation_end(self, split: str) -> dict[str, float]:
        metrics = self.averages[split].compute(split, self.trainer)
        gathered = self.all_gather(torch.cat(self._means))
        assert isinstance(gathered, Tensor)
        means = gathered.flatten(0, -2)
        self._means.clear()
        metrics[f"{split}/active_units"] = float((means.double().var(0) > ACTIVE).sum())
        self.log_dict(metrics, logger=False)
        return metrics

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._evaluation_step("val", batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        self.metrics = self._evaluation_end("val")

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._evaluation_step("test", batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        metrics = self._evaluation_end("test")
        self.reported = self.reported | metrics
        for logger in self.loggers:
            logger.log_metrics(metrics, step=self.trainer.global_step)

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer(self.parameters())
        if self.scheduler.get("scheduler") is None:
            return optimizer
        make = self.scheduler["scheduler"]
        needs_length = "total_steps" in make.func.__init__.__code__.co_varnames
        length = {"total_steps": self._total_steps()} if needs_length else {}
        return {"optimizer": optimizer, "lr_scheduler": {**self.scheduler, "scheduler": make(optimizer, **length)}}

    def _total_steps(self) -> int:
        """Steps of the whole training.

        The trainer's own estimated_stepping_batches would set up the loaders before a resumed run has restored where
        in the epoch they were.
        """
        trainer = self.trainer
        if trainer.max_epochs is None or trainer.max_epochs < 0:
            raise UserError("trainer.max_epochs=-1: this scheduler needs an end; give a number or scheduler=none")
        batches, limit = len(trainer.datamodule.train_dataloader()), trainer.limit_train_batches  # type: ignore[attr-defined]
        batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
        steps = math.ceil(batches / trainer.accumulate_grad_batches) * trainer.max_epochs
        return max(1, steps if trainer.max_steps < 0 else min(steps, trainer.max_steps))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        facts = {"config": self.run_config, "classes": list(self.model.classes), "metrics": self.reported}
        checkpoint["ldg"] = {"version": VERSION, **facts}
        # a run stopped in mid-epoch goes on with the epoch's average so far
        checkpoint["ldg_averages"] = self.averages["train"].fold()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.averages["train"].sums = checkpoint["ldg_averages"]
        self.reported = checkpoint["ldg"]["metrics"]
        relocate(checkpoint, self.run_config["folder"])
