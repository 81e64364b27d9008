"""Exceptions of the script's own, caught and uncaught, with their tracebacks."""

from __future__ import annotations

from typing import Any

from tests.package.isolation.fuzzing.parts import ANYWHERE, BACKWARD, END, LOSS, Ingredient

RAISES = {
    "a division": "1 / (step - 2)",
    "a key": "{}[step] if step == 2 else None",
    "its own error": """
if step == 2:
    raise Own('in step', step)
""",
    "an error with a strange text": """
if step == 2:
    raise Strange()
""",
    "two errors": """
if step == 2:
    try:
        {}["first"]
    except KeyError as first:
        raise Own("second") from first
""",
    "an error of torch": """
if step == 2:
    torch.ones(2) @ torch.ones(3)
""",
    "an error in the forward": """
if step == 2:
    net(torch.ones(2, 999, dtype=torch.float16))
""",
    "an error in backward": """
if step == 2:
    torch.ones(1).backward()
""",
    "an error in a hook": """
if step == 2:
    handle = net.register_forward_hook(lambda *_: 1 / 0)
    try:
        net(x)
    finally:
        handle.remove()
""",
    "an error in a generator": """
if step == 2:
    sum(1 / (i - 1) for i in range(3))
""",
    "an assertion": "assert step != 2, 'two'",
    "StopIteration": """
if step == 2:
    next(x for x in ())
""",
    "a group": """
if step == 2:
    raise BaseExceptionGroup('many', [Own(1), KeyError(2)])
""",
    "an error in a context": """
if step == 2:
    with contextlib.suppress(KeyError):
        [][1]
""",
    "an error without a line": """
if step == 2:
    exec('1 / 0')
""",
    "GeneratorExit": """
if step == 2:
    raise GeneratorExit
""",
    "KeyboardInterrupt": """
if step == 2:
    raise KeyboardInterrupt
""",
    "MemoryError": """
if step == 2:
    raise MemoryError('pretended')
""",
    "sys.exit()": """
if step == 2:
    sys.exit()
""",
    "sys.exit(4)": """
if step == 2:
    sys.exit(4)
""",
    "sys.exit(words)": """
if step == 2:
    sys.exit('enough')
""",
}
CLASSES = """
class Own(Exception):
    pass
class Strange(Exception):
    def __str__(self):
        count("str of an error")
        return "strange"
    __repr__ = __str__
"""
DEEP = """
def deep(n):
    return deep(n + 1)
"""
CAUGHT: dict[str, dict[str, Any]] = {
    "uncaught": {},
    "caught in the step": {
        "inside": """
try:
    ...
except BaseException:
    print(traceback.format_exc())
"""
    },
    "caught quietly in the step": {
        "inside": """
try:
    ...
except BaseException as error:
    count(type(error).__name__)
"""
    },
    "caught around the loop": {
        "around": """
try:
    ...
except BaseException:
    print(traceback.format_exc())
"""
    },
    "finally in the step": {
        "inside": """
try:
    ...
finally:
    count('finally')
    between = 1
"""
    },
    "kept": {
        "inside": """
try:
    ...
except BaseException as error:
    holder.kept = error
    print(len(list(traceback.walk_tb(error.__traceback__))), repr(error.__context__))
""",
    },
}

FAILURES = [
    Ingredient(f"{what}, {how}", body.strip("\n"), setup=CLASSES, **fields)
    for what, body in RAISES.items()
    for how, fields in CAUGHT.items()
] + [
    Ingredient(
        "RecursionError",
        """
if step == 1:
    try:
        deep(0)
    except RecursionError:
        print('too deep')
""",
        setup=DEEP,
    ),
    Ingredient(
        "RecursionError around the step",
        """
if step == 1:
    deep(0)
""",
        setup=DEEP,
        inside="""
try:
    ...
except RecursionError as error:
    print('too deep', len(str(error)))
""",
    ),
    Ingredient(
        "the exception in flight",
        "print(sys.exc_info()[0])",
        inside="""
try:
    {}[step]
except KeyError:
    ...
""",
    ),
    Ingredient(
        "an error's traceback is extended",
        inside="""
try:
    ...
    raise KeyError("again")
except KeyError as error:
    print(len(list(traceback.walk_tb(error.__traceback__))))
""",
    ),
    Ingredient(
        "break and continue in finally",
        inside="""
while True:
    try:
        ...
    finally:
        break
""",
    ),
    Ingredient(
        "an excepthook of its own",
        """
if step == 2:
    raise Own('hooked')
""",
        setup=CLASSES,
        ready="""
def hook(kind, error, tb):
    print("hook", kind.__name__, [f.name for f in traceback.extract_tb(tb)])
sys.excepthook = hook
""",
    ),
    Ingredient(
        "an unraisable one",
        "Falling()",
        setup="""
class Falling:
    def __del__(self):
        raise Own('in __del__')
"""
        + CLASSES,
        ready="""
def unraisable(what):
    count("unraisable " + type(what.exc_value).__name__)
sys.unraisablehook = unraisable
""",
    ),
    Ingredient(
        "losses that are not finite",
        """
if not torch.isfinite(loss):
    raise FloatingPointError(step)
loss = loss * float('inf')
""",
        (LOSS,),
    ),
    Ingredient(
        "arithmetic on no gradient",
        """
try:
    absent = absent - 0.1 * absent.grad
except TypeError:
    print(traceback.format_exc())
""",
        (LOSS, BACKWARD, END),
        before="absent = torch.ones(1, requires_grad=True)",
    ),
    Ingredient("assert", "assert loss.item() == loss.item()", (LOSS, BACKWARD, END)),
    Ingredient(
        "an ExitStack",
        """
with contextlib.ExitStack() as stack:
    stack.callback(count, 'left')
    stack.push(lambda *_: True)
    if step == 1:
        raise KeyError(step)
""",
        ANYWHERE,
    ),
]
