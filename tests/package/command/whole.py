"""Scripts whose end tells what no single step shows: broken ones, and those that look alike."""

from __future__ import annotations

START = """\
import torch
from torch import nn
from torch.nn.functional import cross_entropy, softplus
from torch.utils.data import DataLoader, TensorDataset
torch.manual_seed(0)
x, y = torch.randn(48, 4), torch.randint(3, (48,))
data = TensorDataset(x, y)
loader = DataLoader(data, batch_size=4)
net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
sgd = torch.optim.SGD(net.parameters(), lr=0.1)
epochs = 3
"""
LOOP = """
for epoch in range(epochs):
    for a, b in loader:
        sgd.zero_grad()
        loss = cross_entropy(net(a), b)
        loss.backward()
        sgd.step()
"""
FROZEN = "for p in net.parameters():\n    p.requires_grad_(False)\n"
SCHEDULE = "schedule = torch.optim.lr_scheduler."

# By what they are: the script, and what is certain (or, in brackets, possible) on which line.
BROKEN = {
    "no step": (
        LOOP.replace("        sgd.step()\n", "").replace("backward()", "backward()  # <-"),
        "never-steps",
    ),
    "no step in a function": (
        """
class Trainer:
    def __init__(self):
        self.net, self.optimizer = net, torch.optim.Adam(net.parameters())
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimizer, 1)
    def train_step(self, a, b):
        self.optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(self.net(a), b)
        loss.backward()  # <-
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.schedule.step()
        return loss.item()
trainer = Trainer()
for a, b in loader:
    trainer.train_step(a, b)
""",
        "never-steps",
    ),
    "no step of one of two": (
        """
G, D = nn.Linear(2, 4), nn.Linear(4, 1)
opt_g, opt_d = torch.optim.Adam(G.parameters()), torch.optim.Adam(D.parameters())
for a, _ in loader:
    opt_d.zero_grad()
    loss_d = softplus(-D(a)).mean() + softplus(D(G(torch.randn(4, 2)).detach())).mean()
    loss_d.backward()
    opt_d.step()
    opt_g.zero_grad()
    loss_g = softplus(-D(G(torch.randn(4, 2)))).mean()
    loss_g.backward()  # <-
""",
        "never-steps",
    ),
    "neither": (
        LOOP.replace("        loss.backward()\n        sgd.step()\n", "").replace(
            "net(a), b)", "net(a), b)  # <-"
        ),
        "clears-and-no-more",
    ),
    "named step": (LOOP.replace("sgd.step()", "sgd.step  # <-"), "not-called"),
    "no backward": (
        LOOP.replace("        loss.backward()\n", "").replace("step()", "step()  # <-"),
        "no-backward",
    ),
    "skipped": (
        """
scaler = torch.amp.GradScaler("cpu")
for a, b in loader:
    sgd.zero_grad()
    loss = cross_entropy(net(a) / 0, b)
    scaler.scale(loss).backward()
    scaler.step(sgd)  # <-
    scaler.update()
""",
        "all-skipped",
    ),
    "no batch": (
        "loader = DataLoader(data, batch_size=64, drop_last=True)\n"
        + LOOP.replace("in loader:", "in loader:  # <-")
        + "with torch.no_grad():\n    for a, b in DataLoader(data, batch_size=16):\n"
        "        print(cross_entropy(net(a), b).item())\n",
        "no-batch",
    ),
    "no batch in a function": (
        """
def train(net, optimizer, batches):
    for i, (a, b) in enumerate(batches):  # <-
        optimizer.zero_grad()
        cross_entropy(net(a), b).backward()
        optimizer.step()
for epoch in range(epochs):
    train(net, sgd, DataLoader(TensorDataset(x[:0], y[:0]), batch_size=4))
""",
        "no-batch",
    ),
    "a rate of 0": (
        "sgd.param_groups[0]['lr'] = 0\n" + LOOP.replace("p()", "p()  # <-"),
        "zero-lr",
    ),
    "a rate of 0 too soon": (
        f"{SCHEDULE}LinearLR(sgd, 1.0, 0.0, total_iters=epochs)\n{LOOP}"
        "        schedule.step()  # <-\n",
        "zero-lr",
    ),
    "a cosine for each batch": (
        f"{SCHEDULE}CosineAnnealingLR(sgd, T_max=epochs)\n{LOOP}        schedule.step()  # <-\n",
        "(short-schedule)",
    ),
}

SOUND = {
    "tested": (
        "with torch.no_grad():\n    for a, b in loader:\n        print(net(a).sum())\n",
        "no step was seen, for nothing called backward()",
    ),
    "tested with gradients": (
        "for a, b in loader:\n    print(cross_entropy(net(a), b).item())\n",
        "no step was seen: nothing called backward(), nor an optimizer's step()\n",
    ),
    "saliency": (
        """
for a, b in loader:
    a.requires_grad_()
    sgd.zero_grad()
    net(a).max(1).values.sum().backward()
    print(a.grad.abs().mean() > 0)
""",
        "no step was seen: backward() was called 12 times, and an optimizer's step() never\n",
    ),
    "scores by hooks": (
        """
kept = []
for p in net.parameters():
    p.register_hook(lambda g: kept.append(g.square().sum()))
for a, b in loader:
    sgd.zero_grad()
    loss = cross_entropy(net(a), b)
    loss.backward()
print(len(kept))
""",
        None,
    ),
    "norms": (
        """
for a, b in loader:
    sgd.zero_grad()
    cross_entropy(net(a), b).backward()
    norm = torch.nn.utils.clip_grad_norm_(net.parameters(), 1e9)
""",
        "no step was seen: backward() was called 12 times",
    ),
    "an attack on a frozen network": (
        FROZEN
        + """
for a, b in loader:
    a.requires_grad_()
    cross_entropy(net(a), b).backward()
    print((net(a + 0.1 * a.grad.sign()).argmax(1) == b).sum() >= 0)
""",
        None,
    ),
    "no epoch": ("epochs = 0\n" + LOOP, "no step was seen, for nothing called backward()"),
    "an empty test set": (
        "for a, b in DataLoader(TensorDataset(x[:0], y[:0])):\n    print(net(a))\n",
        "no step was seen, for nothing called backward()",
    ),
    "a schedule that is drawn": (
        f"{SCHEDULE}CosineAnnealingLR(sgd, T_max=3)\n"
        "for _ in range(40):\n    sgd.step()\n    schedule.step()\n",
        "watched 3 steps, no findings",
    ),
    "a cosine of all batches": (
        f"{SCHEDULE}CosineAnnealingLR(sgd, T_max=36)\n{LOOP}        schedule.step()\n",
        "watched 3 steps, no findings",
    ),
    "a cosine of epochs": (
        f"{SCHEDULE}CosineAnnealingLR(sgd, T_max=3)\n{LOOP}    schedule.step()\n",
        "watched 3 steps, no findings",
    ),
    "two steps skipped": (
        """
scaler = torch.amp.GradScaler("cpu")
for i in range(2):
    sgd.zero_grad()
    scaler.scale(cross_entropy(net(x) / 0, y)).backward()
    scaler.step(sgd)
    scaler.update()
""",
        "no step was seen: backward() was called twice, a GradScaler was to step twice, and no ",
    ),
    "a second optimizer for later": (
        """
first = torch.optim.SGD(net[0].parameters(), lr=0.1)
last = torch.optim.SGD(net[2].parameters(), lr=0.1)
for a, b in loader:
    first.zero_grad()
    last.zero_grad()
    cross_entropy(net(a), b).backward()
    last.step()
""",
        "watched 3 steps, no findings",
    ),
}
