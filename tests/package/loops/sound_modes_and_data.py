"""Nothing to blame: teachers, averages, dropouts, frozen weights and loaders."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def network(width: int = 8, n_out: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(4, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(width, n_out),
    )  # fmt: skip


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module) -> None:
    for ours, theirs in zip(teacher.parameters(), student.parameters(), strict=True):
        ours.lerp_(theirs, 0.05)


def sound_mean_teacher_in_train_mode(trace: Tracing) -> None:
    """Its dropout and its own batch's statistics are meant, and its parameters move."""
    student = network()
    teacher = copy.deepcopy(student).requires_grad_(False)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    with trace(student, teacher, optimizer):
        for x, y in classes(4):
            outputs = student(x)
            loss = F.cross_entropy(outputs, y) + F.mse_loss(outputs, teacher(x))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            follow(teacher, student)


def sound_teacher_of_its_own_that_moves(trace: Tracing) -> None:
    """Restored from somewhere, so it is no copy; it follows, in training mode."""
    student, teacher = network(), network().requires_grad_(False)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    with trace(student, teacher, optimizer):
        for x, y in classes(4):
            outputs = student(x)
            loss = F.cross_entropy(outputs, y) + F.mse_loss(outputs, teacher(x))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            follow(teacher, student)


def sound_target_that_is_renewed_later(trace: Tracing) -> None:
    """A copy that stands still for a while, in train mode like its original."""
    policy = network()
    target = copy.deepcopy(policy)
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.01)
    with trace(policy, target, optimizer):
        for i, (x, a) in enumerate(classes(6)):
            with torch.no_grad():
                goal = target(x).max(1).values
            loss = F.smooth_l1_loss(policy(x).gather(1, a[:, None]).squeeze(1), goal)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if i == 4:
                target.load_state_dict(policy.state_dict())


def sound_frozen_copy_renewed_later(trace: Tracing) -> None:
    student = network()
    teacher = copy.deepcopy(student).requires_grad_(False)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    with trace(student, teacher, optimizer):
        for x, y in classes(4):
            outputs = student(x)
            loss = F.cross_entropy(outputs, y) + F.mse_loss(outputs, teacher(x))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_teacher_without_such_layers(trace: Tracing) -> None:
    """There is nothing in it that eval() would change: a dropout of 0, no batch norm."""
    teacher = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Dropout(0.0), nn.Linear(8, 3))
    teacher.requires_grad_(False)
    student = network()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    with trace(student, teacher, optimizer):
        for x, _ in classes(4):
            loss = F.mse_loss(student(x), teacher(x))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_teacher_with_its_dropout_awake(trace: Tracing) -> None:
    """Eval mode but for the dropout, sampled again and again: uncertainty on purpose."""
    teacher, student = network(16).requires_grad_(False).eval(), network()
    for module in teacher.modules():
        if isinstance(module, nn.Dropout):
            module.train()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    with trace(student, teacher, optimizer):
        for x, _ in classes(4):
            soft = torch.stack([teacher(x) for _ in range(4)]).mean(0)
            loss = F.mse_loss(student(x), soft)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_teacher_sampled(trace: Tracing) -> None:
    """All of it in training mode, several times on a line."""
    teacher, student = network(16).requires_grad_(False), network()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    with trace(student, teacher, optimizer):
        for x, _ in classes(4):
            soft = torch.stack([teacher(x) for _ in range(4)]).mean(0)
            loss = F.mse_loss(student(x), soft)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_frozen_backbone_in_train_mode(trace: Tracing) -> None:
    """A part of a network: torch's own tutorial on transfer learning does so."""
    net = network()
    net[:2].requires_grad_(False)
    optimizer = torch.optim.SGD(net[4].parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def sound_average_in_train_mode(trace: Tracing) -> None:
    """Its batch norm has statistics of its own: they are not to be copied."""
    student = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    key = copy.deepcopy(student).requires_grad_(False)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    with trace(student, key, optimizer):
        for x, y in classes(4):
            with torch.no_grad():
                follow(key, student)
                keys = F.normalize(key(x + 0.1))
            logits = F.normalize(student(x)) @ keys.T
            optimizer.zero_grad()
            F.cross_entropy(logits, torch.arange(len(y))).backward()
            optimizer.step()


def sound_average_that_is_not_used_yet(trace: Tracing) -> None:
    """Its statistics are found at the end, as `update_bn` does."""
    net = network()
    average = copy.deepcopy(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    batches = classes(4)
    with trace(net, average, optimizer):
        for x, y in batches:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            follow(average, net)
        torch.optim.swa_utils.update_bn([x for x, _ in batches], average)
        average.eval()
        with torch.no_grad():
            print(average(batches[0][0]).argmax(1))


class MonteCarlo(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = F.dropout(torch.relu(self.fc1(x)), p=0.2, training=True)
        out: Tensor = self.fc2(h)
        return out


class AskedFirst(MonteCarlo):
    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.fc1(x))
        if self.training:
            h = F.dropout(h, 0.3)
        h = F.dropout(h, 0.3 if self.training else 0.0)
        out: Tensor = self.fc2(F.dropout(h, 0.3, self.training))
        return out


def sound_dropouts_that_are_meant(trace: Tracing) -> None:
    for net in (MonteCarlo(), AskedFirst()):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        with trace(net, optimizer):
            for x, y in classes(3):
                net.train()
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
                net.eval()
                with torch.no_grad():
                    print(net(x).argmax(1), net(F.dropout(x, 0.1)).argmax(1))


def sound_codebook_moved_by_hand(trace: Tracing) -> None:
    """A parameter that autograd leaves alone, and that nothing else moves."""
    net = mlp(4)
    codes = nn.Parameter(torch.randn(6, 4), requires_grad=False)
    net.register_parameter("codes", codes)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, _ in classes(4):
            outputs = net(x)
            nearest = torch.cdist(outputs, codes).argmin(1)
            loss = F.mse_loss(outputs, codes[nearest])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            codes.data.mul_(0.9)
            codes.data.index_add_(0, nearest, outputs.detach(), alpha=0.1)


def sound_all_weights_written_and_put_back(trace: Tracing) -> None:
    """Noise for one forward, a lookahead, and a largest norm: the frozen ones stay."""
    net = mlp()
    net[0].requires_grad_(False)
    optimizer = torch.optim.SGD(net[2].parameters(), lr=0.1)
    slow = [p.detach().clone() for p in net.parameters()]
    with trace(net, optimizer), torch.no_grad():
        for x, y in classes(5):
            kept = [p.clone() for p in net.parameters()]
            for p in net.parameters():
                p.add_(torch.randn_like(p), alpha=0.1)
            with torch.enable_grad():
                loss = F.cross_entropy(net(x), y)
            for p, old in zip(net.parameters(), kept, strict=True):
                p.copy_(old)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            for p, old in zip(net.parameters(), slow, strict=True):
                p.copy_(old.lerp_(p, 0.5))
                p.clamp_(-0.3, 0.3)


def sound_written_while_frozen(trace: Tracing) -> None:
    """By hand, each parameter frozen for as long as it is written."""
    net = mlp()
    with trace(net):
        for x, y in classes(4):
            F.cross_entropy(net(x), y).backward()
            for p in net.parameters():
                p.requires_grad_(False)
                assert p.grad is not None
                p.sub_(p.grad, alpha=0.1)
                p.requires_grad_(True)
                p.grad = None


def rows(n: int = 48) -> TensorDataset:
    return TensorDataset(torch.randn(n, 4), torch.randint(3, (n,)))


def step(net: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    optimizer.zero_grad()
    loss = F.cross_entropy(net(x), y)
    loss.backward()
    optimizer.step()


class Endless(Dataset[Tensor]):
    """Whatever the index: a row that nobody has seen."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, i: int) -> Tensor:
        return torch.randn(5)


def sound_loaders_begun_anew(trace: Tracing) -> None:
    """Shuffled rows, all rows, and rows that are made up."""
    for loader in (DataLoader(rows(), 8, shuffle=True), DataLoader(rows(), 48)):
        net = mlp()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        with trace(net, optimizer):
            for _ in range(4):
                x, y = next(iter(loader))
                step(net, optimizer, x, y)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    endless = DataLoader(Endless(), 8)
    with trace(net, optimizer):
        for _ in range(4):
            both = next(iter(endless))
            step(net, optimizer, both[:, :4], (both[:, 4] > 0).long())


def sound_one_batch_on_purpose(trace: Tracing) -> None:
    """The sanity test: fetched once, or the epoch left after its first batch."""
    net, loader = mlp(), DataLoader(rows(), 8)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        x, y = next(iter(loader))
        for _ in range(4):
            step(net, optimizer, x, y)
        for _ in range(4):
            for xb, yb in loader:
                step(net, optimizer, xb, yb)
                break


def sound_same_batch_to_look_at(trace: Tracing) -> None:
    """Each step learns from other rows, and looks at the same ones; or learns from all."""
    net, loader = mlp(), DataLoader(rows(), 8)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x, y = torch.randn(8, 4), torch.randint(3, (8,))
    with trace(net, optimizer):
        for xb, yb in classes(4):
            step(net, optimizer, xb, yb)
            xv, yv = next(iter(loader))
            print(F.cross_entropy(net(xv), yv).item())
        for _ in range(4):
            step(net, optimizer, x, y)
            xv, yv = next(iter(loader))
            with torch.no_grad():
                print(F.cross_entropy(net(xv), yv).item())
        for _ in range(4):
            xv, yv = next(iter(loader))
            print(F.cross_entropy(net(xv), yv).item())
            step(net, optimizer, x, y)
        for _ in range(4):
            xv, yv = next(iter(loader))
            print(xv.mean(), yv)
            step(net, optimizer, x, y)


def sound_rollout_before_the_step(trace: Tracing) -> None:
    """The policy acts with its dropout on; the backward comes later, and reaches all of it."""
    policy = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), nn.Tanh(), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.01)
    with trace(policy, optimizer):
        for _ in range(3):
            state, chances = torch.randn(8, 4), []
            for _ in range(3):
                chance = policy(state).log_softmax(1)
                chances.append(chance[:, 0])
                state = state + 0.1
            loss = -torch.stack(chances).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_forwards_for_other_gradients(trace: Tracing) -> None:
    """An attack and a look at the inputs, in training mode, by `torch.autograd.grad`."""
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3):
            near = x.clone().requires_grad_(True)
            (slope,) = torch.autograd.grad(F.cross_entropy(net(near), y), near)
            loss = F.cross_entropy(net(x + 0.1 * slope.sign()), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            (slope,) = torch.autograd.grad(net(near).sum(), near)
            print(slope.abs().mean())


def sound_labels_that_the_network_makes_up(trace: Tracing) -> None:
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for (x, y), (unlabelled, _) in zip(classes(4), classes(4), strict=True):
            labels = net(unlabelled).argmax(1)
            loss = F.cross_entropy(net(x), y) + F.cross_entropy(net(unlabelled + 0.1), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
