"""What is measured: a model, the data it belongs to, and a judge; each is found when a measure first asks for it."""

import os
import zlib
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ldg import checkpoint
from ldg.data.module import ImageDataModule
from ldg.errors import UserError
from ldg.models.classifier import Classifier
from ldg.models.vae import VAE

BATCH = 500


class Skipped(Exception):
    """Why a measure does not apply to a subject."""


class Subject:
    """A trained ``model`` and what its measures need.

    ``data`` and ``judge`` may be given; otherwise they are made when a measure first asks for them, the data from the
    model's own config (never downloaded), the judge by ``find_judge`` from the data. All randomness comes from
    ``seed``, and anew for each purpose, so that no measure depends on which others ran.
    """

    def __init__(
        self,
        model: VAE,
        seed: int = 0,
        data: ImageDataModule | None = None,
        judge: Classifier | None = None,
        find_judge: Callable[[ImageDataModule, dict[str, Any]], Classifier] | None = None,
    ) -> None:
        self.model = model.eval()
        self.seed = seed
        self._data = data
        self._judge = judge
        self._find_judge = find_judge

    @cached_property
    def data(self) -> ImageDataModule:
        if self._data is not None:
            return self._data
        try:
            data = data_of(self.model)
            data.prepare_data()
        except UserError as error:
            raise Skipped(f"needs the data set: {error}") from None
        return data

    @cached_property
    def judge(self) -> Classifier:
        """The network that reads images of this data set."""
        if self._judge is not None:
            return self._judge.eval()
        if self._find_judge is None:
            raise Skipped("needs a judge")
        return self._find_judge(self.data, data_config(self.model)).eval()

    @property
    def is_conditional(self) -> bool:
        return self.model.conditioning != "none"

    def require_labels(self) -> None:
        """Raises Skipped for a model that cannot be asked for a class."""
        if not self.is_conditional:
            raise Skipped("the model was trained without labels (conditioning=none): it cannot be asked for a class")

    def generator(self, purpose: str) -> torch.Generator:
        """Noise of the seed and a purpose."""
        return torch.Generator().manual_seed(self.seed * 0x9E3779B1 + zlib.crc32(purpose.encode()))

    def images(self, split: str, count: int | None = None) -> tuple[Tensor, Tensor]:
        """uint8 images (N, C, H, W) and labels (N,) of a split: all, or so many chosen at random."""
        return getattr(self.data, split)[self.chosen(split, count)]

    def chosen(self, split: str, count: int | None = None) -> Tensor:
        """The places (N,) in a split of all its images, or of so many chosen at random."""
        total = len(getattr(self.data, split))
        if count is None or count >= total:
            return torch.arange(total)
        return torch.randperm(total, generator=self.generator(f"some of {split}"))[:count].sort().values

    @torch.no_grad()
    def draw(self, labels: Tensor, purpose: str, temperature: float = 1.0) -> Iterator[Tensor]:
        """Images of these classes (N,) from the prior, in batches of float (B, C, H, W) in [0, 1]."""
        generator = self.generator(purpose)
        for some in labels.split(BATCH):
            yield self.model.sample(some, temperature, generator)

    @torch.no_grad()
    def features(self, batches: Iterator[Tensor], total: int, what: str) -> Tensor:
        """The judge's features (N, F) of images."""
        bar = progress(total, what)
        found = []
        for batch in batches:
            found.append(self.judge.features(batch))
            bar.update(len(batch))
        bar.close()
        return torch.cat(found)

    @cached_property
    def test_features(self) -> Tensor:
        """The judge's features (N, F) of all test images."""
        images, _ = self.images("test")
        return self.features(iter(images.split(BATCH)), len(images), "reading test images")


def data_config(model: VAE) -> dict[str, Any]:
    """The ``data`` part of the config a model was trained with, looking where the data are now and without network.

    Raises:
        UserError: if the checkpoint names none.
    """
    config = dict(model.config.get("data") or {})
    if "dataset" not in config:
        raise UserError("the checkpoint names no data set")
    config["download"] = False
    for key, variable in (("root", "LDG_DATA"), ("cache", "LDG_CACHE")):
        config[key] = os.environ.get(variable) or config.get(key)  # the checkpoint may come from another machine
    return {key: value for key, value in config.items() if key != "root" or value is not None}


def data_of(model: VAE) -> ImageDataModule:
    """The data module a model was trained with."""
    return checkpoint.build(data_config(model))


def progress(total: int, what: str) -> Any:
    """A bar over ``total`` images, silent where there is no terminal."""
    return tqdm(total=total, desc=what, unit=" images", unit_scale=True, delay=1, disable=None, leave=False)
