"""Lines of all kinds, each of which trains a network; on purpose not as a formatter writes them."""

# fmt: off
# ruff: noqa: E701, E702

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import torch

from tests.package.tracing.watching import loss_of


class Bench:
    """A network, its optimizer, and lines of all kinds that call them."""

    def __init__(self) -> None:
        self.net = torch.nn.Linear(3, 2)
        self.sgd = torch.optim.SGD(self.net.parameters(), lr=0.1)

    def step(self, *_: object) -> int:
        loss_of(self.net).backward()
        self.sgd.step()
        return 1

    def fails(self, *_: object) -> None:
        self.step()
        raise ValueError


def one_line_loops(b: Bench) -> None:
    for _ in range(3): b.step()
    n = 0
    while n < 3: n += b.step()
    numbers = iter(range(3))
    with contextlib.suppress(StopIteration):
        while True: b.step(next(numbers))
    numbers = iter(range(3))
    with contextlib.suppress(StopIteration):
        while True:
            b.step(next(numbers))


def loops_without_a_test(b: Bench) -> None:
    n = 0
    while True:
        n += b.step()
        if n == 3:
            break
    while n < 5:
        n += b.step()
    else:
        b.step()
    for i in range(4):
        if i % 2:
            continue
        b.step()


def comprehensions(b: Bench) -> None:
    [b.step() for _ in range(3)]
    {
        b.step(): i
        for i in range(3)
        if i
    }
    sum(b.step() for _ in range(3))
    [[b.step() for _ in range(2)] for _ in range(2)]


def several_lines(b: Bench) -> None:
    for _ in range(2):
        (
            b.step(),
            b.step(),
        )
        x = (b.step(
        ) if
            b else
            None)
        b.step(); b.step()
    assert x


def caught(b: Bench) -> None:
    for i in range(3):
        try:
            b.step()
            if i:
                b.fails()
        except ValueError:
            b.step()
        else:
            b.step()
        finally:
            b.step()
    with contextlib.suppress(ValueError):
        b.fails()
    with contextlib.suppress(ValueError), contextlib.nullcontext():
        b.fails()


class Context:
    def __init__(self, b: Bench) -> None:
        self.b = b

    def __enter__(self) -> Bench:
        self.b.step()
        return self.b

    def __exit__(self, *error: object) -> bool:
        self.b.step()
        return True


def with_exits(b: Bench) -> None:
    for _ in range(2):
        with Context(b):
            b.step()
        with Context(b) as c, Context(c):
            b.fails()


def generators(b: Bench) -> None:
    def inner() -> Iterator[int]:
        try:
            yield b.step()
            received = yield b.step()
            assert received is None
        except KeyError:
            yield b.step()
        finally:
            b.step()

    def outer() -> Iterator[int]:
        yield from inner()
        b.step()

    for _ in outer():
        b.step()
    generator: Any = inner()
    next(generator)
    generator.throw(KeyError)
    generator.close()


def generators_followed(b: Bench) -> None:
    for _ in followed(b):
        b.step()
    generator: Any = followed(b)
    next(generator)
    generator.throw(KeyError)
    generator.close()
    with contextlib.suppress(ZeroDivisionError):
        sum(sum(followed(b, number)) for number in (1, 0))


def followed(b: Bench, number: int = 1) -> Iterator[int]:
    b.step()
    try:
        yield 1 // number
        b.step()
        yield from (b.step() for _ in range(2))
    except KeyError:
        yield b.step()
    finally:
        b.step()


def raises_in_between(b: Bench) -> None:
    """An exception leaves a followed function; what is not followed goes on with the line."""

    def between() -> None:
        with contextlib.suppress(ValueError):
            b.fails()
        b.step()
        with contextlib.suppress(ValueError):
            fails_followed(b)
        b.step()

    between()
    with contextlib.suppress(ValueError):
        fails_followed(b)
    b.step()


def fails_followed(b: Bench) -> None:
    b.step()
    deeper(b)


def deeper(b: Bench, depth: int = 2) -> None:
    b.step()
    if not depth:
        raise ValueError
    deeper(b, depth - 1)


def awaits(b: Bench) -> None:
    async def numbers() -> AsyncIterator[int]:
        for i in range(2):
            await asyncio.sleep(0)
            yield i
            b.step()

    async def other() -> None:
        for _ in range(3):
            b.step()
            await asyncio.sleep(0)

    async def train() -> None:
        async for _ in numbers():
            b.step()
        async with asyncio.Lock():
            await asyncio.gather(coroutine(b), other(), coroutine(b))
        _ = [i async for i in numbers()]

    asyncio.run(train())


async def coroutine(b: Bench) -> None:
    for _ in range(2):
        b.step()
        await asyncio.sleep(0)
        b.step()


def classes_and_lambdas(b: Bench) -> None:
    class Local:
        taken = b.step()
        def step(self) -> int: return b.step()

    Local().step()
    match b.step():
        case 0:
            b.fails()
        case _:
            b.step()
    sorted(range(3), key=b.step)
    (lambda i: b.step(i))(0)
    del Local


LINES: list[Callable[[Bench], None]] = [
    one_line_loops, loops_without_a_test, comprehensions, several_lines, caught, with_exits,
    generators, generators_followed, raises_in_between, awaits, classes_and_lambdas,
]
INTO: list[Callable[..., Any]] = [
    *LINES, followed, fails_followed, deeper, coroutine, Bench.step, Context.__exit__,
]
