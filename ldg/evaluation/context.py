"""What a measure works with: a trained model, its data, a judge, and noise."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from ldg import checkpoint
from ldg.data.dataset import progress
from ldg.data.splits import ImageSplits
from ldg.errors import UserError
from ldg.models.classifier import Classifier
from ldg.models.vae import VAE

BATCH = 500
T = TypeVar("T")


class Skipped(Exception):
    """The reason why a measure does not apply to a model."""


class EvaluationContext:
    """A trained model and what its measures need; data and judge are made when a measure first uses them.

    All noise comes from ``seed`` and is drawn on the CPU, separately for each purpose, so that no result depends on
    which other measures ran, nor, up to rounding, on the device. What several measures need is computed once. On a CPU
    model and judge keep their maps channels last, which is faster there.

    Args:
        model: on the device that everything is computed on
        seed: of all noise, 0 to 2**63 - 2
        data: the images; None: those of the model's config, which are never downloaded
        judge: a classifier of real images; None: the one that ``find_judge`` returns
        find_judge: takes the model and the images
    """

    def __init__(
        self,
        model: VAE,
        seed: int = 0,
        data: ImageSplits | None = None,
        judge: Classifier | None = None,
        find_judge: Callable[[VAE, ImageSplits], Classifier] | None = None,
    ) -> None:
        self.device = model.device
        self.model = self._prepare(model)
        self.seed = seed
        self._data = data
        self._judge = judge
        self._find_judge = find_judge
        self._results: dict[str, Any] = {}

    def _prepare(self, model: T) -> T:
        """A network in eval mode on this device, in the layout that is fastest there."""
        layout = torch.channels_last if self.device.type == "cpu" else torch.preserve_format
        return model.to(self.device, memory_format=layout).eval()  # type: ignore[attr-defined]

    def once(self, name: str, compute: Callable[[], T]) -> T:
        """What several measures need, computed for the first of them.

        Args:
            name: of the result, which with the context determines it
            compute: returns it

        Returns:
            The result.
        """
        if name not in self._results:
            self._results[name] = compute()
        return self._results[name]

    @cached_property
    def data(self) -> ImageSplits:
        """The data.

        Raises:
            Skipped: if the data set is not on this machine.
        """
        if self._data is not None:
            return self._data
        try:
            data = checkpoint.load_data(self.model)
            data.prepare_data()
        except UserError as error:
            raise Skipped(f"needs the data set: {error}") from None
        return data

    @cached_property
    def judge(self) -> Classifier:
        """The classifier of this data set's images, on the model's device.

        Raises:
            Skipped: if there is none, or a single class.
        """
        if self._judge is not None:
            return self._prepare(self._judge)
        if self._find_judge is None:
            raise Skipped("needs a judge")
        if self.model.num_classes == 1:
            raise Skipped("needs a judge, which tells classes apart: there is one")
        return self._prepare(self._find_judge(self.model, self.data))

    @property
    def is_conditional(self) -> bool:
        """Whether the model takes labels."""
        return self.model.conditioning != "none"

    def require_labels(self) -> None:
        """Refuse a model that cannot generate a requested class.

        Raises:
            Skipped: for ``conditioning=none``.
        """
        if not self.is_conditional:
            raise Skipped("the model was trained without labels (conditioning=none): it cannot generate a given class")

    def generator(self, purpose: str) -> torch.Generator:
        """A random number generator on the CPU, seeded by the context's seed and a purpose."""
        return torch.Generator().manual_seed((self.seed * 0x9E3779B1 + zlib.crc32(purpose.encode())) % 2**64)

    def images(self, split: str, count: int | None = None) -> tuple[Tensor, Tensor]:
        """Images and labels of a split.

        Args:
            split: ``train``, ``val`` or ``test``
            count: how many, chosen at random; None: all

        Returns:
            uint8 images (N, C, H, W) and labels (N,), on the CPU.

        Raises:
            Skipped: if the split is empty.
        """
        chosen = self.choose(split, count)
        if not len(chosen):
            raise Skipped(f"there is no {split} image")
        return getattr(self.data, split)[chosen]

    def choose(self, split: str, count: int | None = None) -> Tensor:
        """Indices of images in a split.

        Args:
            split: ``train``, ``val`` or ``test``
            count: how many, chosen at random; None: all

        Returns:
            int64 (N,), ascending.
        """
        total = len(getattr(self.data, split))
        if count is None or count >= total:
            return torch.arange(total)
        return torch.randperm(total, generator=self.generator(f"some of {split}"))[:count].sort().values

    @torch.no_grad()
    def sample(self, labels: Tensor, purpose: str, temperature: float = 1.0) -> Iterator[Tensor]:
        """Generate images of given classes from the prior.

        Args:
            labels: classes (N,)
            purpose: of the noise, see :meth:`generator`
            temperature: factor of the prior's standard deviation

        Yields:
            Batches of images, float (B, C, H, W) in [0, 1], on the CPU.
        """
        generator = self.generator(purpose)
        for batch in labels.split(BATCH):
            yield self.model.sample(batch, temperature, generator).cpu()

    @torch.no_grad()
    def features(self, batches: Iterable[Tensor], total: int, what: str, extract: Callable[[Tensor], Tensor]) -> Tensor:
        """Features of images.

        Args:
            batches: of images (B, C, H, W)
            total: number of all images
            what: text of the progress bar
            extract: turns a batch into features (B, F)

        Returns:
            Features (N, F) on the CPU.
        """
        features = []
        with progress(total, what) as bar:
            for batch in batches:
                features.append(extract(batch.to(self.device)).cpu())
                bar.update(len(batch))
        return torch.cat(features)

    @cached_property
    def test_features(self) -> Tensor:
        """The judge's features of all test images, (N, F) on the CPU."""
        images, _ = self.images("test")
        return self.features(images.split(BATCH), len(images), "features of test images", self.judge.features)


def batches(
    model: VAE, images: Tensor, labels: Tensor, what: str, size: int = BATCH
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images and labels in batches on a model's device, with a progress bar.

    Args:
        model: whose device they are moved to
        images: (N, C, H, W)
        labels: (N,)
        what: text of the progress bar
        size: images per batch

    Yields:
        Images (B, C, H, W) and labels (B,).
    """
    with progress(len(images), what) as bar:
        for x, c in zip(images.split(size), labels.split(size), strict=True):
            yield x.to(model.device), c.to(model.device)
            bar.update(len(x))
