"""Nothing to blame: softmaxes, logarithms and shapes that look wrong, and are meant."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import Batches, classes, mlp, regression


def _train(
    trace: Tracing,
    net: nn.Module,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    batches: Batches | None = None,
) -> None:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    own = [loss_of] if loss_of.__module__ == __name__ else []
    with trace(net, optimizer, into=own):
        for x, y in classes(3) if batches is None else batches:
            optimizer.zero_grad()
            loss = loss_of(net(x), y)
            loss.backward()
            optimizer.step()


def sound_policy_gradient(trace: Tracing) -> None:
    """A negative loss, with advantages of both signs."""

    def loss_of(logits: Tensor, y: Tensor) -> Tensor:
        advantage = torch.randn(len(y))
        log_prob = torch.distributions.Categorical(logits=logits).log_prob(y)
        loss: Tensor = -(log_prob * advantage).mean()
        return loss

    _train(trace, mlp(), loss_of)


def sound_expected_reward(trace: Tracing) -> None:
    """The probability of what was drawn, weighed by what it brought."""

    def loss_of(logits: Tensor, y: Tensor) -> Tensor:
        reward = torch.rand(len(y))
        chosen = F.nll_loss(F.softmax(logits, dim=1), y, reduction="none")
        return (chosen * reward).mean()

    _train(trace, mlp(), loss_of)


def sound_nll_weighed_inside(trace: Tracing) -> None:
    """A policy gradient with the advantages inside; its loss may be negative."""

    def loss_of(logits: Tensor, y: Tensor) -> Tensor:
        return F.nll_loss(F.log_softmax(logits, dim=1) * torch.randn(len(y), 1), y)

    _train(trace, mlp(), loss_of)


def sound_focal_loss(trace: Tracing) -> None:
    def loss_of(logits: Tensor, y: Tensor) -> Tensor:
        log_p = F.log_softmax(logits, dim=1)
        return F.nll_loss((1 - log_p.exp()) ** 2 * log_p, y)

    _train(trace, mlp(), loss_of)


def sound_negative_learning(trace: Tracing) -> None:
    """Labels that are surely wrong: log(1 - p)."""

    def loss_of(logits: Tensor, y: Tensor) -> Tensor:
        return F.nll_loss(torch.log(1 - F.softmax(logits, dim=1) + 1e-6), (y + 1) % 3)

    _train(trace, mlp(), loss_of)


def sound_ensemble_of_probabilities(trace: Tracing) -> None:
    """A mixture: the logarithm of a weighted sum of softmaxes."""
    nets = nn.ModuleList([mlp(), mlp()])

    class Mixture(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.nets = nets

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([F.softmax(net(x), dim=1) for net in self.nets]).mean(0).log()

    _train(trace, Mixture(), F.nll_loss)


def sound_entropy_regularised(trace: Tracing) -> None:
    def loss_of(logits: Tensor, y: Tensor) -> Tensor:
        entropy = -(F.softmax(logits, 1) * F.log_softmax(logits, 1)).sum(1).mean()
        return F.cross_entropy(logits, y) - 0.1 * entropy

    _train(trace, mlp(), loss_of)


def sound_distillation(trace: Tracing) -> None:
    """Three proper ways to write it."""
    teacher, student = mlp().eval(), mlp()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    kl = nn.KLDivLoss(reduction="batchmean", log_target=True)
    with trace(student, optimizer):
        for x, y in classes(3):
            with torch.no_grad():
                aim = F.log_softmax(teacher(x) / 2, dim=1)
            logits = student(x)
            log_p = F.log_softmax(logits / 2, dim=1)
            one = F.kl_div(log_p, aim.exp(), reduction="batchmean") * 4
            two = kl(log_p, aim) + F.kl_div(log_p, aim.exp(), reduction="none").sum(1).mean()
            three = F.cross_entropy(logits, aim.exp())
            loss = one + two + three + F.cross_entropy(logits, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_consistency_of_two_views(trace: Tracing) -> None:
    """R-Drop: the divergence both ways, each with a graph on both sides."""

    def loss_of(logits: Tensor, y: Tensor) -> Tensor:
        p, q = logits, logits.flip(0) + 0.1
        one = F.kl_div(F.log_softmax(p, -1), F.softmax(q, -1), reduction="sum")
        other = F.kl_div(F.log_softmax(q, -1), F.softmax(p, -1), reduction="sum")
        return F.cross_entropy(p, y) + one + other

    _train(trace, mlp(), loss_of)


def sound_contrastive_both_ways(trace: Tracing) -> None:
    """As in CLIP: over the images for each text, and over the texts for each image."""

    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        logits = F.normalize(z, dim=1) @ F.normalize(torch.randn(8, 3), dim=1).T / 0.1
        own = torch.arange(len(z))
        by_hand = -F.log_softmax(logits, dim=0).diagonal().mean()
        picked = F.nll_loss(F.log_softmax(logits, dim=0), own)
        return F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own) + by_hand + picked

    _train(trace, mlp(), loss_of)


def sound_relations_between_examples(trace: Tracing) -> None:
    """Who is like whom in the batch is a distribution over the batch."""

    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            aim = F.softmax(torch.randn(len(z), len(z)), dim=0)
        return F.kl_div(F.log_softmax(z @ z.T, dim=0), aim, reduction="batchmean")

    _train(trace, mlp(), loss_of)


def sound_lists_that_are_ranked(trace: Tracing) -> None:
    """ListNet: one list, whose items stand in dimension 0."""

    def loss_of(scores: Tensor, y: Tensor) -> Tensor:
        aim = F.softmax(y.float().unsqueeze(1), dim=0)
        return F.kl_div(F.log_softmax(scores, dim=0), aim, reduction="sum")

    _train(trace, mlp(1), loss_of)


def sound_one_example_without_a_batch(trace: Tracing) -> None:
    """Its dimension 0 has the classes."""
    batches = [(x[0], y[0]) for x, y in classes(3)]
    _train(trace, mlp(), lambda z, y: F.nll_loss(F.log_softmax(z, dim=0), y), batches)


def sound_segmentation(trace: Tracing) -> None:
    """Classes in dimension 1, and targets of shape (N, H, W); and the same, flattened."""
    batches = [(torch.randn(2, 1, 4, 4), torch.randint(3, (2, 4, 4))) for _ in range(3)]

    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        log_p = F.log_softmax(z, dim=1)
        flat = log_p.permute(0, 2, 3, 1).reshape(-1, 3)
        return F.cross_entropy(z, y) + F.nll_loss(log_p, y) + F.nll_loss(flat, y.flatten())

    _train(trace, nn.Conv2d(1, 3, 3, padding=1), loss_of, batches)


def sound_attention_over_the_instances(trace: Tracing) -> None:
    """A bag of instances: attention runs over dimension 0, before the last layer."""
    net = nn.ModuleDict({"attend": nn.Linear(4, 1), "tell": nn.Linear(4, 3)})
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for bag, y in classes(3):
            weights = F.softmax(net["attend"](bag), dim=0)
            logits = net["tell"]((weights * bag).sum(0, keepdim=True))
            loss = F.nll_loss(F.log_softmax(logits, dim=1), y[:1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_gumbel_softmax(trace: Tracing) -> None:
    decoder = nn.Linear(3, 3).requires_grad_(False)

    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(decoder(F.gumbel_softmax(z, tau=0.5)), y)

    _train(trace, mlp(), loss_of)


def sound_soft_labels(trace: Tracing) -> None:
    """Distributions as targets, and advantages in the place of their ones."""

    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        hot = F.one_hot(y, 3).float()
        mixed = 0.7 * hot + 0.3 * hot.flip(0)
        return F.cross_entropy(z, mixed) + F.cross_entropy(z, hot * torch.randn(len(y), 1))

    _train(trace, mlp(), loss_of)


def sound_cosine_with_a_margin(trace: Tracing) -> None:
    """ArcFace: cosines, scaled."""

    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        cosine = F.normalize(z) @ F.normalize(torch.randn(3, 3))
        return F.cross_entropy(16 * (cosine - 0.2 * F.one_hot(y, 3)), y)

    _train(trace, mlp(), loss_of)


def sound_losses_below_zero(trace: Tracing) -> None:
    """A Gaussian's likelihood, a critic, an evidence bound: none of them ends at 0."""

    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        mean, log_var = z[:, :1], z[:, 1:2]
        aim = y.float().unsqueeze(1)
        gaussian = F.gaussian_nll_loss(mean, aim, log_var.exp())
        by_hand = (log_var + (aim - mean) ** 2 / log_var.exp()).mean() - 5
        critic = z[4:, 2].mean() - z[:4, 2].mean()
        kl = -0.5 * (1 + log_var - mean**2 - log_var.exp()).sum(1).mean()
        return gaussian + by_hand + critic + kl

    _train(trace, mlp(), loss_of)


def sound_noisy_labels_of_a_gan(trace: Tracing) -> None:
    """Labels from 0.7 to 1.2, as a known list of hacks has it."""

    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(z, 0.7 + 0.5 * torch.rand(len(z), 1))

    _train(trace, mlp(1), loss_of)


def sound_missing_labels_masked(trace: Tracing) -> None:
    """Labels of -1 are missing: their terms are dropped, or weigh nothing."""

    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        aim = F.one_hot(y, 3).float()
        aim[0] = -1.0
        known = (aim >= 0).float()
        each = F.binary_cross_entropy_with_logits(z, aim, reduction="none")
        weighed = F.binary_cross_entropy_with_logits(z, aim, weight=known)
        return (each * known).sum() / known.sum() + weighed

    _train(trace, mlp(), loss_of)


def sound_sigmoid_of_one_then_softmax(trace: Tracing) -> None:
    """A gate's sigmoid scales the scores; it is not what the criterion is given."""

    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(z * torch.sigmoid(z), y)

    _train(trace, mlp(), loss_of)


def sound_columns_with_columns(trace: Tracing) -> None:
    """(N, 1) with (N, 1), one target for all, one target for every output of an example."""

    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        equal = F.mse_loss(z[:, :1], y)
        one = F.mse_loss(z[:, 0], torch.tensor([0.5])) + ((z - 0.5) ** 2).mean()
        scalar = ((z - torch.tensor(0.3)) ** 2).mean()
        heads = F.smooth_l1_loss(z, y) + ((z - y) ** 2).mean()
        return equal + one + scalar + heads

    _train(trace, mlp(), loss_of, regression(3))


def sound_quantiles(trace: Tracing) -> None:
    """Three quantiles of one target: (N, Q) with (N, 1), and as many examples as quantiles."""

    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        error = y - z
        taus = torch.tensor([0.1, 0.5, 0.9])
        return torch.maximum(taus * error, (taus - 1) * error).mean()

    _train(trace, mlp(), loss_of, regression(3, size=3))


def sound_quantile_regression_of_a_critic(trace: Tracing) -> None:
    """QR-DQN: each quantile with each target, kept apart."""

    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            aim = y + torch.randn(len(y), 3)
        each = F.smooth_l1_loss(z.unsqueeze(2), aim.unsqueeze(1), reduction="none")
        return each.sum(1).mean()

    _train(trace, mlp(), loss_of, regression(3))


def sound_all_pairs_ranked(trace: Tracing) -> None:
    """Every score with every other: RankNet, with a target for each pair."""

    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        scores, aims = z[:, 0], y[:, 0]
        ahead = scores.unsqueeze(1) - scores.unsqueeze(0)
        wanted = aims.unsqueeze(1) - aims
        squared = ((ahead - wanted) ** 2).mean()
        column, row = scores.view(-1, 1), scores.view(1, -1)
        return squared + F.relu(1 - (column - row) * wanted.sign()).mean()

    _train(trace, mlp(), loss_of, regression(3))


def sound_each_with_each_target(trace: Tracing) -> None:
    """A dimension made on purpose: a kernel between outputs and targets."""

    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        flat = y[:, 0]
        distance = z[:, 0].unsqueeze(1) - flat
        return torch.exp(-(distance**2)).mean() + 0.1 * (distance**2).mean()

    _train(trace, mlp(), loss_of, regression(3))


def sound_weights_of_examples(trace: Tracing) -> None:
    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        weights = torch.rand(len(y))
        each = F.mse_loss(z[:, 0], y[:, 0], reduction="none")
        return (weights * each).mean() + (weights[:, None] * (z - y) ** 2).mean()

    _train(trace, mlp(), loss_of, regression(3))


def sound_centres_of_clusters(trace: Tracing) -> None:
    """The nearest of all centres, out of as many as there are examples."""

    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        centres = torch.linspace(-1, 1, len(z))
        return ((z[:, :1] - centres) ** 2).min(dim=1).values.mean()

    _train(trace, mlp(), loss_of)


def sound_double_attention(trace: Tracing) -> None:
    """A softmax of a softmax's output inside a network, with a layer between."""
    net = mlp(4)
    head = nn.Linear(4, 3).requires_grad_(False)

    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        inner = F.softmax(z / math.sqrt(4), dim=1)
        return F.nll_loss(torch.log(F.softmax(head(inner), dim=1)), y)

    _train(trace, net, loss_of)


def sound_dual_softmax(trace: Tracing) -> None:
    """Retrieval: similarities weighed by a softmax over the other side."""

    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        similar = z @ torch.randn(8, 3).T
        own = torch.arange(len(z))
        return F.cross_entropy(similar * F.softmax(similar, dim=0) * len(z), own)

    _train(trace, mlp(), loss_of)


def sound_ctc(trace: Tracing) -> None:
    """CTC wants log-probabilities with the time in dimension 0."""
    net = nn.Linear(4, 5)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _ in range(3):
            log_p = F.log_softmax(net(torch.randn(6, 2, 4)), dim=2)
            aim = torch.randint(1, 5, (2, 3))
            loss = F.ctc_loss(log_p, aim, torch.tensor([6, 6]), torch.tensor([3, 3]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_energy_distance(trace: Tracing) -> None:
    """Every sample with every other, of a network's and of the data."""

    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        samples, data = z[:, 0], y[:, 0]
        apart = (samples[:, None] - data[None, :]).abs().mean()
        own = (samples.unsqueeze(1) - samples.unsqueeze(0)).abs().mean()
        return apart - 0.5 * own

    _train(trace, mlp(), loss_of, regression(3))


def sound_tiled_by_ones(trace: Tracing) -> None:
    """A column times a row of ones is that column, so many times."""
    ones = torch.ones(8)
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in regression(3):
            tiled = net(x) * ones
            loss = (tiled - y).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_negative_smoothing(trace: Tracing) -> None:
    """Targets with entries below 0 on purpose: less than nothing for the other classes."""

    def loss_of(z: Tensor, y: Tensor) -> Tensor:
        hot = F.one_hot(y, 3).float()
        margin = hot - hot.roll(1, dims=1)
        return F.cross_entropy(z, 1.2 * hot - 0.2 / 3) + F.cross_entropy(z, margin)

    _train(trace, mlp(), loss_of)


def sound_residual_of_an_equation(trace: Tracing) -> None:
    """A physics-informed loss: columns of points, derivatives, and zeros like them."""
    net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for _ in range(3):
            t = torch.rand(8, 1, requires_grad=True)
            u = net(t)
            (slope,) = torch.autograd.grad(u.sum(), t, create_graph=True)
            residual = slope + 2 * t * u
            loss = F.mse_loss(residual, torch.zeros_like(residual)) + (u[0] - 1.0).square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_mixture_density(trace: Tracing) -> None:
    """(N, K) components beside (N, 1) targets, as many of both, and a sum of likelihoods."""
    net = mlp(9)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in regression(3, size=3):
            weight, mean, scale = net(x).chunk(3, dim=1)
            log_p = -((y - mean) ** 2) / (2 * scale.exp() ** 2) - scale
            loss = -torch.logsumexp(F.log_softmax(weight, dim=1) + log_p, dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
