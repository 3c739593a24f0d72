"""Photographs of written letters, made of images of them: uneven light, a turned page, ruled paper and coloured ink."""

import numpy as np
from PIL import Image, ImageFilter

INK = {"black": (30, 30, 35), "blue": (40, 60, 150)}


def photograph(lines, ink="black", angle=0.0, is_ruled=False, light=0.0, noise=0.0, scale=4, seed=0):
    """A photograph of lines of images.

    Args:
        lines: images (H, W) in [0, 1], ink 1, None for a space
        ink: black or blue
        angle: by which the page is turned, in degrees
        is_ruled: whether the paper has lines
        light: how much darker the paper is on the right, as a share
        noise: standard deviation of the sensor's, in bytes
        scale: enlargement of the images
        seed: of the noise
    """
    step = 28 * scale
    height, width = int(1.5 * step * len(lines)) + step, max(map(len, lines)) * step + step
    page = np.zeros((height, width), np.float32)
    for row, line in enumerate(lines):
        for column, image in enumerate(line):
            if image is not None:
                large = Image.fromarray(np.round(255 * image).astype(np.uint8)).resize((step, step), Image.BICUBIC)
                top, left = step // 2 + int(1.5 * step * row), step // 2 + column * step
                page[top : top + step, left : left + step] = np.asarray(large) / 255
    paper = np.array([244, 240, 228.0])
    picture = np.broadcast_to(paper, (height, width, 3)).copy()
    if is_ruled:
        for top in range(step // 3, height, int(0.75 * step)):
            picture[top : top + max(2, scale // 2)] = (150, 180, 225)
    picture += page[..., None] * (np.array(INK[ink]) - picture)
    image = Image.fromarray(picture.astype(np.uint8))
    image = image.rotate(angle, Image.BICUBIC, expand=True, fillcolor=tuple(paper.astype(int)))
    image = image.filter(ImageFilter.GaussianBlur(scale / 5))
    shaded = np.asarray(image, np.float32) * (1 - light * np.linspace(0, 1, image.width)[None, :, None])
    shaded += noise * np.random.default_rng(seed).standard_normal(shaded.shape)
    return Image.fromarray(np.clip(shaded, 0, 255).astype(np.uint8))
