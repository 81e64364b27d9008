# mypy: ignore-errors
import torch
import torch.nn as nn

torch.manual_seed(5)

# 8x8 "images" that live on a two-dimensional sheet
u = torch.rand(256, 2) * 2 - 1
grid = torch.linspace(-1, 1, 8)
images = torch.exp(-8 * ((grid - u[:, :1])[:, None, :] ** 2 + (grid - u[:, 1:])[:, :, None] ** 2))
images = images.unsqueeze(1)  # (256, 1, 8, 8)


class AutoEncoder(nn.Module):
    def __init__(self, code=2):
        super(AutoEncoder, self).__init__()  # noqa: UP008
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1),
            nn.ReLU(True),
            nn.Flatten(),
            nn.Linear(8 * 4 * 4, code),
        )
        self.decoder = nn.Sequential(
            nn.Linear(code, 8 * 4 * 4),
            nn.Unflatten(1, (8, 4, 4)),
            nn.ReLU(True),
            nn.ConvTranspose2d(8, 1, 2, stride=2),
            nn.Sigmoid(),
        )

    def forward(self, x):
        z = self.encoder(x)
        return self.decoder(z), z


model = AutoEncoder()
distance = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3, weight_decay=1e-5)

num_epochs = 4
for epoch in range(num_epochs):
    perm = torch.randperm(images.size(0))
    for b in range(0, images.size(0), 32):
        img = images[perm[b : b + 32]]
        noisy = img + 0.05 * torch.randn_like(img)
        # ===================forward=====================
        output, code = model(noisy)
        loss = distance(output, img)
        # ===================backward====================
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # ===================log========================
    print("epoch [{}/{}], loss:{:.4f}".format(epoch + 1, num_epochs, loss.item()))  # noqa: UP032
