"""Loops in which a second backward raises, and what their cures change; see `cures`."""

from __future__ import annotations

from tests.package.diagnosis.cures import Case

TWICE = {
    "hidden state": Case(
        "backward-twice",
        """
        rnn, head = nn.GRUCell(2, 3), nn.Linear(3, 1)
        opt = torch.optim.SGD([*rnn.parameters(), *head.parameters()], lr=0.1)
        memory = torch.zeros(4, 3)
        with trace(rnn, head, opt) as routine:
            for _ in range(4):
                memory = rnn(torch.randn(4, 2), memory)
                loss = head(memory).square().mean()
                opt.zero_grad()
                loss.backward()
                opt.step()
        """,
        "memory = memory.detach()  # for the next batch, when backward() is over",
        "opt.step()",
        "opt.step(); memory = memory.detach()",
        "memory, which line 11 reads, was computed on line 11",
    ),
    "hidden state from None": Case(
        "backward-twice",
        """
        lstm, head = nn.LSTM(2, 3), nn.Linear(3, 1)
        opt = torch.optim.SGD([*lstm.parameters(), *head.parameters()], lr=0.1)
        state = None
        with trace(lstm, head, opt) as routine:
            for _ in range(4):
                out, state = lstm(torch.randn(5, 4, 2), state)
                loss = head(out).square().mean()
                opt.zero_grad()
                loss.backward()
                opt.step()
        """,
        "state = tuple(one.detach() for one in state)  # for the next batch, when backward() is "
        "over",
        "opt.step()",
        "opt.step(); state = tuple(one.detach() for one in state)",
    ),
    "two losses": Case(
        "backward-twice",
        """
        body, left, right = nn.Linear(3, 4), nn.Linear(4, 1), nn.Linear(4, 2)
        adam = torch.optim.Adam([p for n in (body, left, right) for p in n.parameters()])
        with trace(body, left, right, adam) as routine:
            for _ in range(3):
                code = torch.tanh(body(torch.randn(5, 3)))
                one, other = left(code).square().mean(), right(code).square().mean()
                adam.zero_grad()
                one.backward()
                (0.5 * other).backward()
                adam.step()
        """,
        "(one + 0.5 * other).backward()  # one call in the place of both",
        "one.backward()\n                (0.5 * other).backward()",
        "(one + 0.5 * other).backward()",
        "it shares a part of that graph with the backward() on line 13",
    ),
    "two losses of three": Case(
        "backward-twice",
        """
        body, left, right = nn.Linear(3, 4), nn.Linear(4, 1), nn.Linear(4, 2)
        adam = torch.optim.Adam([p for n in (body, left, right) for p in n.parameters()])
        with trace(body, left, right, adam) as routine:
            for _ in range(3):
                code = torch.tanh(body(torch.randn(5, 3)))
                one, other = left(code).square().mean(), right(code).square().mean()
                alone = right(torch.randn(5, 4)).square().mean()
                adam.zero_grad()
                one.backward()
                alone.backward()
                other.backward()
                adam.step()
        """,
        "(one + other).backward()  # one call in the place of both",
        "one.backward()\n                alone.backward()\n                other.backward()",
        "(one + other).backward()\n                alone.backward()",
        "it shares a part of that graph with the backward() on line 14",
    ),
    "two losses, the second forward later": Case(
        "backward-twice",
        """
        body, left, right = nn.Linear(3, 4), nn.Linear(4, 1), nn.Linear(4, 2)
        adam = torch.optim.Adam([p for n in (body, left, right) for p in n.parameters()])
        with trace(body, left, right, adam) as routine:
            for _ in range(3):
                code = torch.tanh(body(torch.randn(5, 3)))
                adam.zero_grad()
                one = left(code).square().mean()
                one.backward()
                other = right(code).square().mean()
                other.backward()
                adam.step()
        """,
        "(one + other).backward()  # one call in the place of both",
        "one.backward()\n                other = right(code).square().mean()\n"
        "                other.backward()",
        "other = right(code).square().mean()\n                (one + other).backward()",
    ),
    "two optimizers": Case(
        "backward-twice",
        """
        body, left, right = nn.Linear(3, 4), nn.Linear(4, 1), nn.Linear(4, 2)
        opt_l = torch.optim.Adam([*body.parameters(), *left.parameters()])
        opt_r = torch.optim.Adam(right.parameters())
        with trace(body, left, right, opt_l, opt_r) as routine:
            for _ in range(3):
                code = torch.tanh(body(torch.randn(5, 3)))
                one, other = left(code).square().mean(), right(code).square().mean()
                opt_l.zero_grad()
                one.backward()
                opt_r.zero_grad()
                other.backward()
                opt_l.step()
                opt_r.step()
        """,
        "one.backward(retain_graph=True)  # the graph is needed once more",
        "one.backward()",
        "one.backward(retain_graph=True)",
    ),
    "a list of losses": Case(
        "backward-twice",
        """
        net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))
        opt = torch.optim.SGD(net.parameters(), lr=0.1)
        with trace(net, opt) as routine:
            for _ in range(3):
                out = net(torch.randn(5, 3))
                terms = [out[:, i].square().mean() for i in range(3)]
                opt.zero_grad()
                for term in terms:
                    term.backward()
                opt.step()
        """,
        "sum(terms).backward()  # one call for all, instead of the loop",
        "for term in terms:\n                    term.backward()",
        "sum(terms).backward()",
    ),
    "SAM": Case(
        "backward-twice",
        """
        net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        base = torch.optim.SGD(net.parameters(), lr=0.1)
        x, y = torch.randn(8, 3), torch.randint(2, (8,))
        with trace(net, base) as routine:
            for _ in range(3):
                base.zero_grad()
                logits = net(x)
                F.cross_entropy(logits, y).backward()
                with torch.no_grad():
                    moves = [0.05 * p.grad for p in net.parameters()]
                    torch._foreach_add_([*net.parameters()], moves)
                base.zero_grad()
                F.cross_entropy(logits, y).backward()
                with torch.no_grad():
                    torch._foreach_sub_([*net.parameters()], moves)
                base.step()
        """,
        "logits = net(x)  # again, with the parameters as they are now\n"
        "F.cross_entropy(logits, y).backward()",
        "base.zero_grad()\n                F.cross_entropy(logits, y).backward()",
        "base.zero_grad()\n                logits = net(x)\n"
        "                F.cross_entropy(logits, y).backward()",
        "the parameters have moved since",
    ),
    "SAM, line by line": Case(
        "backward-twice",
        """
        body, head = nn.Sequential(nn.Linear(3, 4), nn.Tanh()), nn.Linear(4, 2)
        base = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=0.1)
        x, y = torch.randn(8, 3), torch.randint(2, (8,))
        with trace(body, head, base) as routine:
            for _ in range(3):
                code = body(x)
                logits = head(code)
                loss = F.cross_entropy(logits, y)
                base.zero_grad()
                loss.backward()
                base.step()
                base.zero_grad()
                loss.backward()  # once more
                base.step()
        """,
        "code = body(x)  # again, with the parameters as they are now\nlogits = head(code)\n"
        "loss = F.cross_entropy(logits, y)\nloss.backward()",
        "                loss.backward()  # once more",
        "                code = body(x)\n                logits = head(code)\n"
        "                loss = F.cross_entropy(logits, y)\n                loss.backward()",
    ),
    "before the loop": Case(
        "backward-twice",
        """
        net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        opt = torch.optim.SGD(net.parameters(), lr=0.0)
        x, y = torch.randn(8, 3), torch.randint(2, (8,))
        with trace(net, opt) as routine:
            error = F.cross_entropy(net(x), y)
            for _ in range(2):
                opt.zero_grad()
                error.backward()
                opt.step()
        """,
        "error = F.cross_entropy(net(x), y)  # in the loop, anew for every backward\n"
        "error.backward()",
        "                error.backward()",
        "                error = F.cross_entropy(net(x), y)\n                error.backward()",
    ),
    "features before the loop": Case(
        "backward-twice",
        """
        body, head = nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
        opt = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=0.1)
        x, y = torch.randn(8, 3), torch.randint(2, (8,))
        with trace(body, head, opt) as routine:
            features = torch.tanh(body(x))
            for _ in range(3):
                opt.zero_grad()
                loss = F.cross_entropy(head(features), y)
                loss.backward()
                opt.step()
        """,
        "features = torch.tanh(body(x))  # in the loop, anew for every backward",
        "opt.zero_grad()",
        "features = torch.tanh(body(x)); opt.zero_grad()",
    ),
    "a closure": Case(
        "backward-twice",
        """
        net = nn.Linear(3, 1)
        lbfgs = torch.optim.LBFGS(net.parameters(), max_iter=4)
        x, y = torch.randn(8, 3), torch.randn(8, 1)
        def evaluate():
            lbfgs.zero_grad()
            loss = F.mse_loss(pred, y)
            loss.backward()
            return loss
        with trace(net, lbfgs, into=[evaluate]) as routine:
            for _ in range(3):
                pred = net(x)
                lbfgs.step(evaluate)
        """,
        "def evaluate():\n    pred = net(x)  # in here: each call needs its own\n    ...",
        "def evaluate():\n",
        "def evaluate():\n            pred = net(x)\n",
        "evaluate() goes through it each time it is called, and the forward on line 16 stands",
    ),
    "a generator's output": Case(
        "backward-twice",
        """
        gen = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3))
        disc = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        opt_g, opt_d = torch.optim.Adam(gen.parameters()), torch.optim.Adam(disc.parameters())
        with trace(gen, disc, opt_g, opt_d) as routine:
            for _ in range(3):
                fake = gen(torch.randn(4, 2))
                opt_d.zero_grad()
                d_loss = (F.softplus(disc(fake)) + F.softplus(-disc(torch.randn(4, 3)))).mean()
                d_loss.backward()
                opt_d.step()
                opt_g.zero_grad()
                g_loss = F.softplus(-disc(fake)).mean()
                g_loss.backward()
                opt_g.step()
        """,
        "d_loss = (F.softplus(disc(fake.detach())) + F.softplus(-disc(torch.randn(4, 3)))).mean()",
        "F.softplus(disc(fake))",
        "F.softplus(disc(fake.detach()))",
    ),
    "a generator's output, losses added for a log": Case(
        "backward-twice",
        """
        gen = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3))
        disc = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        opt_g, opt_d = torch.optim.Adam(gen.parameters()), torch.optim.Adam(disc.parameters())
        with trace(gen, disc, opt_g, opt_d) as routine:
            for _ in range(3):
                opt_d.zero_grad()
                on_real = F.softplus(-disc(torch.randn(4, 3))).mean()
                on_real.backward()
                fake = gen(torch.randn(4, 2))
                on_fake = F.softplus(disc(fake)).mean()
                on_fake.backward()
                loss = on_real + on_fake
                print(loss)
                opt_d.step()
                opt_g.zero_grad()
                loss = F.softplus(-disc(fake)).mean()
                loss.backward()
                opt_g.step()
        """,
        "on_fake = F.softplus(disc(fake.detach())).mean()",
        "F.softplus(disc(fake))",
        "F.softplus(disc(fake.detach()))",
        "fake, which line 21 reads, was computed on line 14",
    ),
    "a generator's output, in a list of losses": Case(
        "backward-twice",
        """
        gen = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3))
        disc = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        opt_g, opt_d = torch.optim.Adam(gen.parameters()), torch.optim.Adam(disc.parameters())
        with trace(gen, disc, opt_g, opt_d) as routine:
            for _ in range(3):
                opt_d.zero_grad()
                fake, losses, seen = gen(torch.randn(4, 2)), [], []
                on_fake = F.softplus(disc(fake)).mean()
                on_real = F.softplus(-disc(torch.randn(4, 3))).mean()
                on_fake.backward()
                on_real.backward()
                opt_d.step()
                seen.append(disc(on_real.expand(1, 3)))
                opt_g.zero_grad()
                losses.append(F.softplus(-disc(fake)).mean())
                sum(losses).backward()
                opt_g.step()
        """,
        "on_fake = F.softplus(disc(fake.detach())).mean()",
        "F.softplus(disc(fake))",
        "F.softplus(disc(fake.detach()))",
        "fake, which line 20 reads, was computed on line 12",
    ),
    "a generator's output, beside a penalty of its own": Case(
        "backward-twice",
        """
        gen = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3))
        disc = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        opt_g, opt_d = torch.optim.Adam(gen.parameters()), torch.optim.Adam(disc.parameters())
        with trace(gen, disc, opt_g, opt_d) as routine:
            for _ in range(3):
                penalty = sum(p.square().sum() for p in gen.parameters())
                fake = gen(torch.randn(4, 2))
                opt_d.zero_grad()
                d_loss = F.softplus(disc(fake)).mean()
                d_loss.backward()
                opt_d.step()
                opt_g.zero_grad()
                g_loss = penalty + F.softplus(-disc(fake)).mean()
                g_loss.backward()
                opt_g.step()
        """,
        "d_loss = F.softplus(disc(fake.detach())).mean()",
        "F.softplus(disc(fake))",
        "F.softplus(disc(fake.detach()))",
        "fake, which line 18 reads, was computed on line 12",
    ),
    "functions that return a log": Case(
        "backward-twice",
        """
        gen = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3))
        disc = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        opt_g, opt_d = torch.optim.Adam(gen.parameters()), torch.optim.Adam(disc.parameters())
        def train_d(real, sample):
            opt_d.zero_grad()
            on_real = F.softplus(-disc(real)).mean()
            on_real.backward()
            on_fake = F.softplus(disc(sample)).mean()
            on_fake.backward()
            total = on_real + on_fake
            opt_d.step()
            return total
        def loss_of(image):
            score = disc(image)
            return F.softplus(-score).mean()
        def train_g(sample):
            opt_g.zero_grad()
            loss = loss_of(sample)
            loss.backward()
            opt_g.step()
        with trace(gen, disc, opt_g, opt_d, into=[train_d, train_g, loss_of]) as routine:
            for _ in range(3):
                fake = gen(torch.randn(4, 2))
                total = train_d(torch.randn(4, 3), fake)
                train_g(fake)
        """,
        "total = train_d(torch.randn(4, 3), fake.detach())",
        "train_d(torch.randn(4, 3), fake)",
        "train_d(torch.randn(4, 3), fake.detach())",
        "fake, which line 30 reads, was computed on line 28",
    ),
    "two functions": Case(
        "backward-twice",
        """
        gen, disc = nn.Sequential(nn.Linear(2, 3), nn.Tanh()), nn.Linear(3, 1)
        opt_g, opt_d = torch.optim.Adam(gen.parameters()), torch.optim.Adam(disc.parameters())
        def train_d(sample):
            opt_d.zero_grad()
            F.softplus(disc(sample)).mean().backward()
            opt_d.step()
        def train_g(sample):
            opt_g.zero_grad()
            F.softplus(-disc(sample)).mean().backward()
            opt_g.step()
        with trace(gen, disc, opt_g, opt_d, into=[train_d, train_g]) as routine:
            for _ in range(3):
                fake = gen(torch.randn(4, 2))
                train_d(fake)
                train_g(fake)
        """,
        "train_d(fake.detach())",
        "train_d(fake)",
        "train_d(fake.detach())",
    ),
    "a sum over batches": Case(
        "backward-twice",
        """
        net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        opt = torch.optim.SGD(net.parameters(), lr=0.1)
        total = 0.0
        with trace(net, opt) as routine:
            for _ in range(3):
                opt.zero_grad()
                loss = F.cross_entropy(net(torch.randn(8, 3)), torch.randint(2, (8,)))
                total += loss
                total.backward()
                opt.step()
        """,
        "loss.backward()  # this batch's alone\ntotal += loss.item()  # a number",
        "total += loss\n                total.backward()",
        "loss.backward()\n                total += loss.item()",
    ),
}
