"""The course's network and its images."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from companion import Net, cifar10, digits


def test_net_has_the_tutorials_sizes() -> None:
    shapes = {name: tuple(p.shape) for name, p in Net().named_parameters() if "weight" in name}
    assert shapes == {
        "conv1.weight": (6, 3, 5, 5),
        "conv2.weight": (16, 6, 5, 5),
        "fc1.weight": (120, 400),
        "fc2.weight": (84, 120),
        "fc3.weight": (10, 84),
    }
    assert sum(p.numel() for p in Net().parameters()) == 62_006
    assert Net(num_classes=3)(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


def test_digits_fit_the_net() -> None:
    train, test = digits(), digits(train=False)
    assert isinstance(train, Dataset)
    assert (len(train), len(test)) == (1437, 360)
    assert train.classes == [str(digit) for digit in range(10)]
    images, labels = next(iter(DataLoader(train, batch_size=4)))
    assert images.shape == (4, 3, 32, 32)
    assert images.dtype == torch.float32
    assert labels.tolist() == [0, 1, 2, 3]
    assert labels.dtype == torch.int64
    assert Net()(images).shape == (4, 10)
    assert train.images.min() == -1
    assert train.images.max() == 1


def test_digits_are_real_the_same_each_time_and_apart() -> None:
    train, test = digits(), digits(train=False)
    assert torch.equal(train.images, digits().images)
    assert set(test.targets.tolist()) == set(range(10))
    assert torch.equal(train.images[:, 0], train.images[:, 2])  # grey, three times
    assert not any(torch.equal(train.images[-1], image) for image in test.images)


def test_cifar10_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no complete CIFAR-10 under") as caught:
        cifar10(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "download=True" in str(caught.value)
    assert "digits()" in str(caught.value)


def test_cifar10_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision's own loader reads files of CIFAR-10's format; only their checksums are ours."""
    from torchvision.datasets import CIFAR10

    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (4, 3072), dtype=np.uint8)

    def write(name: str, content: object) -> str:
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    batch = {"data": images, "labels": [3, 1, 4, 1]}
    names = [f"class {i}" for i in range(10)]
    monkeypatch.setattr(CIFAR10, "train_list", [["data_batch_1", write("data_batch_1", batch)]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", write("test_batch", batch)]])
    meta = {**CIFAR10.meta, "md5": write("batches.meta", {"label_names": names})}
    monkeypatch.setattr(CIFAR10, "meta", meta)

    for train in True, False:
        dataset = cifar10(tmp_path, train=train)
        assert dataset.classes == names
        image, label = dataset[0]
        assert label == 3
        assert image.shape == (3, 32, 32)
        expected = torch.from_numpy(images[0]).view(3, 32, 32) / 255 * 2 - 1
        assert torch.allclose(image, expected, atol=1e-6)
