"""Objects of the user's that mind being looked at, wherever a variable may hold them."""

from __future__ import annotations

from tests.package.isolation.fuzzing.ingredients.objects import OBJECTS
from tests.package.isolation.fuzzing.parts import Ingredient

# Where it is kept → before the loop, and in it.
PLACES: dict[str, tuple[str, str]] = {
    "a variable": ("", "strange = {made}"),
    "a list": ("strangers = []", "strangers.append({made})"),
    "a list, +=": ("strangers = []", "strangers += [{made}]"),
    "a dict": ("strange_ones = {{}}", "strange_ones[step] = {made}"),
    "the holder": ("", "holder.strange = {made}"),
    "the network": ("", "net.strange = {made}"),
    "the network's __dict__": ("", "net.__dict__['strange'] = {made}"),
    "a global": ("", "globals()['strange_global'] = {made}"),
    "self": (
        "",
        """
self = {made}
del self
""",
    ),
    "an argument": ("", "(lambda one, self=None: one)({made})"),
    "an argument self": ("", "(lambda self: None)({made})"),
    "an added variable": (
        "",
        """
adding = [0]
adding += [{made}]
adding = None
""",
    ),
    "a for": (
        "",
        """
for strange_item in [{made}]:
    between = 1
""",
    ),
    "a with": (
        "",
        """
with contextlib.nullcontext({made}) as strange_thing:
    between = 1
""",
    ),
}


def _held(name: str, place: str) -> Ingredient:
    made, text = OBJECTS[name]
    before, body = PLACES[place]
    return Ingredient(
        f"{name} in {place}", body.format(made=made), setup=text, before=before.format()
    )


# Those that a look at their class is enough for, where a variable's value is likely looked at.
LIKELY = [
    _held(name, place)
    for name in list(OBJECTS)[:7]
    for place in ("a variable", "a list", "a list, +=", "the holder", "the network", "self")
]
HOSTILE = (
    LIKELY * 8
    + [_held(name, place) for name in OBJECTS for place in PLACES]
    + [
        Ingredient("no text among the globals", ready="globals()[7] = globals()[None] = 'odd'\n"),
        Ingredient("no text among the holder's", "holder.__dict__[step] = 1"),
        Ingredient(
            "a global named like a builtin",
            ready="""
list_, id = list, lambda *args: count('id') or 1
isinstance_ = isinstance
""",
        ),
        Ingredient(
            "a dead proxy is added to",
            """
try:
    strange_total += loss.detach()
except ReferenceError:
    count('dead')
""",
            (2, 3, 4),
            setup="""
class Gone:
    pass
""",
            before="strange_total = weakref.proxy(Gone())",
        ),
        Ingredient(
            "a network that was not initialised",
            "unfinished.append(nn.Module.__new__(nn.Linear))",
            before="unfinished = []",
        ),
        Ingredient(
            "an optimizer that was not initialised",
            "unfinished.append(torch.optim.SGD.__new__(torch.optim.SGD))",
            before="unfinished = []",
        ),
        Ingredient(
            "a module with a hostile hash is called",
            "print(plain(torch.ones(1)).item())",
            setup="""
class Plain(nn.Module):
    def __hash__(self):
        count("module hashed")
        return 3
    def __eq__(self, other):
        count("module compared")
        return True
    def forward(self, x):
        return x * 2
plain = Plain()
""",
        ),
    ]
)
