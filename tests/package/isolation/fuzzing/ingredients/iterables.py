"""Iterators and iterables of the user's, which can be used up, and which count."""

from __future__ import annotations

from tests.package.isolation.fuzzing.parts import BACKWARD, END, LOSS, Ingredient

COUNTED = """
class Counted(list):
    def __iter__(self):
        count("iterated")
        return super().__iter__()
    def __len__(self):
        count("len asked")
        return super().__len__()
"""
TWO = """
outputs = net(x)
loss = criterion(outputs, y)
losses = [loss, criterion(net(x), y)]
"""


def _backward(name: str, call: str, setup: str = "") -> Ingredient:
    return Ingredient(name, setup=setup, forward=TWO, backward=call)


ITERABLES = [
    _backward("backward of a generator", "torch.autograd.backward(one for one in losses)"),
    _backward("backward of a map", "torch.autograd.backward(map(lambda one: one * 2, losses))"),
    _backward("backward of an iterator", "torch.autograd.backward(iter(losses))"),
    _backward("backward of a filter", "torch.autograd.backward(filter(torch.is_tensor, losses))"),
    _backward("backward of a reversed list", "torch.autograd.backward(reversed(losses))"),
    _backward(
        "backward of a list that counts", "torch.autograd.backward(Counted(losses))", COUNTED
    ),
    _backward(
        "backward of a dict's values",
        "torch.autograd.backward({i: one for i, one in enumerate(losses)}.values())",
    ),
    _backward(
        "backward of a generator that counts",
        "torch.autograd.backward(counted(losses))",
        """
def counted(losses):
    for one in losses:
        count('asked')
        yield one
""",
    ),
    _backward(
        "backward of a zip with grad_tensors",
        "torch.autograd.backward((one for one in losses), grad_tensors=[torch.ones(())] * 2)",
    ),
    _backward(
        "inputs= a generator",
        "torch.autograd.backward(losses, inputs=[p for p in net.parameters() if p.requires_grad])",
    ),
    _backward(
        "inputs= a list that counts",
        "torch.autograd.backward(losses, inputs=Counted(filter(wants, net.parameters())))",
        COUNTED
        + """
def wants(p):
    return p.requires_grad
""",
    ),
    Ingredient(
        "clip_grad_norm_ of a generator",
        "nn.utils.clip_grad_norm_((p for p in net.parameters() if p.grad is not None), 0.5)",
        (BACKWARD,),
    ),
    Ingredient(
        "clip_grad_value_ of a filter",
        "nn.utils.clip_grad_value_(filter(lambda p: p.grad is not None, net.parameters()), 0.1)",
        (BACKWARD,),
    ),
    Ingredient("losses kept", "kept.append(loss)", (LOSS, END), before="kept = []"),
    Ingredient(
        "losses kept in a list that counts",
        "kept.append(loss)",
        (LOSS, BACKWARD, END),
        setup=COUNTED,
        before="kept = Counted()",
    ),
    Ingredient(
        "kept += in a list that counts",
        "kept += [loss]",
        (LOSS, BACKWARD, END),
        setup=COUNTED
        + """
class Looking(Counted):
    def __getitem__(self, i):
        count('looked at')
        return super().__getitem__(i)
""",
        before="kept = Looking()",
    ),
    Ingredient("total += loss", "total += loss", (LOSS, BACKWARD, END), before="total = 0"),
    Ingredient(
        "total = total + loss",
        "total = total + loss",
        (LOSS, BACKWARD, END),
        before="total = 0",
    ),
    Ingredient(
        "loss += a penalty", "loss += sum(p.square().sum() for p in net.parameters())", (LOSS,)
    ),
    Ingredient("loss = loss - loss * 0.5", "loss = loss - loss * 0.5", (LOSS,)),
    Ingredient(
        "a named iterator is used in between",
        "print(next(numbers))",
        before="numbers = iter(range(100))",
    ),
    Ingredient(
        "subscripts that count",
        "table['loss'] += loss.detach()",
        (LOSS, BACKWARD, END),
        setup="""
class Table(dict):
    def __getitem__(self, name):
        count("read " + name)
        return super().__getitem__(name)
""",
        before="table = Table(loss=0)",
    ),
    Ingredient(
        "attributes that count",
        "meter.total += loss.detach()",
        (LOSS, BACKWARD, END),
        setup="""
class Meter:
    def __init__(self):
        self.kept = 0
    @property
    def total(self):
        count("total read")
        return self.kept
    @total.setter
    def total(self, value):
        count("total set")
        self.kept = value
""",
        before="meter = Meter()",
    ),
    Ingredient(
        "a property gives a gradient",
        """
if probe.value.grad is not None:
    count('has one')
""",
        (LOSS, BACKWARD, END),
        setup="""
class Probe:
    @property
    def value(self):
        count("value read")
        return next(net.parameters())
""",
        before="probe = Probe()",
    ),
]
