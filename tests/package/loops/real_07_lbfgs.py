# mypy: ignore-errors
"""Physics-informed fit: find u with u' = -2u, u(0) = 1, by L-BFGS."""

import torch

torch.manual_seed(3)
torch.set_default_dtype(torch.float64)

t = torch.linspace(0, 1.5, 40).reshape(-1, 1).requires_grad_(True)
t0 = torch.zeros(1, 1)


class PINN(torch.nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.fc1 = torch.nn.Linear(1, width)
        self.fc2 = torch.nn.Linear(width, width)
        self.out = torch.nn.Linear(width, 1)

    def forward(self, t):
        return self.out(torch.tanh(self.fc2(torch.tanh(self.fc1(t)))))


net = PINN()
opt = torch.optim.LBFGS(
    net.parameters(), lr=1.0, max_iter=10, history_size=20, line_search_fn="strong_wolfe"
)


def closure():
    opt.zero_grad()
    u = net(t)
    (du,) = torch.autograd.grad(u.sum(), t, create_graph=True)
    residual = ((du + 2 * u) ** 2).mean()
    initial = ((net(t0) - 1) ** 2).mean()
    loss = residual + initial
    loss.backward()
    return loss


for it in range(6):
    loss = opt.step(closure)
    print("iteration", it, "loss", loss.item())

with torch.no_grad():
    error = (net(t) - torch.exp(-2 * t)).abs().max()
print("largest error", error.item())
