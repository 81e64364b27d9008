"""Their authors believed that only a list of tensors keeps graphs, and only after the step."""

from collections import defaultdict, deque
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


class Meter:
    def __init__(self) -> None:
        self.sum: float | Tensor = 0.0
        self.seen: list[Tensor] = []

    def update(self, value: Tensor) -> None:
        self.sum += value

    def note(self, value: Tensor) -> None:
        self.seen.append(value)


@dataclass
class Log:
    by_name: dict[str, list[Tensor]] = field(default_factory=lambda: {"loss": []})
    latest: deque[Tensor] = field(default_factory=deque)


def broken_dict_of_lists(trace: Tracing) -> object:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    history = defaultdict(list)
    with trace(net, optimizer):
        for x, y in classes(3):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            history["loss"].append(loss)  # <- graph-kept
            loss.backward()
            optimizer.step()
    return history


def repaired_dict_of_lists(trace: Tracing) -> object:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    history = defaultdict(list)
    with trace(net, optimizer):
        for x, y in classes(3):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            history["loss"].append(loss.detach())
            loss.backward()
            optimizer.step()
    return history


def broken_by_number(trace: Tracing) -> object:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    outputs = {}
    with trace(net, optimizer):
        for i, (x, y) in enumerate(classes(4)):
            optimizer.zero_grad()
            logits = net(x)
            F.cross_entropy(logits, y).backward()
            optimizer.step()
            outputs[i] = (logits, y)  # <- graph-kept
    return outputs


def repaired_by_number(trace: Tracing) -> object:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    outputs = {}
    with trace(net, optimizer):
        for i, (x, y) in enumerate(classes(4)):
            optimizer.zero_grad()
            logits = net(x)
            F.cross_entropy(logits, y).backward()
            optimizer.step()
            outputs[i] = (logits.detach(), y)
    return outputs


def broken_of_dicts(trace: Tracing) -> object:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    records = []
    with trace(net, optimizer):
        for x, y in classes(3):
            losses = {"ce": F.cross_entropy(net(x), y), "rate": torch.tensor(0.1)}
            records.append(losses)  # <- graph-kept
            optimizer.zero_grad()
            losses["ce"].backward()
            optimizer.step()
    return records


def repaired_of_dicts(trace: Tracing) -> object:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    records = []
    with trace(net, optimizer):
        for x, y in classes(3):
            losses = {"ce": F.cross_entropy(net(x), y), "rate": torch.tensor(0.1)}
            records.append({name: float(one) for name, one in losses.items()})
            optimizer.zero_grad()
            losses["ce"].backward()
            optimizer.step()
    return records


def broken_totals(trace: Tracing) -> object:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    totals = dict.fromkeys(("ce", "l2"), 0.0)
    with trace(net, optimizer):
        for x, y in classes(3):
            logits = net(x)
            parts = {"ce": F.cross_entropy(logits, y), "l2": logits.square().mean()}
            optimizer.zero_grad()
            (parts["ce"] + parts["l2"]).backward()
            optimizer.step()
            for name, part in parts.items():
                totals[name] += part  # <- graph-kept
    return totals


def repaired_totals(trace: Tracing) -> object:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    totals = dict.fromkeys(("ce", "l2"), 0.0)
    with trace(net, optimizer):
        for x, y in classes(3):
            logits = net(x)
            parts = {"ce": F.cross_entropy(logits, y), "l2": logits.square().mean()}
            optimizer.zero_grad()
            (parts["ce"] + parts["l2"]).backward()
            optimizer.step()
            for name, part in parts.items():
                totals[name] += part.item()
    return totals


def broken_meters(trace: Tracing) -> object:
    net, meter = mlp(), Meter()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            meter.update(loss)  # <- graph-kept
    return meter


def repaired_meters(trace: Tracing) -> object:
    net, meter = mlp(), Meter()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            meter.update(loss.detach())
    return meter


def broken_meters_followed(trace: Tracing) -> object:
    """The line inside is to blame, and it alone."""
    net, meter = mlp(), Meter()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def note(loss: Tensor) -> None:
        meter.seen.append(loss)  # <- graph-kept

    with trace(net, optimizer, into=[note, Meter.note]):
        for x, y in classes(4):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            note(loss)
    return meter


def repaired_meters_followed(trace: Tracing) -> object:
    net, meter = mlp(), Meter()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def note(loss: Tensor) -> None:
        meter.seen.append(loss.detach())

    with trace(net, optimizer, into=[note, Meter.note]):
        for x, y in classes(4):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            note(loss)
    return meter


def broken_dataclass(trace: Tracing) -> object:
    net, log = mlp(), Log()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            log.latest.appendleft(loss)  # <- graph-kept
            loss.backward()
            optimizer.step()
            log.by_name["loss"] += [loss]  # <- graph-kept
    return log


def repaired_dataclass(trace: Tracing) -> object:
    net, log = mlp(), Log()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            log.latest.appendleft(loss.detach())
            loss.backward()
            optimizer.step()
            log.by_name["loss"] += [loss.detach()]
    return log


def broken_in_a_module(trace: Tracing) -> None:
    """The lines to blame stand in a method of the network."""

    class Task(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp()
            self.smooth = torch.zeros(())
            self.steps: list[list[Tensor]] = [[]]

        def training_step(self, x: Tensor, y: Tensor) -> Tensor:
            loss = F.cross_entropy(self.net(x), y)
            self.smooth = torch.lerp(self.smooth, loss, 0.1)  # <- graph-kept
            self.steps[-1].append(loss)  # <- graph-kept
            return loss

    task, batches = Task(), classes(3)
    optimizer = torch.optim.SGD(task.parameters(), lr=0.1)
    with trace(task, optimizer, into=[Task.training_step]):
        for x, y in batches:
            loss = task.training_step(x, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def repaired_in_a_module(trace: Tracing) -> None:
    class Task(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp()
            self.smooth = torch.zeros(())
            self.steps: list[list[Tensor]] = [[]]

        def training_step(self, x: Tensor, y: Tensor) -> Tensor:
            loss = F.cross_entropy(self.net(x), y)
            self.smooth = torch.lerp(self.smooth, loss.detach(), 0.1)
            self.steps[-1].append(loss.detach())
            return loss

    task, batches = Task(), classes(3)
    optimizer = torch.optim.SGD(task.parameters(), lr=0.1)
    with trace(task, optimizer, into=[Task.training_step]):
        for x, y in batches:
            loss = task.training_step(x, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_all_outputs(trace: Tracing) -> object:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    everything = torch.empty(0, 3)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            logits = net(x)
            F.cross_entropy(logits, y).backward()
            optimizer.step()
            everything = torch.cat([everything, logits])  # <- graph-kept
    return everything


def repaired_all_outputs(trace: Tracing) -> object:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    everything = torch.empty(0, 3)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            logits = net(x)
            F.cross_entropy(logits, y).backward()
            optimizer.step()
            everything = torch.cat([everything, logits.detach()])
    return everything


def broken_before_backward(trace: Tracing) -> object:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    total: float | Tensor = 0
    with trace(net, optimizer):
        for x, y in classes(3):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            total += loss  # <- graph-kept
            loss.backward()
            optimizer.step()
    return total


def repaired_before_backward(trace: Tracing) -> object:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    total: float | Tensor = 0
    with trace(net, optimizer):
        for x, y in classes(3):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            total += loss.item()
            loss.backward()
            optimizer.step()
    return total


def broken_in_a_logger(trace: Tracing) -> object:
    """One line is to blame, though others stand around it, and call it."""

    class Logger:
        def __init__(self) -> None:
            self.parts: dict[str, float | Tensor] = {"loss": 0.0, "n": 0}

        def log(self, value: Tensor) -> None:
            self.parts["loss"] += value  # <- graph-kept
            self.parts["n"] += 1

    net, logger = mlp(), Logger()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer, into=[Logger.log]):
        for x, y in classes(3):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            logger.log(loss)
            loss.backward()
            optimizer.step()
    return logger


def repaired_in_a_logger(trace: Tracing) -> object:
    class Logger:
        def __init__(self) -> None:
            self.parts: dict[str, float | Tensor] = {"loss": 0.0, "n": 0}

        def log(self, value: Tensor) -> None:
            self.parts["loss"] += value.item()
            self.parts["n"] += 1

    net, logger = mlp(), Logger()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer, into=[Logger.log]):
        for x, y in classes(3):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            logger.log(loss)
            loss.backward()
            optimizer.step()
    return logger
