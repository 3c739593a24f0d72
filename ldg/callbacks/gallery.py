"""The gallery: the same pictures of every model and data set, while it learns and at the end.

Each is a titled figure that goes to Weights & Biases and, as PNG, into the run folder, so that a run without network
is as easy to look at. All latents and images are chosen once, so that pictures of different epochs compare.
"""

from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from pydantic import PositiveInt
from pytorch_lightning.callbacks import WeightAveraging
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger
from torch import Tensor

from ldg.callbacks.latent_map import latent_map, manifold
from ldg.data.module import ImageDataModule
from ldg.errors import UserError
from ldg.generation import interpolate, sheets, writer
from ldg.generation.alphabet import is_written, parse
from ldg.models.vae import VAE, unit

TEXT = "Hello World 2468"
HANDS = 4  # renderings of the text, or rows of the class sheet
MOST_CLASSES = 12  # columns of a class sheet
PAIRS = 4  # interpolations
MAP_IMAGES = 2000
SHEET = 6 * MOST_CLASSES  # training images on the sheet of the data


class Gallery(pl.Callback):
    """Draws the model every ``every_n_epochs`` and at the end.

    ``folder/epoch_0003/NAME.png`` holds an epoch's pictures, ``folder/NAME.png`` the newest, ``folder/strings.gif`` the
    written text over the epochs, ``folder/data.png`` training images and, once all is done,
    ``folder/reconstructions_test.png`` what the best weights make of test images. ``text`` may be None: one that the
    classes can write is chosen then. ``images`` is the number of examples in a row.

    Raises:
        UserError: before training, if ``text`` has a character that no class stands for.
    """

    def __init__(
        self, folder: str, text: str | None = None, every_n_epochs: PositiveInt = 1, images: PositiveInt = 12
    ) -> None:
        self.folder = Path(folder)
        self.text = text
        self.every_n_epochs = every_n_epochs
        self.images = images
        self.epoch, self.is_drawn = 0, True  # the last one trained, and whether there are pictures of it

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        model: VAE = module.model  # type: ignore[assignment]
        if is_written(model.classes):
            self.text = self.text or writable(model.classes, TEXT)
            parse(self.text, model.classes)
        data: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]
        self.examples = {split: data.examples(split, self.images) for split in ("train", "val")}
        self.pairs = data.examples("test", 2 * PAIRS)
        self.mapped = data.examples("val", MAP_IMAGES)
        self.sheet = data.examples("train", SHEET)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        path = self.folder / "data.png"
        if trainer.is_global_zero and not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            figure, caption = _data_sheet(module.model, *self.sheet)  # type: ignore[arg-type]
            save(figure, caption, path)
            log_figure(trainer, "data", figure, caption, path)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.epoch, self.is_drawn = trainer.current_epoch + 1, False
        if self.epoch % self.every_n_epochs == 0:
            self._publish_once(trainer, module)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._publish_once(trainer, module)  # whatever ended it

    def _publish_once(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.is_global_zero and not self.is_drawn:
            self.publish(trainer, module, self.epoch)
        self.is_drawn = True

    def on_fit_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        frames = sorted(self.folder.glob("epoch_*/strings.png"))
        if trainer.is_global_zero and len(frames) > 1:
            first, *others = [Image.open(frame).convert("P", palette=Image.Palette.ADAPTIVE) for frame in frames]
            durations = [400] * len(others) + [2000]
            path = self.folder / "strings.gif"
            first.save(path, save_all=True, append_images=others, duration=durations, loop=0)
            for logger in trainer.loggers:
                if isinstance(logger, WandbLogger):
                    logger.log_video("gallery/strings_moving", [str(path)], step=trainer.global_step, format=["gif"])

    @torch.no_grad()
    def on_test_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            examples = trainer.datamodule.examples("test", self.images)  # type: ignore[attr-defined]
            figure, caption = _reconstructions(module.model, "test", *examples)  # type: ignore[arg-type]
            path = self.folder / "reconstructions_test.png"
            save(figure, caption, path)
            log_figure(trainer, "reconstructions_test", figure, caption, path)

    def publish(self, trainer: pl.Trainer, module: pl.LightningModule, epoch: int) -> None:
        """Draw every picture, save it, and hand it to the loggers that take pictures."""
        folder = self.folder / f"epoch_{epoch:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        module = averaged(trainer) or module  # what validation has judged
        training = module.training
        module.eval()
        for name, (figure, caption) in self.draw(module.model).items():  # type: ignore[arg-type]
            save(figure, f"{caption} – epoch {epoch}", folder / f"{name}.png")
            newest = self.folder / f"{name}.png"
            newest.write_bytes((folder / f"{name}.png").read_bytes())
            log_figure(trainer, name, figure, caption, folder / f"{name}.png")
        module.train(training)

    @torch.no_grad()
    def draw(self, model: VAE) -> dict[str, tuple[Figure, str]]:
        """Every picture this model can give, by name, with its caption."""
        device = next(model.parameters()).device
        images, labels = (x.to(device) for x in self.mapped)
        means = torch.cat([model.encode(i, c).mean for i, c in zip(images.split(500), labels.split(500), strict=True)])
        pictures = {
            f"reconstructions_{split}": _reconstructions(model, split, *self.examples[split]) for split in self.examples
        }
        pictures["strings"] = self._strings(model)
        pictures["interpolations"] = _between_images(model, *self.pairs)
        if model.conditioning != "none":
            pictures["interpolations_labels"] = _between_labels(model)
        pictures["latent_map"] = latent_map(means.cpu().numpy(), labels.cpu().numpy(), model.classes)
        if model.latent_dim == 2:
            pictures["manifold"] = manifold(model)
        return pictures

    def _strings(self, model: VAE) -> tuple[Figure, str]:
        if model.conditioning == "none":
            picture = writer.samples(model, HANDS, MOST_CLASSES, scale=_enlarged(model))
            return _figure(picture), "Samples from the prior"
        if not is_written(model.classes):
            return _class_sheet(model), "One style a row, one class a column"
        options = writer.Options(scale=3, width=0)
        lines = [writer.write(model, str(self.text), seed=seed, **vars(options)) for seed in range(HANDS)]
        return _figure(sheets.sheet(lines, columns=1, padding=24)), f"“{self.text}” in {HANDS} hands"


def averaged(trainer: pl.Trainer) -> pl.LightningModule | None:
    """The module with averaged weights, where a callback keeps one."""
    callback = next((c for c in trainer.callbacks if isinstance(c, WeightAveraging)), None)  # type: ignore[attr-defined]
    model = callback._average_model if callback else None
    return model.module if model else None  # type: ignore[return-value]


def writable(classes: tuple[str, ...], text: str) -> str:
    """``text``, or all the characters there are, where some of it has no class."""
    try:
        parse(text, classes)
    except UserError:
        return "".join(classes)
    return text


def _enlarged(model: VAE) -> int:
    return max(1, round(84 / model.image_shape[2]))


def _figure(picture: np.ndarray, width: float = 10.0) -> Figure:
    """A picture (H, W) or (H, W, 3) alone on a figure of its shape."""
    height = width * picture.shape[0] / picture.shape[1]
    figure = Figure(figsize=(width, height + 0.5), layout="constrained")
    _show(figure.subplots(), picture)
    return figure


def _show(axes: Axes, picture: np.ndarray) -> None:
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="equal")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _rows(rows: list[np.ndarray], names: list[str], columns: list[str] | None = None) -> Figure:
    """Rows of images, each (N, C, H, W) in [0, 1], with a name at the left of each and one above each column."""
    count, _, _, width = rows[0].shape
    picture = sheets.grid(np.concatenate(rows), count, padding=2, scale=max(1, round(84 / width)))
    figure = _figure(picture)
    axes = figure.axes[0]
    tick_y, tick_x = picture.shape[0] / len(rows), picture.shape[1] / count
    axes.set_yticks([tick_y * (i + 0.5) for i in range(len(rows))], names)
    axes.tick_params(length=0, labelsize=9)
    if columns:
        axes.xaxis.tick_top()
        longest = max(map(len, columns))
        rotation = 0 if longest <= 8 else 30
        figure.set_figheight(figure.get_figheight() + (0.2 if longest <= 8 else 0.05 * longest))
        axes.set_xticks(
            [tick_x * (i + 0.5) for i in range(count)],
            columns,
            rotation=rotation,
            ha="center" if rotation == 0 else "left",
        )
    return figure


def _data_sheet(model: VAE, images: Tensor, labels: Tensor) -> tuple[Figure, str]:
    columns = min(MOST_CLASSES, len(images))
    figure = _figure(sheets.grid(unit(images).numpy(), columns, scale=_enlarged(model)))
    return figure, f"Training images, {len(labels.unique())} of {model.num_classes} classes"


def _reconstructions(model: VAE, split: str, images: Tensor, labels: Tensor) -> tuple[Figure, str]:
    device = next(model.parameters()).device
    x = unit(images).to(device)
    back = model.reconstruct(x, labels.to(device))
    names = [model.classes[label] for label in labels.tolist()]
    figure = _rows([x.cpu().numpy(), back.cpu().numpy()], ["original", "posterior\nmean"], names)
    return figure, f"Reconstructions, {split} images"


def _between_images(model: VAE, images: Tensor, labels: Tensor) -> tuple[Figure, str]:
    device = next(model.parameters()).device
    x, y = unit(images).to(device), labels.to(device)
    rows = []
    for start in range(0, len(x) - 1, 2):
        frames = interpolate.between_images(model, x[start : start + 2], y[start : start + 2])
        rows.append(torch.cat([x[start : start + 1], frames, x[start + 1 : start + 2]]).cpu().numpy())
    percent = ["original", *(f"{100 * i / 9:.0f}%" for i in range(10)), "original"]
    return _rows(rows, [""] * len(rows), percent), "Interpolations between test images"


def _between_labels(model: VAE) -> tuple[Figure, str]:
    """Neighbouring classes of the list, each pair in a style of its own."""
    z = _styles(model, PAIRS)
    first = np.linspace(0, model.num_classes - 2, PAIRS).astype(int)
    rows = [interpolate.between_labels(model, z[i], int(a), int(a) + 1).cpu().numpy() for i, a in enumerate(first)]
    names = [f"{model.classes[a]} → {model.classes[a + 1]}" for a in first]
    return _rows(rows, names, [f"{100 * i / 9:.0f}%" for i in range(10)]), "From label to label at a fixed style"


def _class_sheet(model: VAE) -> Figure:
    chosen = np.unique(np.linspace(0, model.num_classes - 1, min(MOST_CLASSES, model.num_classes)).astype(int))
    labels = torch.from_numpy(chosen)
    z = _styles(model, HANDS)
    rows = [model.draw(z[i].expand(len(labels), -1), labels.to(z.device)).cpu().numpy() for i in range(HANDS)]
    return _rows(rows, [""] * HANDS, [model.classes[c] for c in chosen])


def _styles(model: VAE, count: int) -> Tensor:
    """The same noise (count, D) every time."""
    generator = torch.Generator().manual_seed(0)
    device = next(model.parameters()).device
    return writer.TEMPERATURE * torch.randn(count, model.latent_dim, generator=generator).to(device)


def save(figure: Figure, title: str, path: Path) -> None:
    """A titled figure as PNG."""
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=120)


def log_figure(trainer: pl.Trainer, name: str, figure: Figure, caption: str, path: Path) -> None:
    """Give a picture to all loggers that take pictures, in each one's way."""
    step = trainer.global_step
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(f"gallery/{name}", [str(path)], step=step, caption=[f"{caption}, step {step}"])
        elif isinstance(logger, TensorBoardLogger):
            logger.experiment.add_figure(f"gallery/{name}", figure, step)
