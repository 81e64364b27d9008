"""Networks: small ones, and those whose class does something of its own."""

from __future__ import annotations

from tests.package.isolation.fuzzing.parts import Network

REGRESSION = """
def criterion(outputs, targets):
    return F.mse_loss(outputs, targets)
def batch():
    return torch.randn(8, 4), torch.randn(8, 1)
"""
NET = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = {body}
    def forward(self, x):
        count("forward")
        return self.body(x)
{own}net = Net()
"""
SMALL = "nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))"
NORM = """nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 1)
        )"""
LARGE = "nn.Sequential(nn.Linear(4, 300), nn.Tanh(), nn.Linear(300, 8), nn.Linear(8, 1))"


def _net(body: str = SMALL, own: str = "", more: str = REGRESSION) -> str:
    return NET.format(body=body, own=own) + more


NETWORKS = [
    Network("small", _net()),
    Network("batchnorm and dropout", _net(NORM)),
    Network("large", _net(LARGE)),
    Network(
        "embedding",
        _net("nn.Sequential(nn.Embedding(12, 6), nn.Flatten(), nn.Linear(18, 3))", more="")
        + """
criterion = nn.CrossEntropyLoss()
def batch():
    return torch.randint(12, (8, 3)), torch.randint(3, (8,))
""",
    ),
    Network(
        "tied",
        _net("nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Linear(4, 1))")
        + "net.body[2].weight = net.body[0].weight\n",
    ),
    Network("frozen", _net(LARGE) + "net.body[0].requires_grad_(False)\n"),
    Network("frozen batchnorm", _net(NORM) + "net.body[1].requires_grad_(False)\n"),
    Network(
        "sequential without a class",
        f"net = {SMALL}\nnet.register_forward_hook(lambda *_: count('forward'))\n{REGRESSION}",
    ),
    Network(
        "unhashable criterion",
        _net(more="")
        + """
@dataclasses.dataclass(eq=True)
class Criterion(nn.Module):
    weight: float = 1.0
    def __post_init__(self):
        super().__init__()
    def forward(self, outputs, targets):
        return self.weight * F.mse_loss(outputs, targets)
criterion = Criterion()
def batch():
    return torch.randn(8, 4), torch.randn(8, 1)
""",
    ),
    Network(
        "counting __eq__",
        _net(
            own="""\
    def __eq__(self, other):
        count("net ==")
        return True
    def __hash__(self):
        return 1
"""
        ),
    ),
    Network(
        "a __getattr__ that hands on",
        _net(
            own="""\
    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            count("missing " + name)
            return getattr(super().__getattr__("body"), name)
"""
        ),
    ),
    Network(
        "__len__ and __bool__",
        _net(
            own="""\
    def __len__(self):
        count("len of net")
        return 0
    def __iter__(self):
        count("iter of net")
        return iter(self.body)
"""
        ),
    ),
    Network(
        "its own parameters()",
        _net(
            own="""\
    def named_parameters(self, *args, **kwargs):
        count("named_parameters")
        return super().named_parameters(*args, **kwargs)
"""
        ),
    ),
    Network(
        "its own __call__ and train()",
        _net(
            own="""\
    def __call__(self, *args):
        count("call")
        return super().__call__(*args)
    def train(self, mode=True):
        count("train")
        return super().train(mode)
"""
        ),
    ),
    Network(
        "double", _net() + "net = net.double()\nbatch = lambda b=batch: [t.double() for t in b()]"
    ),
    Network(
        "weight_norm",
        _net(
            "nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 8)), nn.Linear(8, 1))"
        ),
    ),
]
