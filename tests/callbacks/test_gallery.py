"""The gallery: which pictures there are, what they show, and that it leaves the training alone."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from ldg.callbacks.gallery import HANDS, Gallery, _data_sheet
from ldg.callbacks.latent_map import latent_map, manifold, project
from ldg.data.strokes import Strokes
from ldg.errors import UserError
from ldg.generation import interpolate, sheets, writer
from ldg.models.vae import unit
from ldg.training.run import instantiate_data, make_module
from tests.data import made
from tests.runs import BARE, DENSE, STROKES, TINY, configured, rows, train, weights

ALWAYS = {"reconstructions_train", "reconstructions_val", "strings", "interpolations", "latent_map"}


def gallery_of(tmp_path, *overrides, **options):
    """A gallery that has chosen its images, and the untrained model it draws."""
    config = configured(*DENSE, *BARE, *overrides)
    data = instantiate_data(config)
    module = make_module(config, data.classes)
    gallery = Gallery(str(tmp_path / "gallery"), **options)
    gallery.on_fit_start(SimpleNamespace(datamodule=data), module)
    return gallery, module.model.eval()


def shown(figure):
    return np.asarray(figure.axes[0].images[0].get_array())


def words(figure):
    axes = figure.axes[0]
    return [t.get_text() for t in axes.get_xticklabels()], [t.get_text() for t in axes.get_yticklabels()]


@pytest.fixture
def fashion(tmp_path):
    for part in ("train", "t10k"):
        images = np.random.default_rng(0).integers(0, 256, (40, 28, 28))
        made.idx_pair(tmp_path / "data/FashionMNIST/raw", part, images, np.arange(40) % 10)
    return ["data=fashion_mnist", f"data.root={tmp_path}/data"]


def test_reconstructions_show_originals_above_posterior_means(tmp_path):
    gallery, model = gallery_of(tmp_path, *STROKES, images=5)
    for split in ("train", "val"):
        figure, caption = gallery.draw(model)[f"reconstructions_{split}"]
        images, labels = gallery.examples[split]
        with torch.no_grad():
            both = torch.cat([unit(images), model.reconstruct(images, labels)]).numpy()
        np.testing.assert_array_equal(shown(figure), sheets.grid(both, 5, padding=2, scale=3))
        assert words(figure) == ([model.classes[c] for c in labels], ["original", "posterior\nmean"])
        assert caption == f"Reconstructions, {split} images"


def test_strings_show_the_text_in_fixed_hands(tmp_path):
    gallery, model = gallery_of(tmp_path, *STROKES, text="Ab 3")
    figure, caption = gallery.draw(model)["strings"]
    lines = [writer.write(model, "Ab 3", seed=seed, scale=3, width=0) for seed in range(HANDS)]
    np.testing.assert_array_equal(shown(figure), sheets.sheet(lines, columns=1, padding=24))
    assert "Ab 3" in caption


def test_where_classes_are_words_strings_are_a_sheet_of_classes(tmp_path, fashion):
    gallery, model = gallery_of(tmp_path, *fashion)
    figure, _ = gallery.draw(model)["strings"]
    assert words(figure)[0] == list(model.classes)
    # one latent a row, one class a column
    z = writer.TEMPERATURE * torch.randn(HANDS, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        tiles = model.decode(z.repeat_interleave(10, 0), torch.arange(10).repeat(HANDS)).numpy()
    np.testing.assert_allclose(shown(figure), sheets.grid(tiles, 10, padding=2, scale=3), atol=1e-6)


def test_interpolations_go_from_one_test_image_to_the_other(tmp_path):
    gallery, model = gallery_of(tmp_path, *STROKES)
    figure, _ = gallery.draw(model)["interpolations"]
    images, labels = gallery.pairs
    with torch.no_grad():
        x = unit(images[:2])
        frames = torch.cat([x[:1], interpolate.between_images(model, x, labels[:2]), x[1:]]).numpy()
    first = sheets.grid(frames, 12, padding=2, scale=3)
    np.testing.assert_array_equal(shown(figure)[: first.shape[0] - 2], first[:-2])
    assert words(figure)[0] == ["original", "0%", *[f"{100 * i / 9:.0f}%" for i in range(1, 9)], "100%", "original"]


def test_label_interpolations_keep_the_style(tmp_path):
    gallery, model = gallery_of(tmp_path, *STROKES)
    figure, _ = gallery.draw(model)["interpolations_labels"]
    z = writer.TEMPERATURE * torch.randn(HANDS, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        frames = interpolate.between_labels(model, z[0], 0, 1).numpy()
    first = sheets.grid(frames, 10, padding=2, scale=3)
    np.testing.assert_array_equal(shown(figure)[: first.shape[0] - 2], first[:-2])
    assert words(figure)[1][0] == "0 → 1"


def test_without_labels_there_are_samples_and_no_label_interpolations(tmp_path):
    gallery, model = gallery_of(tmp_path, *STROKES, "conditioning=none")
    pictures = gallery.draw(model)
    assert pictures.keys() == ALWAYS
    figure, caption = pictures["strings"]
    assert caption == "Samples from the prior"
    np.testing.assert_array_equal(shown(figure), writer.samples(model, HANDS, 12, scale=3))


def test_a_two_dimensional_latent_space_is_mapped_directly_and_decoded_as_a_plane(tmp_path):
    gallery, model = gallery_of(tmp_path, *STROKES, "model.latent_dim=2", "conditioning=none")
    pictures = gallery.draw(model)
    assert pictures.keys() == ALWAYS | {"manifold"}
    assert pictures["latent_map"][1] == "Latent map"
    with torch.no_grad():
        posterior = model.encode(*gallery.mapped).mean.numpy()
    drawn = np.concatenate([np.asarray(part.get_offsets()) for part in pictures["latent_map"][0].axes[0].collections])
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(posterior, axis=0), atol=1e-6)

    picture = shown(manifold(model)[0])
    assert picture.shape == (30 * 28, 30 * 28)
    with torch.no_grad():  # ink on paper; z1 to the right, z2 upwards
        corner = model.decode(torch.tensor([[-4.0, 4.0], [4.0, -4.0]]))[:, 0].numpy()
    np.testing.assert_allclose(picture[:28, :28], 1 - corner[0], atol=1e-6)
    np.testing.assert_allclose(picture[-28:, -28:], 1 - corner[1], atol=1e-6)


def test_principal_components():
    """Points on a line in five dimensions: all variance lies in one component, at their distances along the line."""
    along = np.linspace(-1, 1, 7)
    points, share = project(along[:, None] * np.array([3.0, 0, 4, 0, 0]) + 7)
    np.testing.assert_allclose(np.abs(points[:, 0]), 5 * np.abs(along), atol=1e-12)
    np.testing.assert_allclose(points[:, 1], 0, atol=1e-12)
    assert share == pytest.approx(1)


@pytest.mark.parametrize(("dims", "classes"), [(1, 3), (2, 15), (5, 62)])
def test_the_latent_map_has_every_image_once(dims, classes):
    names = tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[:classes])
    labels = np.arange(124) % classes
    figure, _ = latent_map(np.random.default_rng(0).normal(size=(124, dims)), labels, names)
    groups = figure.axes[0].collections
    assert [len(group.get_offsets()) for group in groups] == np.bincount(labels).tolist()
    assert (figure.axes[0].get_legend() is not None) == (classes <= 20)


def test_pictures_of_different_epochs_compare(tmp_path):
    """A rate of next to nothing: what the epochs' pictures show is the same, though their titles are not."""
    overrides = [*STROKES, *DENSE, *BARE[:2], "trainer.max_epochs=2", "optimizer.lr=1e-12"]
    folder, _ = train(*overrides, f"outputs={tmp_path}")
    names = {file.name for file in (folder / "gallery/epoch_0001").iterdir()}
    assert names == {f"{name}.png" for name in ALWAYS | {"interpolations_labels"}}
    for name in names:
        first, second = (np.asarray(Image.open(folder / f"gallery/epoch_000{i}" / name)) for i in (1, 2))
        assert first.shape == second.shape
        assert (first[:24] != second[:24]).any()  # the title
        assert (first[30:] == second[30:]).mean() > 0.999
        assert (folder / "gallery" / name).read_bytes() == (folder / "gallery/epoch_0002" / name).read_bytes()
    with Image.open(folder / "gallery" / "strings.gif") as moving:
        assert moving.n_frames == 2


def test_the_data_are_shown_once(tmp_path):
    folder, _ = train(*TINY[:-1], "trainer.max_epochs=1", f"outputs={tmp_path}")
    sheet = np.asarray(Image.open(folder / "gallery" / "data.png").convert("L"))
    assert sheet.shape[1] == 1200 and (sheet < 128).mean() > 0.02
    assert "data.png" not in {file.name for file in (folder / "gallery" / "epoch_0001").iterdir()}
    config = configured(*TINY)
    figure, caption = _data_sheet(
        make_module(config, Strokes.classes).model, *instantiate_data(config).examples("train", 72)
    )
    images, _ = instantiate_data(config).examples("train", 72)
    np.testing.assert_array_equal(shown(figure), sheets.grid(unit(images).numpy(), 12, scale=3))
    assert caption == "Training images, 62 of 62 classes"


def test_it_draws_every_n_epochs_and_at_the_end(tmp_path):
    line = [*STROKES, *DENSE, *BARE[:2], "callbacks.gallery.every_n_epochs=2", "trainer.max_epochs=3"]
    folder, _ = train(*line, "trainer.limit_train_batches=1", f"outputs={tmp_path}")
    assert sorted(f.name for f in (folder / "gallery").glob("epoch_*")) == ["epoch_0002", "epoch_0003"]


def test_early_stopping_is_an_end_too(tmp_path):
    line = [*STROKES, *DENSE, *BARE[:2], "callbacks.gallery.every_n_epochs=100", "trainer.max_epochs=50"]
    line += ["+callbacks.early_stopping.min_delta=1e9", "callbacks.early_stopping.patience=1"]
    folder, summary = train(*line, "trainer.limit_train_batches=1", f"outputs={tmp_path}")
    assert summary["epochs"] == 2
    assert (folder / "gallery" / "epoch_0002" / "strings.png").exists()


def test_the_training_does_not_notice_it(tmp_path):
    line = [*STROKES, *DENSE, "trainer=cpu", "logger=csv", "trainer.max_epochs=2", f"outputs={tmp_path}"]
    (drawn, _), (bare, _) = train(*line), train(*line, "callbacks.gallery=null")
    assert (drawn / "metrics.csv").read_bytes() == (bare / "metrics.csv").read_bytes()
    assert all(torch.equal(a, b) for a, b in zip(weights(drawn).values(), weights(bare).values(), strict=True))
    assert len(rows(drawn)) == 2


def test_a_text_the_classes_cannot_write_is_refused_before_training(tmp_path):
    with pytest.raises(UserError, match="ä") as error:
        train(*TINY[:-1], "callbacks.gallery.text=Straße ä", f"outputs={tmp_path}")
    assert "ß" in str(error.value) and "ä" in str(error.value)
    assert not list(tmp_path.glob("*/*"))
