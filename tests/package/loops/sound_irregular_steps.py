"""Nothing to blame: optimizers that are not called once per backward."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp, regression


def sound_lbfgs(trace: Tracing) -> None:
    (x, y), *_ = regression(1, size=24)
    net = mlp(1)
    optimizer = torch.optim.LBFGS(net.parameters(), lr=0.5, max_iter=4)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(net(x), y)
        loss.backward()
        return loss

    with trace(net, optimizer):
        for _ in range(4):
            optimizer.step(closure)


def sound_lbfgs_followed(trace: Tracing) -> None:
    """The closure's lines are watched too."""
    (x, y), *_ = regression(1, size=24)
    net = nn.Linear(4, 1)
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=3, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(net(x), y)
        loss.backward()
        return loss

    with trace(net, optimizer, into=[closure]):
        for _ in range(4):
            loss = optimizer.step(closure)
            print(loss.item())


def sound_adam_closure(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in classes():

            def closure(x: Tensor = x, y: Tensor = y) -> float:
                optimizer.zero_grad()
                loss = F.cross_entropy(net(x), y)
                loss.backward()
                return loss.item()

            optimizer.step(closure)


class SAM(torch.optim.Optimizer):
    """Sharpness-aware minimisation: a climb, a second gradient there, then the step from below."""

    def __init__(self, base: torch.optim.Optimizer, rho: float = 0.05) -> None:
        self.base = base
        super().__init__(base.param_groups, {"rho": rho})
        self.param_groups = base.param_groups

    @torch.no_grad()
    def climb(self) -> None:
        gradients = [p.grad for g in self.param_groups for p in g["params"] if p.grad is not None]
        norm = torch.stack([g.norm() for g in gradients]).norm()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.state[p]["before"] = p.clone()
                    p.add_(p.grad, alpha=float(group["rho"] / (norm + 1e-12)))
        self.zero_grad()

    @torch.no_grad()
    def step(self, closure: object = None) -> None:  # type: ignore[override]
        for p, state in self.state.items():
            p.copy_(state["before"])
        self.base.step()
        self.zero_grad()


def sound_sam(trace: Tracing) -> None:
    net = mlp()
    optimizer = SAM(torch.optim.SGD(net.parameters(), lr=0.1))
    with trace(net, optimizer):
        for x, y in classes():
            F.cross_entropy(net(x), y).backward()
            optimizer.climb()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def sound_add_param_group(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net[2].parameters(), lr=0.1)
    net[0].requires_grad_(False)
    with trace(net, optimizer):
        for epoch in range(3):
            if epoch == 1:
                net[0].requires_grad_(True)
                optimizer.add_param_group({"params": net[0].parameters(), "lr": 0.01})
            for x, y in classes(3):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()


def sound_parameter_groups(trace: Tracing) -> None:
    net = mlp()
    decay = [p for p in net.parameters() if p.dim() > 1]
    rest = [p for p in net.parameters() if p.dim() == 1]
    groups = [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.01)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def sound_optimizer_before_to(trace: Tracing) -> None:
    """The parameters stay the same objects, so the optimizer still holds them."""
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    net = net.double().to("cpu")
    with trace(net, optimizer):
        for x, y in regression():
            optimizer.zero_grad()
            F.mse_loss(net(x.double()), y.double()).backward()
            optimizer.step()


def sound_checkpoint_loaded(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    saved = copy.deepcopy(net.state_dict()), copy.deepcopy(optimizer.state_dict())
    with trace(net, optimizer):
        for epoch in range(3):
            if epoch == 1:
                net.load_state_dict(saved[0])
                optimizer.load_state_dict(saved[1])
            for x, y in classes(3):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()


def sound_learning_rate_of_zero(trace: Tracing) -> None:
    """A warm-up that begins at zero: the first step moves nothing, and that is its purpose."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(classes()):
            for group in optimizer.param_groups:
                group["lr"] = 0.1 * i / 5
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def sound_groups_in_turn(trace: Tracing) -> None:
    """Two steps for one backward, each with the other group's learning rate at 0."""
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD([{"params": net[0].parameters()}, {"params": net[1:].parameters()}])
    one, other = optimizer.param_groups
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            one["lr"], other["lr"] = 0.1, 0.0
            optimizer.step()
            one["lr"], other["lr"] = 0.0, 0.1
            optimizer.step()


def sound_step_of_nothing_first(trace: Tracing) -> None:
    """The first of two steps is there for the scheduler alone: its learning rate is 0."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.param_groups[0]["lr"] = 0.0
            optimizer.step()
            optimizer.param_groups[0]["lr"] = 0.1
            optimizer.step()
