"""Loops: at module level, in functions and methods, over batches of every origin."""

from __future__ import annotations

from tests.package.isolation.fuzzing.parts import Loop
from tests.package.isolation.fuzzing.suspended import SUSPENDED

PLAIN = """
<before>
with watched(<things>):
    <loop>
"""
MAIN = """
def main(net, optimizer, holder):
    <before>
    with watched(<things>):
        <loop>
"""
LOADED = """
for step, (x, y) in enumerate(loader):
    <step>
"""
LOOPS = [
    Loop(
        "module level",
        PLAIN,
        endless=True,
    ),
    Loop(
        "in a main()",
        "main(net, optimizer, holder)",
        MAIN,
        endless=True,
    ),
    Loop(
        "main() called in the block",
        """
with watched(<things>, into=[main]):
    main(net, optimizer, holder)
""",
        """
def main(net, optimizer, holder):
    <before>
    <loop>
""",
        endless=True,
    ),
    Loop(
        "a function for each step",
        """
with watched(<things>, into=[one_step]):
    for step in range(5):
        one_step(net, optimizer, holder, step)
""",
        """
def one_step(net, optimizer, holder, step):
    <before>
    <loop>
""",
        """
x, y = batch()
<step>
""",
        scoped=False,
    ),
    Loop(
        "a decorated function",
        "main(net, optimizer, holder)",
        """
@watched(<things>)
def main(net, optimizer, holder):
    <before>
    <loop>
""",
        endless=True,
    ),
    Loop(
        "every second step",
        "main(net, optimizer, holder)",
        """
def main(net, optimizer, holder):
    <before>
    with watched(<things><every>):
        <loop>
""",
        endless=True,
    ),
    Loop(
        "two steps only",
        "<before>\nwith watched(<things>, steps=2):\n    <loop>",
        endless=True,
    ),
    Loop(
        "a method",
        "Trainer(net, optimizer).fit()",
        """
class Trainer:
    def __init__(self, net, optimizer):
        self.net, self.optimizer = net, optimizer
    def fit(self):
        net, optimizer, holder = self.net, self.optimizer, self
        <before>
        with watched(<things>):
            <loop>
""",
        endless=True,
    ),
    Loop(
        "while",
        """
<before>
step = 0
with watched(<things>):
    <loop>
""",
        loop="""
while step < 5:
    x, y = batch()
    <step>
    step += 1
""",
    ),
    Loop(
        "epochs in a function",
        "main(net, optimizer, holder)",
        MAIN,
        """
for epoch in range(2):
    for step, (x, y) in enumerate(batch() for _ in range(3)):
        <step>
""",
    ),
    Loop(
        "a data loader",
        PLAIN,
        """
rows = [tuple(t[0] for t in batch()) for _ in range(20)]
loader = torch.utils.data.DataLoader(rows, batch_size=4, shuffle=True, num_workers=0)
""",
        LOADED,
    ),
    Loop(
        "a data loader of their dataset",
        "main(net, optimizer, holder)",
        """
class Rows(torch.utils.data.Dataset):
    def __len__(self):
        count("len of data")
        return 20
    def __getitem__(self, i):
        count("item of data")
        return tuple(t[0] for t in batch())
loader = torch.utils.data.DataLoader(Rows(), batch_size=4, shuffle=True)
def main(net, optimizer, holder):
    <before>
    with watched(<things>):
        <loop>
""",
        LOADED,
    ),
    Loop(
        "a nested function",
        "outer(net, optimizer, holder)",
        """
def outer(net, optimizer, holder):
    seen = 0
    def inner(net, optimizer, holder):
        nonlocal seen
        <before>
        with watched(<things>):
            <loop>
        seen += 1
    inner(net, optimizer, holder)
    print("seen", seen)
""",
        """
for step in range(5):
    x, y = batch()
    <step>
    seen += 1
""",
    ),
    *SUSPENDED,
]
