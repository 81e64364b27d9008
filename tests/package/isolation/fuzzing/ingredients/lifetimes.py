"""What lives how long, who refers to it, what is copied, and which warnings are heard."""

from __future__ import annotations

from tests.package.isolation.fuzzing.parts import BACKWARD, END, LOSS, START, Ingredient

DEAD = """
class Gone:
    pass
"""
FALLING = """
class Falling:
    def __init__(self, n):
        self.n = n
    def __del__(self):
        print('falls', self.n)
"""

LIFETIMES = [
    Ingredient(
        "del, then a weak reference",
        """
gone = Gone()
watching_it = weakref.ref(gone)
del gone
print(watching_it() is None)
""",
        setup=DEAD,
    ),
    Ingredient(
        "del and a weak reference on a line",
        """
gone = Gone(); watching_it = weakref.ref(gone)
del gone; print(watching_it() is None)
""",
        setup=DEAD,
    ),
    Ingredient(
        "bound anew and a weak reference on a line",
        """
gone = Gone()
watching_it = weakref.ref(gone)
gone = 0; print(watching_it() is None)
""",
        setup=DEAD,
    ),
    Ingredient(
        "a tensor is deleted",
        """
extra = torch.ones(3)
memory = weakref.ref(extra.untyped_storage())
del extra
print(memory() is None)
""",
    ),
    Ingredient(
        "the loss's graph is gone after it",
        """
memory = weakref.ref(outputs.untyped_storage())
del loss, outputs
print(memory() is None)
""",
        (BACKWARD, END),
    ),
    Ingredient(
        "__del__ on its line",
        """
falling = Falling(step)
falling = None
print('after', step)
""",
        setup=FALLING,
    ),
    Ingredient(
        "__del__ as a step begins anew",
        "falling_late = Falling(step)",
        setup=FALLING,
    ),
    Ingredient(
        "__del__ in a function's variables",
        """
falls(step)
print('after it')
""",
        setup=FALLING
        + """def falls(n):
    one = Falling(n)
    one = None
    two = Falling(-n)
    del two
    print('end of falls')
""",
    ),
    Ingredient(
        "references counted",
        """
kept_things.append(Gone())
print(sys.getrefcount(kept_things[-1]))
""",
        setup=DEAD + "kept_things = []\n",
    ),
    Ingredient(
        "references of a variable",
        """
counted_one = Gone()
print(sys.getrefcount(counted_one))
""",
        setup=DEAD,
    ),
    Ingredient("references of the batch", "print(sys.getrefcount(x))"),
    Ingredient("references of the loss", "print(sys.getrefcount(loss))", (LOSS, BACKWARD, END)),
    Ingredient(
        "references of gradients",
        "print([sys.getrefcount(p.grad) for p in net.parameters() if p.grad is not None])",
        (BACKWARD,),
    ),
    Ingredient(
        "use counts of tensors",
        "print([p._use_count() for p in net.parameters()],"
        " [p.grad._use_count() for p in net.parameters() if p.grad is not None])",
        (START, BACKWARD, END),
    ),
    Ingredient(
        "a cycle is collected",
        """
gone = Gone()
gone.itself = gone
watching_it = weakref.ref(gone)
del gone
gc.collect()
print(watching_it() is None)
""",
        setup=DEAD,
        slow=True,
    ),
    Ingredient(
        "garbage is counted", "gc.collect(); print(gc.collect(), len(gc.garbage))", slow=True
    ),
    Ingredient("gc callbacks", "gc.collect(0)", setup="gc.callbacks.append(lambda *_: None)\n"),
    Ingredient(
        "warnings counted",
        """
with warnings.catch_warnings(record=True) as heard:
    warnings.simplefilter('always')
    warnings.warn('careful')
    net(x)
print([str(w.message) for w in heard])
""",
    ),
    Ingredient(
        "warnings are errors",
        around="""
with warnings.catch_warnings():
    warnings.simplefilter('error')
    ...
""",
    ),
    Ingredient(
        "all warnings are heard",
        around="""
with warnings.catch_warnings(record=True) as heard_all:
    warnings.simplefilter('always')
    ...
print(sorted({str(w.message)[:60] for w in heard_all}))
""",
    ),
    Ingredient("a warning of the script", "warnings.warn(f'careful at {step % 2}')"),
    Ingredient(
        "deepcopy of the network",
        """
twin = copy.deepcopy(net)
print(digest(*twin.parameters()), sorted(vars(twin)) == sorted(vars(net)))
""",
        (START, END),
    ),
    Ingredient(
        "deepcopy of the optimizer",
        """
twin_optimizer = copy.deepcopy(optimizer)
print(sorted(map(str, vars(twin_optimizer))) if twin_optimizer else None)
""",
        (START, END),
    ),
    Ingredient(
        "attributes of the network and its parameters",
        "print(sorted(vars(net)), [sorted(vars(p)) for p in net.parameters()],"
        " [len(p._backward_hooks or ()) for p in net.parameters()])",
    ),
    Ingredient(
        "weak references",
        "print([weakref.getweakrefcount(p) for p in net.parameters()],"
        " weakref.getweakrefcount(net) > 9)",
    ),
    Ingredient(
        "torch.save",
        """
buffer = io.BytesIO()
torch.save(net.state_dict(), buffer)
print(len(buffer.getvalue()))
""",
        (START, END),
    ),
    Ingredient(
        "swap_tensors",
        """
p = next(net.parameters())
other_one = nn.Parameter(p.detach().clone())
torch.utils.swap_tensors(p, other_one)
torch.utils.swap_tensors(p, other_one)
""",
        (START,),
    ),
]
