"""Modes and tensor subclasses that see, and count, each call of torch."""

from __future__ import annotations

from tests.package.isolation.fuzzing.parts import Ingredient

FUNCTION = """
from torch.overrides import TorchFunctionMode
class Calls(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        count("function " + getattr(function, "__name__", "?"))
        return function(*args, **(kwargs or {}))
"""
DISPATCH = """
from torch.utils._python_dispatch import TorchDispatchMode
class Operations(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        count("operation " + str(function))
        return function(*args, **(kwargs or {}))
"""
SUBCLASS = """
class Seen(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        count("seen " + getattr(function, "__name__", "?"))
        return super().__torch_function__(function, types, args, kwargs or {})
"""
PARAMETER = """
class Named(nn.Parameter):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        count("named " + getattr(function, "__name__", "?"))
        return super().__torch_function__(function, types, args, kwargs or {})
    def __repr__(self):
        count("repr of a parameter")
        return "named"
"""
SEEN_IN = """
outputs = net(x.as_subclass(Seen))
loss = criterion(outputs, y)
"""
WRAPPER = """
class Wrapped(torch.Tensor):
    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, dtype=inner.dtype, requires_grad=inner.requires_grad
        )
    def __init__(self, inner):
        self.wrapped_one = inner
    def __repr__(self):
        return "wrapped"
    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        count("wrapped " + str(function))
        def bare(one):
            if isinstance(one, (list, tuple)):
                return type(one)(map(bare, one))
            return one.wrapped_one if isinstance(one, Wrapped) else one
        result = function(*map(bare, args), **{k: bare(v) for k, v in (kwargs or {}).items()})
        inplace = str(function).split(".")[1].endswith("_")
        if inplace:
            return args[0]
        return Wrapped(result) if function is torch.ops.aten.detach.default else result
"""
SWAP = """
for module in net.modules():
    for name, p in list(module._parameters.items()):
        if p is not None and p.dim() == 1:
            module._parameters[name] = {made}
"""
REBUILD = """
if optimizer is not None:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
"""


def _parameters(name: str, setup: str, made: str) -> Ingredient:
    """Some parameters are of another class; the optimizer takes them."""
    return Ingredient(name, setup=setup, ready=SWAP.format(made=made) + REBUILD)


MODES = [
    *(
        Ingredient(f"{name} {where}", setup=setup, **{field: f"with {mode}:\n    ..."})  # type: ignore[arg-type]
        for name, setup, mode in (
            ("function mode", FUNCTION, "Calls()"),
            ("dispatch mode", DISPATCH, "Operations()"),
            ("both modes", FUNCTION + DISPATCH, "Calls(), Operations()"),
        )
        for where, field in (("around the loop", "around"), ("inside the step", "inside"))
    ),
    Ingredient(
        "function mode around everything",
        setup=FUNCTION,
        ready="""
whole_mode = Calls()
whole_mode.__enter__()
""",
        after="whole_mode.__exit__(None, None, None)",
    ),
    _parameters("parameters of a subclass", SUBCLASS, "nn.Parameter(p.detach().as_subclass(Seen))"),
    _parameters("a parameter class", PARAMETER, "Named(p.detach(), p.requires_grad)"),
    _parameters("wrapped parameters", WRAPPER, "nn.Parameter(Wrapped(p.detach()))"),
    Ingredient(
        "inputs of a subclass",
        setup=SUBCLASS,
        forward=SEEN_IN,
    ),
    Ingredient(
        "inputs of a subclass, summed",
        "total_seen += loss",
        (2, 3, 4),
        setup=SUBCLASS,
        before="total_seen = 0",
        forward=SEEN_IN,
    ),
    Ingredient(
        "a loss of a subclass, kept",
        "kept_seen.append(loss)",
        (2, 3, 4),
        setup=SUBCLASS,
        before="kept_seen = []",
        forward="""
outputs = net(x)
loss = criterion(outputs, y.as_subclass(Seen))
""",
    ),
    Ingredient(
        "backward of a subclass's loss by the function",
        setup=SUBCLASS,
        forward="""
outputs = net(x)
loss = criterion(outputs, y.as_subclass(Seen))
""",
        backward="torch.autograd.backward([loss])",
    ),
    Ingredient(
        "a gradient of a subclass",
        """
for p in net.parameters():
    if p.grad is not None:
        p.grad = p.grad.as_subclass(Seen)
""",
        (3,),
        setup=SUBCLASS,
    ),
    Ingredient(
        "a loss with a subclass's targets and another shape",
        """
with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    F.mse_loss(torch.ones(3, 1).as_subclass(Seen), torch.arange(3.0).as_subclass(Seen))
""",
        setup=SUBCLASS,
    ),
    Ingredient(
        "DisableTorchFunction",
        inside="""
with torch._C.DisableTorchFunctionSubclass():
    ...
""",
    ),
]
