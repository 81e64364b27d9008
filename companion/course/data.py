"""Real images that fit `Net`: digits that need no download, and CIFAR-10, the tutorial's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from companion.course.extras import require

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10

HELD_OUT = 360  # of 1797 images, the last ones: a fifth


class Digits(Dataset[tuple[Tensor, int]]):
    """Handwritten digits as (image, label) pairs; made by `digits`.

    Attributes:
        images: (N, 3, 32, 32) float32 in [-1, 1].
        targets: (N,) int64 in 0..9.
        classes: The ten names, "0" to "9".
    """

    def __init__(self, images: Tensor, targets: Tensor) -> None:
        self.images = images
        self.targets = targets
        self.classes = [str(digit) for digit in range(10)]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], int(self.targets[index])


def digits(*, train: bool = True) -> Digits:
    """Real handwritten digits from scikit-learn, in the shape that `Net` takes. No download.

    The 8×8 grey images are resized to 32×32, repeated to three channels and scaled to [-1, 1] by
    torchvision's transforms. The split keeps the order of the set: the first 1437 images are for
    training, the last 360 for testing.

    Args:
        train: True for the training images, False for the test images.

    Returns:
        A `torch.utils.data.Dataset` of (image, label) pairs with `.classes`.

    Raises:
        ImportError: If scikit-learn or torchvision is missing; both come with the extra "data".

    Example:
        >>> image, label = digits()[0]
        >>> image.shape, label
        (torch.Size([3, 32, 32]), 0)
        >>> len(digits()), len(digits(train=False))
        (1437, 360)

    Source:
        Alpaydin, Kaynak: Optical recognition of handwritten digits, UCI Machine Learning
        Repository, 1998 (https://doi.org/10.24432/C50P49), through
        `sklearn.datasets.load_digits`.
    """
    datasets = require("sklearn.datasets", extra="data", purpose="digits()")
    prepare = _prepare(purpose="digits()", resize=True)
    bunch = datasets.load_digits()  # grey levels 0..16
    part = slice(None, -HELD_OUT) if train else slice(-HELD_OUT, None)
    images = [prepare(image) for image in (bunch.images[part] / 16).astype("float32")]
    return Digits(torch.stack(images), torch.from_numpy(bunch.target[part]).long())


def cifar10(root: str | os.PathLike[str], *, train: bool = True, download: bool = False) -> CIFAR10:
    """CIFAR-10, the data of PyTorch's tutorial, through torchvision, scaled to [-1, 1].

    Args:
        root: The folder that holds, or will hold, the folder `cifar-10-batches-py`.
        train: True for the 50 000 training images, False for the 10 000 test images.
        download: Fetch the files (about 170 MB) when they are not there. Off by default.

    Returns:
        `torchvision.datasets.CIFAR10`: (image, label) pairs, images (3, 32, 32) float32.

    Raises:
        ImportError: If torchvision is missing; it comes with the extra "data".
        FileNotFoundError: If the files are not under `root` and `download` is False.

    Example:
        >>> cifar10("no/such/folder")
        Traceback (most recent call last):
        ...
        FileNotFoundError: no complete CIFAR-10 under 'no/such/folder'; fetch it with
        cifar10('no/such/folder', download=True), or use digits(), which needs no download

    Source:
        Krizhevsky: Learning multiple layers of features from tiny images, 2009
        (https://www.cs.toronto.edu/~kriz/cifar.html).
    """
    datasets = require("torchvision.datasets", extra="data", purpose="cifar10()")
    prepare = _prepare(purpose="cifar10()", resize=False)
    try:
        return datasets.CIFAR10(root, train=train, transform=prepare, download=download)
    except RuntimeError as error:
        if download or "not found or corrupted" not in str(error):
            raise
        name = os.fspath(root)
        raise FileNotFoundError(
            f"no complete CIFAR-10 under {name!r}; fetch it with cifar10({name!r}, download=True), "
            "or use digits(), which needs no download"
        ) from None


def _prepare(*, purpose: str, resize: bool) -> Any:
    """The tutorial's transform: to a tensor, then from [0, 1] to [-1, 1]."""
    transforms = require("torchvision.transforms", extra="data", purpose=purpose)
    to_net = [transforms.Resize(32, antialias=True), transforms.Lambda(_three_channels)]
    return transforms.Compose(
        [
            transforms.ToTensor(),
            *(to_net if resize else []),
            transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ]
    )


def _three_channels(grey: Tensor) -> Tensor:
    return grey.expand(3, -1, -1)  # (3, H, W)
