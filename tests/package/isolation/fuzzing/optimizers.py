"""Optimizers and updates by hand."""

from __future__ import annotations

from tests.package.isolation.fuzzing.parts import Optimizer

TRAINABLE = "[p for p in net.parameters() if p.requires_grad]"
SGD = f"optimizer = torch.optim.SGD({TRAINABLE}, lr=0.05)"


def _torch(kind: str, options: str) -> str:
    return f"optimizer = torch.optim.{kind}({TRAINABLE}, {options})"


OPTIMIZERS = [
    Optimizer("sgd", SGD),
    Optimizer("momentum", _torch("SGD", "lr=0.05, momentum=0.9, nesterov=True")),
    Optimizer("adam", _torch("Adam", "lr=0.01")),
    Optimizer("adamw foreach", _torch("AdamW", "lr=0.01, foreach=True")),
    Optimizer("adam fused", _torch("Adam", "lr=0.01, fused=True")),
    Optimizer("sgd foreach", _torch("SGD", "lr=0.05, momentum=0.9, foreach=True")),
    Optimizer("set to zero", SGD, clear="optimizer.zero_grad(set_to_none=False)"),
    Optimizer("never cleared", SGD, clear=""),
    Optimizer("all parameters", "optimizer = torch.optim.SGD(net.parameters(), lr=0.05)"),
    Optimizer(
        "scheduler",
        SGD + "\nscheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)",
        """
optimizer.step()
scheduler.step()
""",
    ),
    Optimizer(
        "a new one each epoch",
        SGD,
        f"optimizer.step()\nif step % 2:\n    {_torch('Adam', 'lr=0.01')}",
    ),
    Optimizer(
        "a new one before each step",
        SGD,
        clear=f"{SGD}\noptimizer.zero_grad()",
        things="net",
    ),
    Optimizer(
        "two",
        f"halves = {TRAINABLE}\n"
        "optimizer = torch.optim.SGD(halves[:1], lr=0.05)\n"
        "second = torch.optim.Adam(halves[1:], lr=0.01)",
        """
optimizer.step()
second.step()
""",
        """
optimizer.zero_grad()
second.zero_grad()
""",
        "net, optimizer, second",
    ),
    Optimizer(
        "by hand",
        "optimizer = None",
        """
with torch.no_grad():
    for p in net.parameters():
        if p.grad is not None:
            p -= 0.05 * p.grad
            p.grad = None
""",
        "",
        "net",
    ),
    Optimizer(
        "by hand, .data",
        "optimizer = None",
        """
for p in net.parameters():
    if p.grad is not None:
        p.data -= 0.05 * p.grad.data
        p.grad.data.zero_()
""",
        "net.zero_grad()",
        "net",
    ),
    Optimizer(
        "lbfgs",
        _torch("LBFGS", "lr=0.1, max_iter=3"),
        """
def closure():
    optimizer.zero_grad()
    again = criterion(net(x), y)
    again.backward()
    return again
optimizer.step(closure)
""",
    ),
    Optimizer(
        "its own class",
        f"""
class Descent(torch.optim.Optimizer):
    def __init__(self, params):
        super().__init__(params, dict(lr=0.05))
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.add_(p.grad, alpha=-group["lr"])
optimizer = Descent({TRAINABLE})
""",
    ),
    Optimizer(
        "grad scaler",
        SGD + '\nscaler = torch.amp.GradScaler("cpu", init_scale=4.0)',
        """
scaler.scale(criterion(net(x), y)).backward()
scaler.unscale_(optimizer)
scaler.step(optimizer)
scaler.update()
""",
        things="net, optimizer, scaler",
    ),
    Optimizer(
        "gradients by autograd.grad",
        SGD,
        """
wanted = [p for p in net.parameters() if p.requires_grad]
found = torch.autograd.grad(criterion(net(x), y), wanted, allow_unused=True)
for p, g in zip(wanted, found):
    p.grad = g
optimizer.step()
""",
    ),
]
