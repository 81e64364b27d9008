"""Threads, context variables, generators and processes beside the loop."""

from __future__ import annotations

from tests.package.isolation.fuzzing.parts import (
    ANYWHERE,
    BACKWARD,
    CLEARED,
    END,
    START,
    Ingredient,
)

OTHER = """
def other_training():
    generator = torch.Generator().manual_seed(1)
    small = nn.utils.skip_init(nn.Linear, 3, 1)
    for p in small.parameters():
        p.data.uniform_(-1, 1, generator=generator)
    sgd = torch.optim.SGD(small.parameters(), lr=0.1)
    for _ in range(3):
        sgd.zero_grad()
        small(torch.ones(2, 3)).square().mean().backward()
        sgd.step()
    print(digest(*small.parameters()))
"""

TASKS = [
    Ingredient(
        "another net trains in a thread",
        """
thread = threading.Thread(target=other_training)
thread.start()
thread.join()
""",
        (START, CLEARED, BACKWARD, END),
        setup=OTHER,
    ),
    Ingredient("another net trains in between", "other_training()", ANYWHERE, setup=OTHER),
    Ingredient(
        "another net has trained before",
        setup=OTHER,
        ready="other_training()",
    ),
    Ingredient(
        "another net trains beside the loop",
        setup=OTHER.replace("print(", "beside_found.append(") + "beside_found = []\n",
        ready="""
beside = threading.Thread(target=other_training)
beside.start()
""",
        after="""
beside.join()
print(beside_found)
""",
    ),
    Ingredient(
        "backward in a thread",
        backward="""
thread = threading.Thread(target=loss.backward)
thread.start()
thread.join()
""",
    ),
    Ingredient(
        "the step in a thread",
        """
thread = threading.Thread(target=lambda: net(x))
thread.start()
thread.join()
""",
        (START, END),
    ),
    Ingredient(
        "a thread pool",
        "print(list(pool.map(lambda n: n * 2, range(3))))",
        setup="""
from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(1)
""",
        after="pool.shutdown()",
    ),
    Ingredient(
        "a context variable",
        """
current.set(current.get() + 1)
print(contextvars.copy_context().run(current.get))
""",
        setup="current = contextvars.ContextVar('current', default=0)\n",
    ),
    Ingredient(
        "a generator beside the loop",
        "print(ticks.send(step))",
        setup="""
def ticking():
    got = None
    while True:
        got = yield got
""",
        before="""
ticks = ticking()
next(ticks)
""",
    ),
    Ingredient(
        "an asynchronous call",
        "print(later(asyncio_value()))",
        setup="""
async def asyncio_value():
    return 3
def later(coroutine):
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
""",
    ),
    Ingredient(
        "a generator that is dropped",
        """
dropped = values()
next(dropped)
del dropped
""",
        setup="""
def values():
    try:
        yield 1
    finally:
        count("closed")
""",
    ),
    Ingredient(
        "a fork",
        """
if step == 1:
    sys.stdout.flush()
    child = os.fork()
    if not child:
        net(x).sum().backward()
        print("in the child", flush=True)
        os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""",
        (START, END),
    ),
    Ingredient(
        "stdout elsewhere",
        inside="""
with contextlib.redirect_stdout(io.StringIO()) as said:
    ...
print(said.getvalue())
""",
    ),
    Ingredient(
        "stderr elsewhere",
        "print('an error', file=sys.stderr)",
        inside="""
with contextlib.redirect_stderr(io.StringIO()) as said:
    ...
print(said.getvalue())
""",
    ),
    Ingredient("words on stderr", "print('step', step, file=sys.stderr)"),
    Ingredient(
        "a data loader inside",
        """
for rows_of in torch.utils.data.DataLoader(list(range(4)), 2, shuffle=True):
    print(rows_of)
""",
    ),
    Ingredient(
        "the frame's function names",
        "print([f.name for f in traceback.extract_stack() if f.filename == __file__])",
    ),
    Ingredient(
        "f_lineno and f_locals",
        "print(sys._getframe().f_lineno, 'x' in sys._getframe().f_locals)",
    ),
]
