"""Train a small network on handwritten digits, and go on where it was stopped.

python train_digits.py        to the end
python train_digits.py 50     until step 50; the next call goes on from there

For a longer training change STEPS and remove checkpoint.pt.
"""

import copy
import math
import os
import sys

import torch
from sklearn.datasets import load_digits
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

BATCH, STEPS, LR, SEED = 32, 360, 0.01, 0
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPE = torch.float64
criterion = nn.CrossEntropyLoss()


def data():
    digits = load_digits()
    images = torch.tensor(digits.data / 16, dtype=DTYPE)  # (1797, 64), from 0 to 1
    labels = torch.tensor(digits.target)
    learned = TensorDataset(images[:1437], labels[:1437])
    return learned, TensorDataset(images[1437:], labels[1437:])


def network():
    hidden = nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2)
    return nn.Sequential(*hidden, nn.Linear(64, 10)).to(DEVICE, DTYPE)


def groups(net):
    matrices = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() <= 1]
    decay = {"params": matrices, "weight_decay": 0.1}
    return [decay, {"params": others, "weight_decay": 0.0}]


def start():
    torch.manual_seed(SEED)
    net = network()
    optimizer = optim.AdamW(groups(net), lr=LR)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS)
    return {"net": net, "optimizer": optimizer, "scheduler": scheduler}


def batches(dataset, epoch, first=0, last=None):
    generator = torch.Generator().manual_seed(SEED + epoch)
    order = torch.randperm(len(dataset), generator=generator).split(BATCH)
    return DataLoader(dataset, batch_sampler=order[first:last], generator=generator)


def train(net, optimizer, scheduler, loader):
    net.train()
    total = 0.0
    for inputs, labels in loader:
        inputs, labels = inputs.to(DEVICE), labels.to(DEVICE)
        optimizer.zero_grad()
        outputs = net(inputs)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        scheduler.step()
        total += loss.item() * len(labels)
    return total


@torch.no_grad()
def evaluate(net, loader):
    net.eval()
    total, count = 0.0, 0
    for inputs, labels in loader:
        inputs, labels = inputs.to(DEVICE), labels.to(DEVICE)
        total += criterion(net(inputs), labels).item() * len(labels)
        count += len(labels)
    return total / count


def save(path, parts, progress):
    state = {name: part.state_dict() for name, part in parts.items()}
    state["progress"] = progress
    state["random"] = torch.get_rng_state(), torch.cuda.get_rng_state_all()
    torch.save(state, f"{path}.new")
    os.replace(f"{path}.new", path)  # there is never half a file of that name


def load(path, parts):
    state = torch.load(path, map_location="cpu")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    torch.set_rng_state(state["random"][0])
    torch.cuda.set_rng_state_all(state["random"][1])
    return state["progress"]


def main(until=STEPS, path="checkpoint.pt"):
    train_set, valid_set = data()
    per_epoch = math.ceil(len(train_set) / BATCH)
    parts = start()
    progress = {"step": 0, "total": 0.0, "best": math.inf, "weights": None}
    if os.path.exists(path):
        progress = load(path, parts)
    while progress["step"] < until:
        epoch, done = divmod(progress["step"], per_epoch)
        loader = batches(train_set, epoch, done, done + until - progress["step"])
        progress["total"] += train(loader=loader, **parts)
        progress["step"] += len(loader)
        if progress["step"] % per_epoch == 0:
            mean = progress["total"] / len(train_set)
            loss = evaluate(parts["net"], batches(valid_set, epoch=0))
            print(f"epoch {epoch}: training {mean:.3f}, validation {loss:.3f}")
            progress["total"] = 0.0
            if loss < progress["best"]:
                progress["best"] = loss
                progress["weights"] = copy.deepcopy(parts["net"].state_dict())
        save(path, parts, progress)
    return progress


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
