"""A user's script that uses every public name: it runs, and the strictest type checkers pass it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

import companion
from companion import (
    SGD,
    Adam,
    AdamW,
    Event,
    Finding,
    LineRecord,
    Net,
    Reading,
    State,
    Trace,
    Value,
    cifar10,
    course_style,
    digits,
    gradient_sums,
    parameter_sums,
    trace,
)

net = Net()
optimizer = SGD(net.parameters(), lr=0.01, momentum=0.9)
others = [Adam(net.parameters(), lr=0.001), AdamW(net.parameters(), lr=0.001)]
criterion = nn.CrossEntropyLoss()
scaler = torch.amp.GradScaler(enabled=False)


@trace(net, optimizer)
def step(inputs: Tensor, labels: Tensor, *, scale: float = 1.0) -> float:
    """A decorated function keeps its arguments and its result, and has a trace."""
    optimizer.zero_grad()
    loss: Tensor = criterion(net(inputs), labels)
    torch.autograd.backward(loss * scale)
    optimizer.step()
    return loss.item()


class Trainer:
    """A decorated method binds as any other."""

    @trace({"net": net, "sgd": optimizer}, every=2, steps=None, state=True)
    def fit(self, batches: list[Tensor], epochs: int = 1) -> int:
        """Train."""
        for inputs in batches * epochs:
            self.train(inputs)
        return len(batches)

    def train(self, inputs: Tensor) -> None:
        """Train with a batch."""
        optimizer.zero_grad()
        outputs: Tensor = net(inputs)
        torch.autograd.backward(outputs.mean())
        optimizer.step()


def told(routine: Trace) -> list[str]:
    """Everything that a trace holds."""
    words = [str(routine), repr(routine), routine.network, *routine.unwatched, *routine.guard]
    for record in routine.records:
        words += seen(record)
    for finding in routine.diagnose():
        words += found(finding)
    words += [str(row["source"]) for row in routine.to_rows()]
    return words


def seen(record: LineRecord) -> list[str]:
    """What a line did."""
    state: State = record.after
    events: tuple[Event, ...] = record.events
    values: tuple[Value, ...] = record.values
    readings: list[Reading] = [one for one in state.parameters.values() if one is not None]
    numbers = [value.number for value in values if value.number is not None]
    rates = [rate for rates in state.learning_rates.values() for rate in rates]
    norms = [reading.norm for reading in readings]
    return [record.source, *(event.kind for event in events), *map(str, [*numbers, *rates, *norms])]


def found(finding: Finding) -> list[str]:
    """What a finding says."""
    return [finding.rule, finding.cure, finding.settle or "", str(finding.certain), str(finding)]


def views(routine: Trace, folder: Path) -> None:
    """What can be made of a trace."""
    routine.save(folder / "run.json")
    Trace.load(folder / "run.json").play(predict=True, layers=["fc3"]).save(folder / "run.html")
    course_style()
    print(routine.plot("gradients", value="norm"))


def data(folder: Path | None = None) -> tuple[Tensor, int]:
    """An image and its class."""
    if folder is not None:
        print(len(cifar10(folder, train=False)))
    return digits()[0]


def main(folder: Path) -> None:
    """Use all of it."""
    image, label = data()
    losses: list[float] = [step(image[None], torch.tensor([label]), scale=0.5) for _ in range(2)]
    trainer = Trainer()
    many: int = trainer.fit([image[None]], epochs=2)
    with trace(net, optimizer, scaler, into=[trainer.train]) as routine:
        trainer.train(image[None])
    traces: list[Trace] = [step.routine, trainer.fit.routine, Trainer.fit.routine, routine]
    sums: dict[str, float | complex | None] = gradient_sums(net) | parameter_sums(net, by="layer")
    views(step.routine, folder)
    print(step.__name__, losses, many, sum(len(told(one)) for one in traces), len(sums), others)
    print(companion.__version__)


if __name__ == "__main__":
    main(Path("."))
