"""Nothing to blame: what looks like a routine without one of its parts."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import lr_scheduler

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp, regression


def sound_forward_and_backward_alone(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()


def sound_named_for_their_own_sake(trace: Tracing) -> None:
    class Meter:
        @property
        def step(self) -> int:
            return 1

    net, meter = mlp(), Meter()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            meter.step  # a property of the reader's own
            net.training
            net.parameters
            optimizer.param_groups
            step = optimizer.step
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.grad_fn
            loss.backward()
            step()


def sound_resumed_schedule(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    schedule = lr_scheduler.StepLR(optimizer, 2)
    with trace(net, optimizer):
        for _epoch in range(4):  # where the training had stopped
            optimizer.step()
            schedule.step()
        for x, y in classes(2):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
        schedule.step()


def sound_schedule_that_is_drawn(trace: Tracing) -> None:
    net, rates = mlp(), []
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    schedule = lr_scheduler.StepLR(optimizer, 2)
    with trace(net, optimizer):
        for x, _ in classes(2):
            assert net(x).requires_grad
        for _epoch in range(4):
            rates += schedule.get_last_lr()
            optimizer.step()
            schedule.step()


def sound_one_step_at_zero(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    schedule = lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 3))
    with trace(net, optimizer):
        for x, y in classes(6):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            schedule.step()


def sound_down_to_zero_at_the_end(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    schedule = lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=5)
    with trace(net, optimizer):
        for x, y in classes(7):  # the estimate was two too few
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            schedule.step()


def sound_one_group_at_zero(trace: Tracing) -> None:
    net = mlp()
    groups: list[dict[str, Any]] = [
        {"params": net[0].parameters(), "lr": 0.0},
        {"params": net[2].parameters()},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(6):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def sound_whole_epoch_summed(trace: Tracing) -> None:
    net, batches = mlp(), classes(4)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _epoch in range(2):
            optimizer.zero_grad()
            for x, y in batches:
                loss = F.cross_entropy(net(x), y) / len(batches)
                loss.backward()
            optimizer.step()


def sound_losses_summed(trace: Tracing) -> None:
    net, batches = mlp(), classes(4)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _epoch in range(2):
            total = torch.zeros(())
            for x, y in batches:
                loss = F.cross_entropy(net(x), y)
                total = total + loss
            optimizer.zero_grad()
            total.backward()
            optimizer.step()


def sound_worst_of_several(trace: Tracing) -> None:
    net, batches = mlp(), classes(4)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _epoch in range(2):
            losses = []
            for x, y in batches:
                loss = F.cross_entropy(net(x), y)
                losses.append(loss)
            loss = max(losses)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_unrolled(trace: Tracing) -> None:
    cell, head = nn.RNNCell(4, 4), nn.Linear(4, 3)
    optimizer = torch.optim.Adam([*cell.parameters(), *head.parameters()])
    with trace(cell, head, optimizer):
        for x, y in classes(3):
            hidden = torch.zeros(2, 4)
            for part, target in zip(x.split(2), y.split(2), strict=True):
                hidden = cell(part, hidden)
                loss = F.cross_entropy(head(hidden), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_unrolled_in_two_names(trace: Tracing) -> None:
    net, head = nn.Linear(4, 4), nn.Linear(4, 3)
    optimizer = torch.optim.Adam([*net.parameters(), *head.parameters()])
    with trace(net, head, optimizer):
        for x, y in classes(3):
            state = x
            for _t in range(4):
                after = torch.tanh(net(state))
                loss = F.cross_entropy(head(after), y)
                state = after
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_attack_and_last_pass(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            delta = torch.zeros_like(x, requires_grad=True)
            for _ in range(4):
                optimizer.zero_grad()
                loss = F.cross_entropy(net(x + delta), y)
                loss.backward()
                with torch.no_grad():
                    if delta.grad is not None:
                        delta += 0.1 * delta.grad.sign()
                delta.grad = None
            optimizer.step()


def sound_gradients_of_examples(trace: Tracing) -> None:
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in regression(3):
            total = [torch.zeros_like(p) for p in net.parameters()]
            for one, target in zip(x, y, strict=True):
                optimizer.zero_grad()
                F.mse_loss(net(one), target).backward()
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                for sum_, p in zip(total, net.parameters(), strict=True):
                    sum_ += torch.zeros(()) if p.grad is None else p.grad
            for sum_, p in zip(total, net.parameters(), strict=True):
                p.grad = sum_
            optimizer.step()


def sound_tested_before_the_last_batch(trace: Tracing) -> None:
    net, batches = mlp(), classes(4)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _epoch in range(2):
            for x, y in batches:
                optimizer.zero_grad()
                loss = F.cross_entropy(net(x), y)
                loss.backward()
                optimizer.step()
            for x, y in batches:
                loss = F.cross_entropy(net(x), y)
            assert loss.item() > 0


def sound_one_stream(trace: Tracing) -> None:
    def stream() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from classes(2)

    net, batches, epochs = mlp(), stream(), 1
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _epoch in range(2):
            for i, (x, y) in zip(range(2), batches, strict=False):
                optimizer.zero_grad()
                (F.cross_entropy(net(x), y) * (i + 1)).backward()
                optimizer.step()
        for _epoch in range(3):
            for x, y in batches:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
                if x.sum() > -1e9:
                    break
        last = iter(classes(2))
        for _epoch in range(epochs):
            for x, y in last:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()


def sound_one_batch_at_several_scales(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            for scale in (0.5, 0.9, 1.1, 1.0):
                loss = F.cross_entropy(net(x * scale), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_one_optimizer_rests(trace: Tracing) -> None:
    net = mlp()
    first = torch.optim.SGD(net[0].parameters(), lr=0.0)
    last = torch.optim.SGD(net[2].parameters(), lr=0.1)
    with trace(net, first, last):
        for x, y in classes(6):
            first.zero_grad()
            last.zero_grad()
            F.cross_entropy(net(x), y).backward()
            first.step()
            last.step()
