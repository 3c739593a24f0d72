import numpy as np
import pytest

from ldg.generation.morph import morph
from ldg.generation.writer import Options, write


def cropped(picture):
    rows, columns = np.flatnonzero(picture.min(axis=1) < 1), np.flatnonzero(picture.min(axis=0) < 1)
    return picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


@pytest.mark.parametrize("layout", ["baseline", "tiles"])
@pytest.mark.parametrize(("text", "to"), [("Hello", "gyp"), ("Hi", "a b\ncd"), ("one", "two")])
def test_the_ends_are_the_two_texts(model, layout, text, to):
    frames = morph(model, text, to, frames=3, seed=7, options=Options(scale=2, layout=layout))
    assert len({frame.shape for frame in frames}) == 1 and len(frames) == 3
    for frame, end in (
        (frames[0], write(model, text, seed=7, scale=2, layout=layout)),
        (frames[-1], write(model, to, seed=8, scale=2, layout=layout)),
    ):
        np.testing.assert_array_equal(cropped(frame), cropped(end))


def test_what_only_one_text_has_fades(model):
    frames = morph(model, "HH", "H", frames=5, options=Options(scale=2, temperature=0))
    right = [1 - frame[:, frame.shape[1] // 2 + 4 :].min() for frame in frames]
    assert right == pytest.approx([1, 0.75, 0.5, 0.25, 0])


def test_heights_grow_from_one_character_to_the_other(model):
    frames = morph(model, "x", "H", frames=3, options=Options(scale=5, temperature=0))
    heights = [(frame.min(axis=1) < 0.5).sum() for frame in frames]
    assert heights == [64, 82, 100]


def test_two_styles_of_one_text(model):
    frames = morph(model, "Hello", "Hello", frames=4, options=Options(temperature=1))
    latents = [z[0] for z in model.batches]
    assert len(frames) == 4
    assert len({tuple(z.tolist()) for z in latents}) == 4  # of the two ends, and of the two frames between


def test_named_classes(dogs):
    frames = morph(dogs, "pug", "Chihuahua, Shih-Tzu", frames=4, options=Options(scale=1, temperature=0))
    assert {frame.shape for frame in frames} == {frames[0].shape} and frames[0].shape[2] == 3
    ink = [1 - frame[8:40, frame.shape[1] // 2 :].mean() for frame in frames]  # Shih-Tzu, white frame on black
    assert ink[0] == 0 and ink[1] == pytest.approx(ink[3] / 3, rel=0.01)
