"""A net's inputs, [n, ...]: a tensor, or photographs, which are too many for memory. Here alone is it known which.

`len`, `x[rows]`, `.to(device)`, `.shape` and `.split(size)` are of both, and so are `augmented`, `pixels` and `joined`.
"""

import math
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image

from kdlib.augment import augment
from kdlib.catalog import PHOTO
from kdlib.data.readers import opened


class Photos:
    """JPEG files that stand for inputs [n, 3, 224, 224]: a part of them (`x[rows]`) is Photos again, `pixels` decodes
    them with as many threads as there are cores.

    They look as they do in testing or, where `crops` [n, 5] has random numbers for each, as in training.
    """

    side, ndim = PHOTO.shape[1], 4

    def __init__(self, files, device="cpu", crops: torch.Tensor | None = None):
        self.files, self.device, self.crops = np.asarray(files, dtype=str), torch.device(device), crops

    def __len__(self):
        return len(self.files)

    @property
    def shape(self):
        """Of the pixels: [n, 3, 224, 224]."""
        return torch.Size((len(self), 3, self.side, self.side))

    def numel(self):
        """How many numbers the pixels are."""
        return self.shape.numel()

    def __getitem__(self, rows):
        rows = torch.arange(len(self))[rows.cpu() if isinstance(rows, torch.Tensor) else rows].reshape(-1)
        return Photos(self.files[rows.numpy()], self.device, None if self.crops is None else self.crops[rows])

    def to(self, device):
        """The same, decoded onto another device."""
        return Photos(self.files, device, self.crops)

    def cropped(self, draws: torch.Generator) -> "Photos":
        """Each with a random crop and flip. All is drawn here, so that threads may decode in any order."""
        return Photos(self.files, self.device, torch.rand(len(self), 5, generator=draws))

    def pixels(self, part: slice = slice(None)) -> torch.Tensor:
        """float [n, 3, 224, 224] in [0, 1], on the device; black outside of `part`, which is not decoded."""
        images = np.zeros((len(self), self.side, self.side, 3), np.uint8)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for i, image in zip(range(len(self))[part], pool.map(self._decode, range(len(self))[part]), strict=True):
                images[i] = image
        return torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2).float() / 255

    def split(self, size: int):
        """The pixels [size, 3, 224, 224] of so many photos after another."""
        return (self[i : i + size].pixels() for i in range(0, len(self), size))

    def _decode(self, i):
        image = opened(self.files[i], self.files[i], ("JPEG", "PNG"))
        *place, flip = (0.0,) * 5 if self.crops is None else self.crops[i].tolist()
        box = _centre(*image.size) if self.crops is None else _crop(*image.size, *place)
        pixels = np.asarray(image.resize((self.side,) * 2, Image.Resampling.BILINEAR, box))
        return pixels[:, ::-1] if flip > 0.5 else pixels


def _centre(width, height):
    """The middle 224 of 256 of the shorter side."""
    side = min(width, height) * 224 / 256
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _crop(width, height, area, aspect, left, top):
    """A box of 8 to 100 % of the area, its sides 3:4 to 4:3, from numbers in [0, 1]; cut where it does not fit."""
    area, aspect = (0.08 + 0.92 * area) * width * height, math.exp((2 * aspect - 1) * math.log(4 / 3))
    w, h = min(width, math.sqrt(area * aspect)), min(height, math.sqrt(area / aspect))
    left, top = left * (width - w), top * (height - h)
    return left, top, left + w, top + h


def pixels(x: torch.Tensor | Photos, part: slice = slice(None)) -> torch.Tensor:
    """A batch [n, ...] as a net takes it: a tensor as it is, Photos decoded, and black outside of `part`. DataError
    names a photograph that cannot be read."""
    return x.pixels(part) if isinstance(x, Photos) else x


def augmented(x: torch.Tensor | Photos, policy: str, draws: torch.Generator, pool=None):
    """`augment.augment`; of photographs, which have the baseline alone, what their crops and flips will be."""
    return x.cropped(draws) if isinstance(x, Photos) else augment(x, policy, draws, pool)


def joined(*parts):
    """Inputs one after another."""
    if isinstance(parts[0], Photos):
        return Photos(np.concatenate([part.files for part in parts]), parts[0].device)
    return torch.cat(parts)
