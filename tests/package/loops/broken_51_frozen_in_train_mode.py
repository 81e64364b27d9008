"""Its author believed that a network without `requires_grad` gives the same outputs each time."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes


def network(width: int, n_out: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(4, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.3),
        nn.Linear(width, n_out),
    )  # fmt: skip


def distilled(student: Tensor, teacher: Tensor) -> Tensor:
    return F.kl_div(student.log_softmax(1), teacher.softmax(1), reduction="batchmean")


def broken(trace: Tracing) -> None:
    teacher, student = network(16), network(8)
    for p in teacher.parameters():
        p.requires_grad_(False)
    optimizer = torch.optim.Adam(student.parameters(), lr=0.01)
    with trace(student, teacher, optimizer):
        for x, y in classes(4):
            soft = teacher(x)  # <- frozen-in-train-mode
            outputs = student(x)
            loss = F.cross_entropy(outputs, y) + distilled(outputs, soft)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired(trace: Tracing) -> None:
    teacher, student = network(16), network(8)
    teacher.eval()
    for p in teacher.parameters():
        p.requires_grad_(False)
    optimizer = torch.optim.Adam(student.parameters(), lr=0.01)
    with trace(student, teacher, optimizer):
        for x, y in classes(4):
            soft = teacher(x)
            outputs = student(x)
            loss = F.cross_entropy(outputs, y) + distilled(outputs, soft)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_features(trace: Tracing) -> None:
    """A feature extractor of its own, under no_grad; its statistics learn all the same."""
    backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8)).requires_grad_(False)
    head = nn.Linear(8, 3)
    opt = torch.optim.SGD(head.parameters(), lr=0.1)
    with trace(backbone, head, opt):
        for x, y in classes(4):
            with torch.no_grad():
                features = backbone(x)  # <- frozen-in-train-mode
            opt.zero_grad()
            F.cross_entropy(head(features), y).backward()
            opt.step()


def repaired_features(trace: Tracing) -> None:
    backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8)).requires_grad_(False).eval()
    head = nn.Linear(8, 3)
    opt = torch.optim.SGD(head.parameters(), lr=0.1)
    with trace(backbone, head, opt):
        for x, y in classes(4):
            with torch.no_grad():
                features = backbone(x)
            opt.zero_grad()
            F.cross_entropy(head(features), y).backward()
            opt.step()


def broken_woken(trace: Tracing) -> None:
    """It was in eval mode, until the loop woke both."""
    nets = nn.ModuleDict({"teacher": network(16), "student": network(8)})
    teacher, student = nets["teacher"].eval().requires_grad_(False), nets["student"]
    optimizer = torch.optim.Adam(student.parameters(), lr=0.01)
    with trace(teacher, student, optimizer):
        for x, _ in classes(4):
            nets.train()
            with torch.no_grad():
                soft = teacher(x)  # <- frozen-in-train-mode
            loss = distilled(student(x), soft)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_woken(trace: Tracing) -> None:
    nets = nn.ModuleDict({"teacher": network(16), "student": network(8)})
    teacher, student = nets["teacher"].eval().requires_grad_(False), nets["student"]
    optimizer = torch.optim.Adam(student.parameters(), lr=0.01)
    with trace(teacher, student, optimizer):
        for x, _ in classes(4):
            student.train()
            with torch.no_grad():
                soft = teacher(x)
            loss = distilled(student(x), soft)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
