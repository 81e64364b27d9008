# mypy: ignore-errors
"""House prices that nobody paid: ReduceLROnPlateau, early stopping, the best weights kept."""

import copy
import math
from itertools import pairwise

import torch
from torch import nn

SEED = 11
torch.manual_seed(SEED)

N, D = 300, 6
X = torch.randn(N, D)
y = (X @ torch.randn(D, 1)) + 0.5 * X[:, :1] ** 2 + 0.3 * torch.randn(N, 1)
mean, std = y[:200].mean(), y[:200].std()
y = (y - mean) / std
X_train, y_train, X_val, y_val = X[:200], y[:200], X[200:], y[200:]


class EarlyStopping:
    def __init__(self, patience=4, delta=1e-3):
        self.patience, self.delta = patience, delta
        self.best, self.bad, self.weights = math.inf, 0, None

    def __call__(self, value, model):
        if value < self.best - self.delta:
            self.best, self.bad = value, 0
            self.weights = copy.deepcopy(model.state_dict())
        else:
            self.bad += 1
        return self.bad >= self.patience


sizes = [D, 48, 24, 1]
layers = []
for n_in, n_out in pairwise(sizes):
    layers += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(0.1)]
model = nn.Sequential(*layers[:-2])

optimizer = torch.optim.RMSprop(model.parameters(), lr=0.02)
scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, factor=0.3)
stopper = EarlyStopping()

for epoch in range(40):
    model.train()
    order = torch.randperm(len(X_train))
    train_loss = 0.0
    for idx in order.split(50):
        optimizer.zero_grad()
        loss = nn.functional.huber_loss(model(X_train[idx]), y_train[idx])
        loss.backward()
        optimizer.step()
        train_loss += loss.item() * len(idx) / len(X_train)

    model.eval()
    with torch.no_grad():
        val_loss = nn.functional.huber_loss(model(X_val), y_val).item()
    scheduler.step(val_loss)
    lr = optimizer.param_groups[0]["lr"]
    print(f"{epoch:2d} | train {train_loss:.4f} | val {val_loss:.4f} | lr {lr:.1e}")
    if stopper(val_loss, model):
        print("stopped early")
        break

model.load_state_dict(stopper.weights)
