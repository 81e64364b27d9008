"""Nothing to blame: graphs that end on purpose, infinities that are meant, layers without use."""

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Categorical, Normal

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp, regression


def sound_infinities_on_purpose(trace: Tracing) -> None:
    """A mask of -inf, a best loss of inf, targets that are NaN where nobody knows them."""
    net = nn.Linear(4, 8)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    best = float("inf")
    mask = torch.full((8, 8), float("-inf")).triu(1)
    with trace(net, optimizer):
        for x, y in regression():
            y[::3] = float("nan")
            known = ~y.squeeze(1).isnan()
            scores = net(x) + mask
            weights = scores.softmax(dim=1)
            loss = F.mse_loss(weights[known, :1], y[known])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            best = min(best, loss.item())


def sound_masked_scores(trace: Tracing) -> None:
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            scores = net(x)
            scores = scores.masked_fill(F.one_hot((y + 1) % 3, 3).bool(), float("-inf"))
            loss = F.cross_entropy(scores, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_bad_batches_left_out(trace: Tracing) -> None:
    net = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(regression()):
            y[0] = float("nan") if i % 2 else 0.0
            loss = F.mse_loss(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            if not loss.isfinite():
                optimizer.zero_grad()
                continue
            optimizer.step()


def sound_gradients_cleaned(trace: Tracing) -> None:
    net = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in regression():
            y[0] = float("inf")
            loss = F.mse_loss(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            for p in net.parameters():
                assert p.grad is not None
                p.grad.nan_to_num_(0.0, 0.0, 0.0)
            optimizer.step()


def sound_overflow_under_a_scaler(trace: Tracing) -> None:
    """Its first factors are too large on purpose: these steps are skipped."""
    net = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    with trace(net, optimizer, scaler):
        for x, y in regression():
            loss = F.mse_loss(net(x), y) * 16
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()


def sound_siamese(trace: Tracing) -> None:
    net, head = mlp(8), nn.Linear(8, 8)
    optimizer = torch.optim.SGD([*net.parameters(), *head.parameters()], lr=0.1)
    with trace(net, head, optimizer):
        for x, _ in classes():
            one, two = net(x + 0.1), net(x - 0.1)
            first = F.cosine_similarity(head(one), two.detach()).mean()
            second = F.cosine_similarity(head(two), one.detach()).mean()
            loss = -(first + second) / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


class Quantized(nn.Module):
    """A code book, with a gradient that goes straight through."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(4, 8), nn.Linear(8, 4)
        self.codes = nn.Embedding(6, 8)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z = self.encoder(x)
        chosen = torch.cdist(z, self.codes.weight).argmin(dim=1)
        q = self.codes(chosen)
        loss = F.mse_loss(q, z.detach()) + 0.25 * F.mse_loss(z, q.detach())
        used = (chosen.bincount(minlength=6) > 0).float().mean()
        return self.decoder(z + (q - z).detach()), loss, used


def sound_straight_through(trace: Tracing) -> None:
    net = Quantized()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    with trace(net, optimizer):
        for x, _ in classes():
            out, codes, used = net(x)
            loss = F.mse_loss(out, x) + codes
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            assert used.item() > 0


def sound_actor_and_critic(trace: Tracing) -> None:
    actor, critic = mlp(), mlp(1)
    optimizer = torch.optim.Adam([*actor.parameters(), *critic.parameters()], lr=1e-3)
    with trace(actor, critic, optimizer):
        for x, y in classes():
            policy = Categorical(logits=actor(x))
            action = policy.sample()
            reward = (action == y).float()
            value = critic(x).squeeze(1)
            advantage = (reward - value).detach()
            gain = policy.log_prob(action) * advantage
            entropy = policy.entropy().mean()
            loss = 0.5 * F.mse_loss(value, reward) - gain.mean() - 0.01 * entropy
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_entropy_of_a_fixed_width(trace: Tracing) -> None:
    actor = mlp(1)
    optimizer = torch.optim.Adam(actor.parameters(), lr=1e-3)
    with trace(actor, optimizer):
        for x, _ in classes():
            mu = actor(x)
            policy = Normal(mu, torch.tensor([0.5]))
            action = policy.sample()
            entropy = policy.entropy().mean()
            gain = policy.log_prob(action) * -action.abs()
            loss = -gain.mean() - 0.01 * entropy
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_single_state(trace: Tracing) -> None:
    """A difference of numbers, one of them without graph, that is squared afterwards."""
    net = mlp()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    with trace(net, optimizer):
        for x, y in classes():
            value = net(x[:1]).max()
            target = y[0].float() + 0.9 * net(x[1:2]).max().detach()
            difference = target - value
            loss = difference.square()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_constants_in_the_loss(trace: Tracing) -> None:
    """Of the likelihood, of the teacher, switched off, a number, or detached on the spot."""
    net, teacher = mlp(), mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    off = 0.0
    with trace(net, optimizer):
        for x, y in classes():
            with torch.no_grad():
                p = teacher(x).softmax(dim=1)
            entropy = -(p * p.log()).sum(dim=1).mean()
            out = net(x)
            wrong = (out.argmax(dim=1) != y).float().mean()
            decay = torch.stack([p.square().sum() for p in net.parameters()]).sum()
            size = sum(p.numel() for p in net.parameters())
            width = out.new_tensor(0.5 * math.log(2 * math.pi))
            loss = -(p * out.log_softmax(dim=1)).sum(dim=1).mean() - entropy + width
            loss = loss + off * wrong + 0.01 * decay.detach() + 1e-6 * size
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_what_is_shown(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, weight_decay=0.01)
    shown: list[tuple[float, float]] = []
    with trace(net, optimizer):
        for x, y in classes():
            out = net(x)
            loss = F.cross_entropy(out, y)
            with torch.no_grad():
                decay = sum(p.square().sum() for p in net.parameters())
            right = (out.argmax(dim=1) == y).float().mean()
            whole = loss.detach() + 0.01 * decay
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            shown.append((whole.item(), right.item()))


def sound_adversary_with_frozen_discriminator(trace: Tracing) -> None:
    """In the generator's turn the term of the real batch is a constant, for nothing needs it."""
    net_g, net_d = nn.Linear(4, 2), nn.Linear(2, 1)
    optimizer_g = torch.optim.Adam(net_g.parameters(), lr=1e-3)
    optimizer_d = torch.optim.Adam(net_d.parameters(), lr=1e-3)
    with trace(net_g, net_d, optimizer_g, optimizer_d):
        for x, _ in classes():
            real = x[:, :2]
            net_d.requires_grad_(True)
            fake = net_g(x)
            loss_d = net_d(fake.detach()).mean() - net_d(real).mean()
            optimizer_d.zero_grad()
            loss_d.backward()
            optimizer_d.step()
            net_d.requires_grad_(False)
            base = net_d(real).mean()
            loss_g = base - net_d(fake).mean()
            optimizer_g.zero_grad()
            loss_g.backward()
            optimizer_g.step()


def sound_generator_seldom(trace: Tracing) -> None:
    """It has not had its turn when the trace ends."""
    net_g, net_d = nn.Linear(4, 2), nn.Linear(2, 1)
    optimizer_g = torch.optim.Adam(net_g.parameters(), lr=1e-3)
    optimizer_d = torch.optim.Adam(net_d.parameters(), lr=1e-3)
    with trace(net_g, net_d, optimizer_g, optimizer_d):
        for i, (x, _) in enumerate(classes(4)):
            fake = net_g(x).detach()
            loss_d = net_d(fake).mean() - net_d(x[:, :2]).mean()
            optimizer_d.zero_grad()
            loss_d.backward()
            optimizer_d.step()
            if i % 5 == 4:
                loss_g = -net_d(net_g(x)).mean()
                optimizer_g.zero_grad()
                loss_g.backward()
                optimizer_g.step()


class Reading(nn.Module):
    """Its pooler runs for whoever wants it; a second branch begins with what is made there."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(9, 8), nn.Linear(8, 8)
        self.pooler, self.head = nn.Linear(8, 8), nn.Linear(8, 9)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        h = self.tokens(tokens)
        pooled = self.pooler(h[:, 0]).tanh()
        waves = torch.arange(8.0).expand(tokens.shape[1], 8).sin()
        h = h + self.tokens((tokens + 1) % 9) + self.places(self.tokens(tokens[:, :1])) + waves
        return self.head(h), pooled


def sound_pooler_that_nobody_uses(trace: Tracing) -> None:
    net = Reading()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    with trace(net, optimizer):
        for _ in range(4):
            tokens = torch.randint(0, 9, (4, 6))
            scores, pooled = net(tokens)
            loss = F.cross_entropy(scores.flatten(0, 1), tokens.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            assert pooled.shape == (4, 8)


class Added(nn.Module):
    """A low-rank addition, whose second factor is 0 at first."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(4, 3).requires_grad_(False)
        self.down, self.up = nn.Linear(4, 2, bias=False), nn.Linear(2, 3, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.base(x) + self.up(self.down(x))
        return out


def sound_added_from_zero(trace: Tracing) -> None:
    """With a learning rate that begins at 0: for two steps one factor has gradients of 0."""
    net = Added()
    optimizer = torch.optim.SGD([net.down.weight, net.up.weight], lr=0.1)
    warm_up = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step / 3)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            warm_up.step()


def sound_head_with_weight_zero(trace: Tracing) -> None:
    """Its gradients are exactly 0, and nothing is dead."""
    net = nn.ModuleDict({"body": mlp(8), "one": nn.Linear(8, 3), "two": nn.Linear(8, 3)})
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            h = net["body"](x).relu()
            loss = F.cross_entropy(net["one"](h), y) + 0.0 * F.cross_entropy(net["two"](h), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_hard_choice_with_its_score(trace: Tracing) -> None:
    """What is chosen goes on without graph, and the score function brings the gradient."""
    first, second = nn.Linear(4, 5), nn.Embedding(5, 3)
    optimizer = torch.optim.Adam([*first.parameters(), *second.parameters()], lr=1e-2)
    with trace(first, second, optimizer):
        for x, y in classes():
            scores = first(x)
            symbol = scores.softmax(dim=1).multinomial(1).squeeze(1)
            losses = F.cross_entropy(second(symbol), y, reduction="none")
            chosen = scores.log_softmax(dim=1).gather(1, symbol[:, None]).squeeze(1)
            loss = losses.mean() + (chosen * losses.detach()).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_average_of_itself(trace: Tracing) -> None:
    net = mlp()
    teacher = copy.deepcopy(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, _ in classes():
            with torch.no_grad():
                goal = teacher(x).softmax(dim=1)
            loss = F.cross_entropy(net(x + 0.1), goal)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            for theirs, ours in zip(teacher.parameters(), net.parameters(), strict=True):
                theirs.data.lerp_(ours.data, 0.1)


def sound_sums_that_begin_with_a_number(trace: Tracing) -> None:
    """Python turns `0 + loss` round; and blocks that each learn from a loss of their own."""
    blocks = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
    head = nn.Linear(4, 3)
    optimizer = torch.optim.SGD([*blocks.parameters(), *head.parameters()], lr=0.1)
    with trace(blocks, head, optimizer):
        for i, (x, y) in enumerate(classes()):
            h = x
            loss: Tensor | float = 0
            for block in blocks:
                h = block(h.detach()).relu()
                loss += F.cross_entropy(head(h)[y >= 0], y)
            loss = 0.1 * i + loss
            loss = math.sqrt(i) + F.cross_entropy(head(x), y) + loss
            assert isinstance(loss, Tensor)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
