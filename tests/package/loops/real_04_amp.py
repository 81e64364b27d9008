# mypy: ignore-errors
"""Mixed precision, the recipe of the torch.amp notes, on whatever device there is."""

import torch

device = "cuda" if torch.cuda.is_available() else "cpu"
dtype = torch.float16 if device == "cuda" else torch.bfloat16
use_amp = True

torch.manual_seed(0)
batch_size, in_size, out_size, num_layers = 64, 16, 4, 3


def make_model(in_size, out_size, num_layers):
    layers = []
    for _ in range(num_layers - 1):
        layers.append(torch.nn.Linear(in_size, in_size))
        layers.append(torch.nn.ReLU())
    layers.append(torch.nn.Linear(in_size, out_size))
    return torch.nn.Sequential(*tuple(layers)).to(device)


w = torch.randn(in_size, out_size, device=device)
data = [torch.randn(batch_size, in_size, device=device) for _ in range(10)]
targets = [x @ w for x in data]
loss_fn = torch.nn.MSELoss()

epochs = 3
net = make_model(in_size, out_size, num_layers)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
scaler = torch.amp.GradScaler(device, enabled=use_amp)

for epoch in range(epochs):
    epoch_loss = 0.0
    for input, target in zip(data, targets, strict=True):
        with torch.autocast(device_type=device, dtype=dtype, enabled=use_amp):
            output = net(input)
            loss = loss_fn(output.float(), target)

        scaler.scale(loss).backward()

        # Unscales the gradients of optimizer's assigned parameters in-place
        scaler.unscale_(opt)
        torch.nn.utils.clip_grad_norm_(net.parameters(), max_norm=5.0)

        scaler.step(opt)
        scaler.update()
        opt.zero_grad()  # set_to_none=True here can modestly improve performance
        epoch_loss += loss.item()
    print(f"epoch {epoch}: loss {epoch_loss / len(data):.3f}, scale {scaler.get_scale():.0f}")
