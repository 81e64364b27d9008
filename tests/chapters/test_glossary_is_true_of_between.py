"""What the glossary says of mixed precision is so: a run."""

from __future__ import annotations

import torch

from tests.chapters.glossary import equal, grads, loss_of, of, problem, values


@of("mixed precision")
def test_some_operations_in_16_bits_and_parameters_in_32() -> None:
    net, inputs, labels = problem()
    optimizer = torch.optim.Adam(net.parameters())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert net(inputs).dtype == torch.bfloat16
        loss = loss_of(net, inputs, labels)
    assert loss.dtype == torch.float32
    loss.backward()
    plain = grads(net)
    optimizer.step()
    kept = [state["exp_avg"] for state in optimizer.state.values()]
    assert {t.dtype for t in [*plain, *values(net), *kept]} == {torch.float32}

    def missing(dtype: torch.dtype, factor: float) -> int:
        """How many of the scores' gradients are 0, of a loss with a small share."""
        with torch.autocast("cpu", dtype=dtype):
            scores = net(inputs)
            share = 1e-7 * torch.nn.functional.cross_entropy(scores, labels)
        scores.retain_grad()
        (share * factor).backward()
        assert scores.grad is not None
        return int((scores.grad == 0).sum())

    assert missing(torch.float16, 1.0) > 0
    assert missing(torch.float16, 65536.0) == missing(torch.bfloat16, 1.0) == 0
    net.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = loss_of(net, inputs, labels)
    (65536 * loss).backward()
    scaled = [grad / 65536 for grad in grads(net)]
    net.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = loss_of(net, inputs, labels)
    loss.backward()
    assert equal(scaled, grads(net))
