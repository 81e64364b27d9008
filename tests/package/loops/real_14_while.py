# mypy: ignore-errors
# logistic regression, until the loss stops falling
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as bce

torch.manual_seed(0)
n = 150
points = torch.cat([torch.randn(n, 2) + 1.2, torch.randn(n, 2) - 1.2])
which = torch.cat([torch.ones(n), torch.zeros(n)])

net = torch.nn.Linear(2, 1)
sgd = torch.optim.SGD(net.parameters(), lr=0.5)

previous, current, steps = float("inf"), float("inf"), 0
while steps == 0 or (previous - current > 1e-4 and steps < 200):
    previous = current
    sgd.zero_grad()
    loss = bce(net(points).flatten(), which)
    loss.backward()
    sgd.step()
    current = loss.item()
    steps += 1
    if steps % 10 == 1:
        print(steps, current)

with torch.no_grad():
    hits = ((net(points).flatten() > 0).float() == which).float().mean()
print(f"stopped after {steps} steps, loss {current:.4f}, accuracy {hits:.3f}")
