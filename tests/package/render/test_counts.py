"""What a report says was counted."""

import torch
from torch import nn

from companion import trace
from companion.render.counts import steps_in_words


def test_a_step_that_calls_a_closure_several_times_says_so() -> None:
    net = nn.Linear(3, 1)
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=3)
    x, y = torch.randn(8, 3), torch.randn(8, 1)
    calls = 0

    def closure() -> torch.Tensor:
        nonlocal calls
        calls += 1
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(x), y)
        loss.backward()
        return loss

    with trace(net, optimizer, into=[closure]) as routine:
        for _ in range(2):
            optimizer.step(closure)
    assert steps_in_words(routine.records) == f"2 steps (they called closure() {calls} times)"
    assert f"(they called closure() {calls} times)" in str(routine) or len(routine.records) <= 60


def test_other_functions_are_not_counted() -> None:
    net = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def step(x: torch.Tensor) -> None:
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()

    with trace(net, optimizer, into=[step]) as routine:
        step(torch.randn(4, 3))
    assert steps_in_words(routine.records) == "1 step"
