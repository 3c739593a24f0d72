"""The data module: splits, shapes, batches, and a training run that is stopped and resumed anywhere."""

from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint

from ldg.data.dataset import Dataset
from ldg.data.module import ImageDataModule
from ldg.errors import UserError


class Numbered(Dataset):
    """Image i is filled with i; its label is i modulo 3."""

    classes = ("a", "b", "c")

    def __init__(self, size: int = 60) -> None:
        self.size = size

    def read(self, split, sources):
        numbers = np.arange(self.size) + (100 if split == "test" else 0)
        yield np.broadcast_to(numbers[:, None, None, None], (self.size, 1, 4, 2)), numbers % 3


@pytest.fixture
def module(tmp_path):
    def build(**arguments):
        defaults = {"image_shape": (1, 4, 2), "num_classes": 3, "batch_size": 8, "cache": str(tmp_path / "cache")}
        return ImageDataModule(Numbered(), **{**defaults, **arguments})

    return build


def test_splits(module):
    data = module(val_fraction=0.2)
    train, val = data.train.indices.tolist(), data.val.indices.tolist()
    assert sorted(train + val) == list(range(60))
    assert torch.bincount(data.val.labels).tolist() == [4, 4, 4]
    assert module(val_fraction=0.2, seed=5).val.indices.tolist() == val
    assert module(val_fraction=0.2, val_seed=5).val.indices.tolist() != val
    assert len(data.test) == 60 and data.test[torch.tensor([0])][0].unique().tolist() == [100]
    assert data.train.images is data.val.images  # one array for both


def test_batches(module):
    data = module()
    loader = data.train_dataloader()
    batches = list(loader)
    assert len(batches) == len(loader) == 7
    images, labels = batches[0]
    assert images.shape == (8, 1, 4, 2) and images.dtype == torch.uint8
    assert labels.shape == (8,) and labels.dtype == torch.int64
    for images, labels in batches:
        assert torch.equal(images[:, 0, 0, 0] % 3, labels)
    seen = torch.cat([images[:, 0, 0, 0] for images, _ in batches])
    assert sorted(seen.tolist()) == sorted(data.train.indices.tolist())
    assert [labels.tolist() for _, labels in data.val_dataloader()] == [data.val.labels.tolist()]


@pytest.mark.parametrize(("balance", "share"), [(0.0, 0.1), (1.0, 0.5)])
def test_balance_makes_classes_as_frequent_as_it_states(balance, share, tmp_path):
    class Rare(Numbered):
        def read(self, split, sources):
            images, _ = next(super().read(split, sources))
            yield images % 256, (np.arange(self.size) % 10 == 0).astype(int)

    data = ImageDataModule(
        Rare(2000), (1, 4, 2), 3, batch_size=100, cache=str(tmp_path), val_fraction=0.5, balance=balance
    )
    labels = torch.cat([labels for _, labels in data.train_dataloader()])
    assert len(labels) == 1000 and float((labels == 1).float().mean()) == pytest.approx(share, abs=0.08)
    assert float((data.val.labels == 1).float().mean()) == pytest.approx(0.1)  # validation and test stay as they are


def test_examples(module):
    images, labels = module().examples("val", 5)
    assert labels.tolist() == [0, 1, 2, 0, 1] and images.shape == (5, 1, 4, 2)
    assert torch.equal(module(seed=9).examples("val", 5)[0], images)


def test_disagreement_is_an_error(module):
    with pytest.raises(UserError, match=r"data\.num_classes: 4, but Numbered has 3 classes"):
        module(num_classes=4)
    with pytest.raises(UserError, match=r"data\.image_shape: \[1, 4, 4\], but Numbered has \[1, 4, 2\]"):
        module(image_shape=(1, 4, 4)).prepare_data()


def test_each_image_array_is_moved_to_a_cuda_device_once(module, monkeypatch):
    there = []

    def move(tensor, device):
        if tensor.ndim < 4 or any(tensor is other for other in there):
            return tensor
        there.append(tensor.clone())
        return there[-1]

    monkeypatch.setattr(torch.Tensor, "to", move)
    data = module()
    strategy = SimpleNamespace(root_device=torch.device("cuda", 0))
    data.trainer = SimpleNamespace(strategy=strategy, global_rank=0, world_size=1)
    loaders = [data.train_dataloader(), data.val_dataloader(), data.test_dataloader(), data.train_dataloader()]
    train, val, test, again = (loader.dataset.images for loader in loaders)
    assert train is val is again and test is not train and len(there) == 2
    assert torch.equal(train, data.train.images) and torch.equal(test, data.test.images)
    other = data.with_training_images(255 - data.train.images)
    assert torch.equal(other.train_dataloader().dataset.images, other.train.images)
    assert data.train_dataloader().dataset.images is train


class Line(pl.LightningModule):
    """A weight that depends on every batch and on their order, and a record of what was seen."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def training_step(self, batch, batch_index):
        numbers = batch[0][:, 0, 0, 0]
        self.seen.append((self.current_epoch, batch_index, numbers.tolist()))
        return (self.weight - numbers.float().mean()) ** 2

    def validation_step(self, batch, batch_index):
        self.log("val/loss", self.weight)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.1)


def fit(module, folder, callbacks=(), resume=None, **arguments):
    model = Line()
    trainer = pl.Trainer(
        default_root_dir=folder,
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=bool(callbacks) and isinstance(callbacks[0], ModelCheckpoint),
        callbacks=list(callbacks),
        **arguments,
    )
    trainer.fit(model, datamodule=module(), ckpt_path=resume, weights_only=resume is not None)
    return model


@pytest.mark.filterwarnings("ignore")
def test_resumed_at_every_step_it_goes_on_exactly(module, tmp_path):
    every = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=1, save_top_k=-1)
    whole = fit(module, tmp_path, [every])
    assert len(whole.seen) == 21
    assert len({str([numbers for epoch, _, numbers in whole.seen if epoch == e]) for e in range(3)}) == 3  # reshuffled
    for step in (1, 3, 7, 8, 13, 14, 20):
        resumed = fit(module, tmp_path, resume=tmp_path / f"step={step}.ckpt")
        assert resumed.seen == whole.seen[step:], step
        assert torch.equal(resumed.weight, whole.weight), step


@pytest.mark.filterwarnings("ignore")
def test_resumed_from_the_end_of_an_epoch(module, tmp_path):
    every = ModelCheckpoint(tmp_path, "{epoch}", every_n_epochs=1, save_top_k=-1)
    whole = fit(module, tmp_path, [every])
    resumed = fit(module, tmp_path, resume=tmp_path / "epoch=0.ckpt")
    assert resumed.seen == whole.seen[7:] and torch.equal(resumed.weight, whole.weight)


class Interrupt(Callback):
    """Fails after a batch was fetched and before it is trained on, and saves, as a run stopped by hand does."""

    def __init__(self, path, step):
        self.path, self.step = path, step

    def on_train_batch_start(self, trainer, model, batch, batch_index):
        if trainer.global_step == self.step:
            raise RuntimeError("stop")

    def on_exception(self, trainer, model, exception):
        trainer.save_checkpoint(self.path)


@pytest.mark.filterwarnings("ignore")
def test_a_batch_that_was_fetched_but_not_trained_on_is_not_lost(module, tmp_path):
    whole = fit(module, tmp_path)
    with pytest.raises(RuntimeError, match="stop"):
        fit(module, tmp_path, [Interrupt(tmp_path / "stopped.ckpt", 10)])
    resumed = fit(module, tmp_path, resume=tmp_path / "stopped.ckpt")
    assert resumed.seen == whole.seen[10:] and torch.equal(resumed.weight, whole.weight)


@pytest.mark.filterwarnings("ignore")
def test_overfit_batches_is_refused_with_what_works_instead(module, tmp_path):
    with pytest.raises(UserError, match=r"data\.shuffle=false"):
        fit(module, tmp_path, overfit_batches=1)


def test_no_warning_about_workers(module, tmp_path, recwarn):
    fit(module, tmp_path)
    assert not [warning for warning in recwarn if "workers" in str(warning.message)]
