"""Loops that are suspended and go on elsewhere: generators, coroutines, threads."""

from __future__ import annotations

from tests.package.isolation.fuzzing.parts import Loop

GENERATOR = """
def train(net, optimizer, holder):
    <before>
    with watched(<things>):
        <loop>
"""
YIELDING = """
for step in range(5):
    x, y = batch()
    <step>
    yield step
"""
AWAITING = """
for step in range(5):
    x, y = batch()
    <step>
    await asyncio.sleep(0)
"""
SUSPENDED = [
    Loop("a generator", "print(list(train(net, optimizer, holder)))", GENERATOR, YIELDING),
    Loop(
        "a generator, followed",
        """
with watched(<things>, into=[train]):
    for value in train(net, optimizer, holder):
        print(value)
""",
        """
def train(net, optimizer, holder):
    <before>
    <loop>
""",
        YIELDING,
    ),
    Loop(
        "a generator finished in a thread",
        """
it = train(net, optimizer, holder)
next(it)
thread = threading.Thread(target=lambda: list(it))
thread.start()
thread.join()
""",
        GENERATOR,
        YIELDING,
    ),
    Loop(
        "a generator that is closed",
        """
it = train(net, optimizer, holder)
for _ in range(4):
    next(it)
it.close()
""",
        GENERATOR,
        YIELDING,
    ),
    Loop(
        "two generators in turns",
        """
other = copy.deepcopy(net)
other_optimizer = torch.optim.SGD(other.parameters(), lr=0.01)
first, second_one = train(net, optimizer, holder), train(other, other_optimizer, holder)
for pair in zip(first, second_one):
    print(pair)
first.close()
second_one.close()
print(digest(*other.parameters()))
""",
        GENERATOR.replace("<things>", "net"),  # each its own
        YIELDING,
    ),
    Loop(
        "a coroutine",
        "asyncio.run(train(net, optimizer, holder))",
        "async " + GENERATOR.strip(),
        AWAITING,
        endless=True,
    ),
    Loop(
        "a coroutine and another task",
        """
async def together():
    await asyncio.gather(train(net, optimizer, holder), ticks())
asyncio.run(together())
""",
        """
async def ticks():
    for i in range(8):
        count("tick")
        await asyncio.sleep(0)
async """
        + GENERATOR.strip(),
        AWAITING,
        endless=True,
    ),
    Loop(
        "in a thread",
        """
thread = threading.Thread(target=main, args=(net, optimizer, holder))
thread.start()
thread.join()
""",
        """
def main(net, optimizer, holder):
    <before>
    with watched(<things>):
        <loop>
""",
    ),
]
