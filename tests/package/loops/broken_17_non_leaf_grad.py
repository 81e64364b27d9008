"""Its author believed that `backward()` leaves a gradient in every tensor it passes through."""

import warnings

import torch
from torch import nn

from tests.package.loops import Tracing


def broken(trace: Tracing) -> list[object]:
    x, y = torch.randn(8, 4), torch.randint(0, 3, (8,))
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    seen: list[object] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says so, and nobody reads it
        with trace(net, optimizer):
            for _ in range(4):
                optimizer.zero_grad()
                outputs = net(x)
                loss = nn.functional.cross_entropy(outputs, y)
                loss.backward()
                seen.append(outputs.grad)  # <- non-leaf-grad
                optimizer.step()
    return seen


def repaired(trace: Tracing) -> list[object]:
    x, y = torch.randn(8, 4), torch.randint(0, 3, (8,))
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    seen: list[object] = []
    with trace(net, optimizer):
        for _ in range(4):
            optimizer.zero_grad()
            outputs = net(x)
            outputs.retain_grad()
            loss = nn.functional.cross_entropy(outputs, y)
            loss.backward()
            seen.append(outputs.grad)
            optimizer.step()
    return seen


def broken_saliency(trace: Tracing) -> list[object]:
    """The image was scaled after `requires_grad_`, so the scaled one is a result, not a leaf."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    pixels = torch.randint(0, 256, (4, 1, 3, 3)).float()
    labels = torch.tensor([0, 1, 1, 0])
    saliency: list[object] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with trace(model, optimizer):
            for _epoch in range(4):
                images = pixels.clone().requires_grad_() / 255
                loss = nn.functional.cross_entropy(model(images), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                gradient = images.grad  # <- non-leaf-grad
                saliency.append(gradient)
    return saliency


def repaired_saliency(trace: Tracing) -> list[object]:
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    pixels = torch.randint(0, 256, (4, 1, 3, 3)).float()
    labels = torch.tensor([0, 1, 1, 0])
    saliency: list[object] = []
    with trace(model, optimizer):
        for _epoch in range(4):
            images = (pixels / 255).requires_grad_()
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            gradient = images.grad
            saliency.append(gradient)
    return saliency
