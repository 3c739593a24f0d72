import torch

from ldg.models.augmentation import AffineAugmentation


def test_without_strength_images_are_kept_or_mirrored():
    x = torch.rand(64, 1, 8, 8)
    (same, _), (mirrored, _) = AffineAugmentation(0.0)(x), AffineAugmentation(0.0, mirror=True)(x)
    torch.testing.assert_close(same, x)
    flipped, kept = (torch.isclose(mirrored, expected, atol=1e-5).flatten(1).all(1) for expected in (x.flip(3), x))
    assert flipped.any() and kept.any() and (flipped ^ kept).all()


def test_half_of_the_images_are_left_sharp():
    x = torch.rand(400, 1, 8, 8)
    moved, change = AffineAugmentation(1.0)(x)
    kept = torch.isclose(moved, x, atol=1e-5).flatten(1).all(1)
    assert 150 < kept.sum() < 250
    assert torch.equal(kept, (change == 0).all(1)) and change.abs().max() <= 1
