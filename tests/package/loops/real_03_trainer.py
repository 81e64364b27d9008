# mypy: ignore-errors
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split


@dataclass
class Config:
    epochs: int = 3
    batch_size: int = 16
    lr: float = 3e-3
    weight_decay: float = 1e-4
    grad_clip: float = 1.0


class Trainer:
    def __init__(self, model, train_set, valid_set, config):
        self.model, self.config = model, config
        self.train_loader = DataLoader(train_set, config.batch_size, shuffle=True)
        self.valid_loader = DataLoader(valid_set, config.batch_size)
        self.criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.lr, weight_decay=config.weight_decay
        )
        self.scheduler = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            max_lr=10 * config.lr,
            total_steps=config.epochs * len(self.train_loader),
        )
        self.history = {"train": [], "valid": [], "accuracy": []}

    def train_one_epoch(self):
        self.model.train()
        running, seen = 0.0, 0
        for inputs, labels in self.train_loader:
            self.optimizer.zero_grad(set_to_none=True)
            logits = self.model(inputs)
            loss = self.criterion(logits, labels)
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip)
            self.optimizer.step()
            self.scheduler.step()
            running += loss.item() * inputs.size(0)
            seen += inputs.size(0)
        return running / seen

    @torch.inference_mode()
    def validate(self):
        self.model.eval()
        running, correct, seen = 0.0, 0, 0
        for inputs, labels in self.valid_loader:
            logits = self.model(inputs)
            running += self.criterion(logits, labels).item() * inputs.size(0)
            correct += (logits.argmax(dim=-1) == labels).sum().item()
            seen += inputs.size(0)
        return running / seen, correct / seen

    def fit(self):
        for epoch in range(self.config.epochs):
            train_loss = self.train_one_epoch()
            valid_loss, accuracy = self.validate()
            self.history["train"].append(train_loss)
            self.history["valid"].append(valid_loss)
            self.history["accuracy"].append(accuracy)
            print(f"[{epoch}] train {train_loss:.3f} valid {valid_loss:.3f} acc {accuracy:.2%}")
        return self.history


if __name__ == "__main__":
    torch.manual_seed(0)
    features = torch.randn(200, 8)
    targets = (features[:, 0] * features[:, 1] > 0).long()
    train_set, valid_set = random_split(TensorDataset(features, targets), [160, 40])
    net = nn.Sequential(
        nn.Linear(8, 32), nn.BatchNorm1d(32), nn.GELU(), nn.Dropout(0.1), nn.Linear(32, 2)
    )
    Trainer(net, train_set, valid_set, Config()).fit()
