"""Signals: their handlers may run at any line, also while companion measures."""

from __future__ import annotations

from tests.package.isolation.fuzzing.parts import ANYWHERE, Ingredient

ERRORS = (
    "TimeoutError", "RuntimeError", "Deadline", "OSError", "MemoryError", "KeyboardInterrupt",
    "ReferenceError", "ValueError", "AttributeError", "TypeError", "NotImplementedError",
    "KeyError", "StopIteration", "RecursionError", "SystemError", "UnicodeError",
)  # fmt: skip
# A timer's need not arrive, watched or alone: a coroutine or generator makes another error of the
# one, and `typing`, whose parts torch uses when it is first called, keeps the other to itself.
_KEPT = ("StopIteration", "TypeError")
HANDLER = """
class Deadline(BaseException):
    pass
def handler(number, frame):
    raise {error}("time is up")
signal.signal(signal.SIGALRM, handler)
"""
TIMES = (0.001, 0.004, 0.009, 0.017, 0.03)  # seconds: while entering, watched, and after
AROUND = """
try:
    signal.setitimer(signal.ITIMER_REAL, {seconds})
    ...
    print("NOT INTERRUPTED")
except {error} as error:
    ended(error)
"""
HOOK = """
def hook(kind, error, tb):
    print("hook", kind.__name__)
    ended(error)
sys.excepthook = hook
"""

CAUGHT = [
    Ingredient(
        f"{error} of a timer after {seconds} s, caught",
        setup=HANDLER.format(error=error),
        around=AROUND.format(seconds=seconds, error=error),
        timed=True,
    )
    for error in ERRORS
    if error not in _KEPT
    for seconds in TIMES
]
UNCAUGHT = [
    Ingredient(
        f"{error} of a timer after {seconds} s, uncaught",
        setup=HANDLER.format(error=error) + HOOK,
        around=f"signal.setitimer(signal.ITIMER_REAL, {seconds})\n...\nprint('NOT INTERRUPTED')",
        timed=True,
    )
    for error in ("TimeoutError", "Deadline", "OSError", "KeyboardInterrupt")
    for seconds in TIMES
]
AT_A_LINE = [
    Ingredient(
        f"a signal at a line raises {error}, {how}",
        """
if step == 2:
    signal.raise_signal(signal.SIGALRM)
""",
        setup=HANDLER.format(error=error),
        **fields,  # type: ignore[arg-type]
    )
    for error in ERRORS[:8]
    for how, fields in {
        "uncaught": {},
        "caught": {
            "inside": """
try:
    ...
except BaseException:
    print(traceback.format_exc())
"""
        },
    }.items()
]
QUIET = [
    Ingredient(
        f"a handler that does not raise, each {seconds} s",
        setup="""
beats = []
def beat(number, frame):
    beats.append(len(beats))
signal.signal(signal.SIGALRM, beat)
""",
        around=f"signal.setitimer(signal.ITIMER_REAL, {seconds}, {seconds})\n...\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)",
    )
    for seconds in (0.0007, 0.003)
] + [
    Ingredient(
        "a handler that looks at the frame",
        "signal.raise_signal(signal.SIGUSR1)",
        ANYWHERE,
        setup="""
def look(number, frame):
    print("signal in", frame.f_globals["__name__"] == "threading" or frame.f_lineno)
signal.signal(signal.SIGUSR1, look)
""",
    ),
    Ingredient(
        "a handler that trains",
        "signal.raise_signal(signal.SIGUSR1)",
        ANYWHERE,
        setup="""
def more(number, frame):
    small = nn.Linear(2, 1)
    sgd = torch.optim.SGD(small.parameters(), lr=0.1)
    small(torch.ones(2, 2)).sum().backward()
    sgd.step()
    print(digest(small.weight))
signal.signal(signal.SIGUSR1, more)
""",
    ),
]
SIGNALS = CAUGHT[::2] + UNCAUGHT[::2] + AT_A_LINE + QUIET * 6
