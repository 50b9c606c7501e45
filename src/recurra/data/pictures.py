"""Features of pictures, worked out by hand: a grid of colours and of the directions of edges."""

from pathlib import Path

import numpy as np

from recurra.data.errors import DataError

ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")
CELLS, SIDE, BINS = 6, 96, 9  # cells each way, pixels each way that a picture is squeezed to, directions of edges
WIDTH = 6 + BINS


def pictures_at(path: Path) -> list[Path]:
    """The picture, or those in a folder, in the order of their names; none where it is neither."""
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    return [one for one in inside if one.suffix.lower() in ENDINGS]


def picture_features(path: Path) -> np.ndarray:
    """The features of a picture, float32 [36, 15]: 6 by 6 cells, row by row.

    The picture is squeezed to 96 by 96 pixels. Of each cell: the mean of red, green and blue (0 to 1), their standard
    deviations, and how much of its edges runs in each of 9 directions, without a sense: a histogram of the gradient's
    angle in grey, weighted by its size and brought to the length 1 (Dalal & Triggs 2005).

    Raises:
        DataError: the file is missing or no picture, or the package Pillow is not installed.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise DataError(
            f"{path} cannot be read: pictures need the package Pillow; install it with pip install 'recurra[pictures]'"
        ) from None
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB").resize((SIDE, SIDE)), dtype=np.float32) / 255
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{path} cannot be read as a picture ({error}); save it anew, as .jpg or .png") from error
    down, across = np.gradient(pixels.mean(2))
    size, angle = np.hypot(down, across), np.arctan2(down, across) % np.pi
    direction = np.minimum((angle / np.pi * BINS).astype(int), BINS - 1)
    edges = np.stack([np.where(direction == k, size, 0.0) for k in range(BINS)], 2)
    colours, edges = _cells(pixels), _cells(edges).sum(1)
    length = np.linalg.norm(edges, axis=1, keepdims=True)
    edges = edges / np.where(length > 0, length, 1.0)
    return np.concatenate([colours.mean(1), colours.std(1), edges], 1).astype(np.float32)


def _cells(values: np.ndarray) -> np.ndarray:
    """[96, 96, C] as [36, 256, C]: the pixels of each cell."""
    side = SIDE // CELLS
    cut = values.reshape(CELLS, side, CELLS, side, -1).swapaxes(1, 2)
    return cut.reshape(CELLS * CELLS, side * side, -1)
