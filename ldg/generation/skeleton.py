"""The centre lines of a glyph's strokes, for a plotter: where a pen goes that is as wide as the strokes."""

import numpy as np

from ldg.generation import ink, outlines

SMOOTH = 14  # steps to either side, over which a line is averaged: pixels are no curve
TOLERANCE = 0.06  # between line and curve, pixels of an image of 28x28
SPUR = 0.8  # a branch that ends after so many widths of the stroke is no stroke
LOOK_BACK = 6  # pixels, from which the direction at a crossing is taken
BEND = np.cos(np.radians(60))  # of the sharpest turn a pen makes at a crossing

Pixel = tuple[int, int]
Graph = dict[Pixel, set[Pixel]]


def trace(image: np.ndarray, outline: ink.Outline) -> list[np.ndarray]:
    """Find the centre lines of the ink that :func:`ldg.generation.ink.render` draws.

    Args:
        image: Cleaned, (H, W).
        outline: Of the image.

    Returns:
        Paths of n cubic Bézier segments each, (n, 4, 2), in pixels of the image; closed where the last point is the
        first. A dot is a path of no length.
    """
    field, unit = ink.enlarged(image)
    drawn = field > outline.level
    graph = _graph(thin(drawn))
    _prune(graph, SPUR * ink.stroke_width(ink.contrast(field, outline.level)))
    scale = image.shape[0] / outlines.SIZE
    lines = [(np.array(line)[:, ::-1] + 0.5) * unit - 1 for line in _lines(graph)]
    dots = [line.mean(axis=0) for line in lines if len(line) < 3] + _vanished(image > outline.level, lines)
    smooth = [_smooth(line, outlines.STEP * scale) for line in lines if len(line) >= 3]
    return [*outlines.fit(smooth, TOLERANCE * scale), *(np.tile(dot, (1, 4, 1)) for dot in dots)]


def _vanished(drawn: np.ndarray, lines: list[np.ndarray]) -> list[np.ndarray]:
    """The middles of the blots of which thinning has left nothing, as of a round dot."""
    names = ink.blots(drawn)
    left = np.concatenate([np.zeros((0, 2)), *lines]).astype(int)
    columns, rows = np.clip(left, 0, np.array(drawn.shape)[::-1] - 1).T
    gone = set(np.unique(names).tolist()) - {0, *names[rows, columns].tolist()}
    return [np.argwhere(names == name).mean(axis=0)[::-1] + 0.5 for name in sorted(gone)]


def thin(ink: np.ndarray) -> np.ndarray:
    """Thin ink to lines one pixel wide (Zhang and Suen, Communications of the ACM, 1984).

    Args:
        ink: Boolean (H, W).

    Returns:
        Likewise.
    """
    lines = np.pad(ink, 1)
    while True:
        before = lines.sum()
        for first in (True, False):
            # from the north, clockwise
            n, ne, e, se, s, sw, w, nw = (
                np.roll(lines, shift, axis=(0, 1))
                for shift in ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))
            )
            ring = np.stack([n, ne, e, se, s, sw, w, nw])
            number = ring.sum(axis=0)
            rises = (~ring & np.roll(ring, -1, axis=0)).sum(axis=0)
            sides = ~(n & e & s) & ~(e & s & w) if first else ~(n & e & w) & ~(n & s & w)
            lines = lines & ~((number >= 2) & (number <= 6) & (rises == 1) & sides)
        if lines.sum() == before:
            return lines[1:-1, 1:-1]


def _graph(lines: np.ndarray) -> Graph:
    """The neighbours of each pixel; two that touch at a corner are none where a third one is beside both."""
    pixels: set[Pixel] = {(y, x) for y, x in np.argwhere(lines).tolist()}
    graph: Graph = {pixel: set() for pixel in pixels}
    for y, x in pixels:
        graph[y, x] |= {(y + dy, x + dx) for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))} & pixels
        for dy, dx in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            if (y + dy, x + dx) in pixels and not {(y + dy, x), (y, x + dx)} & pixels:
                graph[y, x].add((y + dy, x + dx))
    return graph


def _prune(graph: Graph, length: float) -> None:
    """Remove branches shorter than a length between an end and a crossing."""
    for end in [pixel for pixel, near in graph.items() if len(near) == 1]:
        branch, here = [end], end
        while len(graph[here] - set(branch)) == 1:
            (here,) = graph[here] - set(branch)
            if len(graph[here]) > 2:
                break
            branch.append(here)
        if len(graph[here]) > 2 and len(branch) < length:
            for pixel in branch:
                for other in graph.pop(pixel):
                    if other in graph:
                        graph[other].discard(pixel)


def _lines(graph: Graph) -> list[list[Pixel]]:
    """Lines that cover the graph once, as long and straight as they go. Takes its edges."""
    lines = [[pixel] for pixel, near in graph.items() if not near]
    # from the ends first, then from crossings; what is left are rings
    for start in sorted(graph, key=lambda pixel: (len(graph[pixel]) != 1, -len(graph[pixel]), pixel)):
        while graph[start]:
            line = [start]
            while following := _onward(graph, line):
                graph[line[-1]].discard(following)
                graph[following].discard(line[-1])
                line.append(following)
            lines.append(line)
    return lines


def _onward(graph: Graph, line: list[Pixel]) -> Pixel | None:
    """The neighbour of a line's last pixel at which a pen goes on; None where it would turn too far."""
    near = sorted(graph[line[-1]])
    if len(line) < 2:
        return next(iter(near), None)
    come = np.subtract(line[-1], line[-min(len(line), LOOK_BACK)])

    def straightness(pixel: Pixel) -> float:
        ahead, last = [line[-1], pixel], pixel
        while len(ahead) < LOOK_BACK and len(more := graph[last] - set(ahead)) == 1:
            (last,) = more
            ahead.append(last)
        go = np.subtract(ahead[-1], line[-1])
        return float(come @ go / (np.linalg.norm(come) * np.linalg.norm(go) or 1))

    best = max(near, key=straightness, default=None)
    crossing = len(near) > 1
    return best if best is not None and (not crossing or straightness(best) > BEND) else None


def _smooth(line: np.ndarray, step: float) -> np.ndarray:
    """A line at even steps, averaged along itself; its ends stay."""
    points = outlines.even_steps(line, step)
    closed = bool((points[0] == points[-1]).all())
    points = points[:-1] if closed else points
    smooth = _mean(points, closed)
    smooth += _mean(points - smooth, closed)  # bends that the mean had cut
    return np.concatenate([smooth, smooth[:1]]) if closed else smooth


def _mean(points: np.ndarray, closed: bool) -> np.ndarray:
    around = ((SMOOTH, SMOOTH), (0, 0))
    padded = np.pad(points, around, "wrap") if closed else np.pad(points, around, "reflect", reflect_type="odd")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * SMOOTH + 1, axis=0).mean(axis=2)
