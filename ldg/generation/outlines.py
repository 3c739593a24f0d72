"""The outline of a glyph's ink as smooth closed curves: cubic Béziers, as SVG, PDF and fonts have them.

The contour of the smooth field at the ink's level is found to a fraction of a pixel, and fitted by few curves
(Schneider, "An Algorithm for Automatically Fitting Digitized Curves", Graphics Gems, 1990), all curves of a glyph at
once.
"""

import itertools
from collections.abc import Sequence

import contourpy
import numpy as np

from ldg.generation import ink

# Lengths are pixels of an image of 28x28, and grow with the image.
SIZE = 28
STEP = 0.125  # between the points of a contour
TOLERANCE = 0.03  # between contour and curve; 0.15 pixels at scale 5
BLUR = 0.7  # standard deviation of the smoothing along a contour: waves shorter than about three pixels go
WAVE = 0.05  # their height, at most
SPECK = 0.5  # an area smaller than this is no ink, or no hole
REACH = 6  # steps to either side, over which a contour's direction is taken
CORNER = np.cos(np.radians(60))  # of the angle by which it turns there, at a corner
FITS = 3  # of a curve, each to better places of its points along it
SPLITS = 12  # of a curve that does not fit; by then it is a few steps long


def trace(image: np.ndarray, outline: ink.Outline) -> list[np.ndarray]:
    """Find the outline of the ink that :func:`ldg.generation.ink.render` draws.

    Args:
        image: Cleaned, (H, W).
        outline: Of the image.

    Returns:
        Closed paths of n cubic Bézier segments each, (n, 4, 2): x to the right and y downwards, in pixels of the image.
        As seen, outer paths run clockwise and holes counterclockwise.
    """
    (paths,) = trace_all([image], [outline])
    return paths


def trace_all(images: Sequence[np.ndarray], outlines: Sequence[ink.Outline]) -> list[list[np.ndarray]]:
    """Find the outlines of many glyphs, which takes less time at once.

    Args:
        images: N cleaned ones of one size, (H, W).
        outlines: Of the images, N.

    Returns:
        N lists of paths, each as :func:`trace` returns it.
    """
    paths, ends = [], [0]
    for image, outline in zip(images, outlines, strict=True):
        scale = image.shape[0] / SIZE
        contours = [path for path in _contours(image, outline.level) if abs(_area(path)) >= SPECK * scale**2]
        paths += [_smooth(even_steps(path, STEP * scale), scale) for path in contours]
        ends.append(len(paths))
    fitted = fit(paths, TOLERANCE * scale) if paths else []
    return [fitted[start:stop] for start, stop in itertools.pairwise(ends)]


def _contours(image: np.ndarray, level: float) -> list[np.ndarray]:
    """Closed polygons (n, 2), the last point being the first."""
    field, unit = ink.enlarged(image)
    rows, columns = ((np.arange(size) + 0.5) * unit - 1 for size in field.shape)
    return list(map(np.asarray, contourpy.contour_generator(columns, rows, field).lines(level)))


def _area(path: np.ndarray) -> float:
    x, y = path.T
    return float(x[:-1] @ y[1:] - x[1:] @ y[:-1]) / 2


def even_steps(path: np.ndarray, step: float) -> np.ndarray:
    """Points (n, 2) at equal distances along a polygon (m, 2), about ``step``, from its first point to its last."""
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    at = np.linspace(0, along[-1], max(12, round(along[-1] / step)) + 1)
    return np.stack([np.interp(at, along, values) for values in path.T], axis=1)


def _smooth(path: np.ndarray, scale: float) -> np.ndarray:
    """A closed path of even steps without the waves that the pixels leave; it moves by no more than WAVE."""
    rough = path[:-1] @ (1, 1j)
    length = np.abs(np.diff(path @ (1, 1j))).sum()
    gaussian = np.exp(-2 * (np.pi * BLUR * scale * np.fft.fftfreq(len(rough), 1 / len(rough)) / length) ** 2)
    # a Gaussian alone would shrink the ends of strokes, too
    change = np.fft.ifft(np.fft.fft(rough) * gaussian * (2 - gaussian)) - rough
    smooth = rough + change * np.minimum(1, WAVE * scale / np.maximum(np.abs(change), 1e-9))
    return np.stack([smooth.real, smooth.imag], axis=1)[[*range(len(smooth)), 0]]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def fit(paths: list[np.ndarray], tolerance: float) -> list[np.ndarray]:
    """Fit cubic Béziers to paths; where two of them meet the path is smooth, but not at its corners.

    Args:
        paths: Points (m, 2) each, at even steps; closed where the last one is the first.
        tolerance: How far points may be from the curves.

    Returns:
        n segments for each path, (n, 4, 2).
    """
    if not paths:
        return []
    turned, incoming, outgoing, knots_of, ends = [], [], [], [], [0]
    for path in paths:
        closed = bool((path[0] == path[-1]).all())
        ring = path[:-1] if closed else path
        places = np.arange(len(ring))

        def near(steps: int, places: np.ndarray = places, closed: bool = closed) -> np.ndarray:
            return (places + steps) % len(places) if closed else np.clip(places + steps, 0, places[-1])

        before, after = _unit(ring - ring[near(-REACH)]), _unit(ring[near(REACH)] - ring)
        if not closed:
            before[0], after[-1] = after[0], before[-1]
        straight = (before * after).sum(axis=1)
        nearby = np.min([straight[near(steps)] for steps in range(-REACH, REACH + 1)], axis=0)
        corner = (straight < CORNER) & (straight == nearby)
        along = _unit(before + after)
        before, after = np.where(corner[:, None], before, along), np.where(corner[:, None], after, along)
        # knots: the corners, and where the path is farthest to a side
        is_knot = corner | (np.round(along * np.roll(along, -1, axis=0), 6) < 0).any(axis=1)
        start = int(np.argmax(is_knot)) if closed else 0
        is_knot[start] = True
        order = np.append(np.roll(places, -start), start) if closed else places
        turned.append(ring[order])
        incoming.append(before[order])
        outgoing.append(after[order])
        knots_of.append(np.append(np.flatnonzero(is_knot[order[:-1]]), len(order) - 1) + ends[-1])
        ends.append(ends[-1] + len(order))
    points, arriving, leaving, knots = map(np.concatenate, (turned, incoming, outgoing, knots_of))
    inside = ~np.isin(knots[1:], ends)  # from the end of a path to the start of the next there is no curve
    starts, stops = knots[:-1][inside], knots[1:][inside]
    fitted, firsts = [], []
    for left in reversed(range(SPLITS)):
        curves, worst, where = _fit_curves(points, leaving, arriving, starts, stops)
        split = (worst > tolerance) & (stops - starts > 3) & (left > 0)
        fitted.append(curves[~split])
        firsts.append(starts[~split])
        if not split.any():
            break
        where = np.clip(where, starts + 1, stops - 1)[split]
        starts, stops = np.append(starts[split], where), np.append(where, stops[split])
    first = np.concatenate(firsts)
    order = np.argsort(first)
    return np.split(np.concatenate(fitted)[order], np.searchsorted(first[order], ends[1:-1]))


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", a, b)


def _fit_curves(
    points: np.ndarray, leaving: np.ndarray, arriving: np.ndarray, starts: np.ndarray, stops: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The curves with given ends and directions there that are nearest to the points between, by least squares.

    Returns them with the greatest distance of a point to each, and which point that is.
    """
    counts = stops - starts + 1
    firsts = np.cumsum(counts) - counts
    which = np.repeat(np.arange(len(counts)), counts)
    index = np.arange(counts.sum()) - firsts[which] + starts[which]
    target = points[index]
    first, last, leave, arrive = points[starts], points[stops], leaving[starts], -arriving[stops]
    u = (index - starts[which]) / (stops - starts)[which]
    chord = np.linalg.norm(last - first, axis=1)
    for _ in range(FITS):
        basis = np.stack([(1 - u) ** 3, 3 * u * (1 - u) ** 2, 3 * u**2 * (1 - u), u**3])
        ends_only = (basis[0] + basis[1])[:, None] * first[which] + (basis[2] + basis[3])[:, None] * last[which]
        rest = target - ends_only
        a, b = basis[1][:, None] * leave[which], basis[2][:, None] * arrive[which]
        products = np.stack([_dot(a, a), _dot(a, b), _dot(b, b), _dot(a, rest), _dot(b, rest)])
        aa, ab, bb, ar, br = np.add.reduceat(products, firsts, axis=1)
        determinant = aa * bb - ab * ab
        safe = np.where(determinant > 1e-9, determinant, 1)
        reach = np.stack([ar * bb - br * ab, aa * br - ab * ar], axis=1) / safe[:, None]
        good = (determinant > 1e-9) & (reach > 0.05 * chord[:, None]).all(axis=1)
        reach = np.where(good[:, None], reach, chord[:, None] / 3)
        curves = np.stack([first, first + reach[:, :1] * leave, last + reach[:, 1:] * arrive, last], axis=1)
        # one step of Newton's towards the nearest point of the curve
        place = np.einsum("kn,nkd->nd", basis, curves[which])
        speed = 3 * np.diff(curves, axis=1)
        turn = 2 * np.diff(speed, axis=1)
        quadratic = np.stack([(1 - u) ** 2, 2 * u * (1 - u), u**2])
        velocity = np.einsum("kn,nkd->nd", quadratic, speed[which])
        acceleration = np.einsum("kn,nkd->nd", np.stack([1 - u, u]), turn[which])
        away = place - target
        slope = _dot(velocity, velocity) + _dot(away, acceleration)
        u = np.clip(u - _dot(away, velocity) / np.where(slope > 1e-9, slope, np.inf), 0, 1)
    distance = np.sqrt(_dot(away, away))
    worst = np.maximum.reduceat(distance, firsts)
    at = np.flatnonzero(distance == worst[which])
    return curves, worst, index[at[np.searchsorted(which[at], np.arange(len(counts)))]]
