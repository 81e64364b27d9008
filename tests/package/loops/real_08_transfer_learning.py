# mypy: ignore-errors
"""Transfer learning as in the tutorial: a fixed feature extractor, and a new last layer."""

import copy

import torch
import torch.nn as nn
from torch.optim import lr_scheduler


class TinyResNet(nn.Module):
    """Stands in for a torchvision model with `pretrained` weights."""

    def __init__(self, num_classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(8)
        self.avgpool = nn.AdaptiveAvgPool2d(2)
        self.fc = nn.Linear(32, num_classes)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(x + self.bn2(self.conv2(x)))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def make_loader(n, generator):
    images = torch.randn(n, 3, 8, 8, generator=generator)
    labels = torch.randint(0, 2, (n,), generator=generator)
    images[labels == 1, 0, :4] += 1.5
    return list(zip(images.split(16), labels.split(16), strict=True))


def train_model(model, dataloaders, criterion, optimizer, scheduler, num_epochs=3):
    best_model_wts, best_acc = copy.deepcopy(model.state_dict()), 0.0
    for epoch in range(num_epochs):
        for phase in ["train", "val"]:
            if phase == "train":
                model.train()
            else:
                model.eval()
            running_loss, running_corrects, size = 0.0, 0, 0
            for inputs, labels in dataloaders[phase]:
                optimizer.zero_grad()
                with torch.set_grad_enabled(phase == "train"):
                    outputs = model(inputs)
                    _, preds = torch.max(outputs, 1)
                    loss = criterion(outputs, labels)
                    if phase == "train":
                        loss.backward()
                        optimizer.step()
                running_loss += loss.item() * inputs.size(0)
                running_corrects += torch.sum(preds == labels.data).item()
                size += inputs.size(0)
            if phase == "train":
                scheduler.step()
            epoch_acc = running_corrects / size
            print(f"{epoch} {phase} Loss: {running_loss / size:.4f} Acc: {epoch_acc:.4f}")
            if phase == "val" and epoch_acc > best_acc:
                best_acc, best_model_wts = epoch_acc, copy.deepcopy(model.state_dict())
    model.load_state_dict(best_model_wts)
    return model


torch.manual_seed(0)
g = torch.Generator().manual_seed(0)
dataloaders = {"train": make_loader(96, g), "val": make_loader(48, g)}
model_conv = TinyResNet()
for param in model_conv.parameters():
    param.requires_grad = False
model_conv.fc = nn.Linear(model_conv.fc.in_features, 2)
optimizer_conv = torch.optim.SGD(model_conv.fc.parameters(), lr=0.05, momentum=0.9)
exp_lr_scheduler = lr_scheduler.StepLR(optimizer_conv, step_size=2, gamma=0.1)
train_model(model_conv, dataloaders, nn.CrossEntropyLoss(), optimizer_conv, exp_lr_scheduler)
