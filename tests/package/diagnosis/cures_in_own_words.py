"""Loops whose cure is a line of the reader's own, changed; see `cures`."""

from __future__ import annotations

from tests.package.diagnosis.cures import Case

_STEPS = """
                opti.zero_grad()
                err.backward()
                opti.step()
        """
OWN_WORDS = {
    "a layer replaced, and the options of the optimizer": Case(
        "other-parameters",
        """
        mlp = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        opti = torch.optim.AdamW(mlp.parameters(), lr=0.003, weight_decay=0.2)
        mlp[2] = nn.Linear(8, 3)
        with trace(mlp, opti) as routine:
            for _ in range(4):
                err = F.cross_entropy(mlp(torch.randn(6, 4)), torch.randint(3, (6,)))"""
        + _STEPS,
        "opti = torch.optim.AdamW(mlp.parameters(), lr=0.003, weight_decay=0.2)  # once the "
        "network in use is there",
        "        with trace(",
        "        opti = torch.optim.AdamW(mlp.parameters(), lr=0.003, weight_decay=0.2)\n"
        "        with trace(",
    ),
    "both states of an LSTM, and retain_graph": Case(
        "graph-grows",
        """
        rnn = nn.LSTM(4, 8)
        opti = torch.optim.SGD(rnn.parameters(), lr=0.01)
        h, c = torch.zeros(1, 6, 8), torch.zeros(1, 6, 8)
        with trace(rnn, opti) as routine:
            for _ in range(4):
                out, (h, c) = rnn(torch.randn(3, 6, 4), (h, c))
                err = out.square().mean()
                opti.zero_grad()
                err.backward(retain_graph=True)
                opti.step()
        """,
        "h, c = h.detach(), c.detach()  # after backward(), and no retain_graph=True",
        "err.backward(retain_graph=True)",
        "err.backward(); h, c = h.detach(), c.detach()",
    ),
    "both states of an LSTM": Case(
        "backward-twice",
        """
        rnn = nn.LSTM(4, 8)
        opti = torch.optim.SGD(rnn.parameters(), lr=0.01)
        h, c = torch.zeros(1, 6, 8), torch.zeros(1, 6, 8)
        with trace(rnn, opti) as routine:
            for _ in range(4):
                out, (h, c) = rnn(torch.randn(3, 6, 4), (h, c))
                err = out.square().mean()
                opti.zero_grad()
                err.backward()
                opti.step()
        """,
        "h, c = h.detach(), c.detach()  # for the next batch, when backward() is over",
        "err.backward()",
        "err.backward(); h, c = h.detach(), c.detach()",
    ),
    "both states of an LSTM, as one tuple": Case(
        "graph-grows",
        """
        rnn = nn.LSTM(4, 8)
        opti = torch.optim.SGD(rnn.parameters(), lr=0.01)
        state = None
        with trace(rnn, opti) as routine:
            for _ in range(4):
                out, state = rnn(torch.randn(3, 6, 4), state)
                err = out.square().mean()
                opti.zero_grad()
                err.backward(retain_graph=True)
                opti.step()
        """,
        "state = tuple(one.detach() for one in state)  # after backward(), and no "
        "retain_graph=True",
        "err.backward(retain_graph=True)",
        "err.backward(); state = tuple(one.detach() for one in state)",
    ),
    "a sum of all losses": Case(
        "graph-grows",
        """
        lin = nn.Linear(4, 2)
        opti = torch.optim.SGD(lin.parameters(), lr=0.01)
        total = 0
        with trace(lin, opti) as routine:
            for _ in range(4):
                total = total + lin(torch.randn(6, 4)).square().mean()
                opti.zero_grad()
                total.backward(retain_graph=True)
                opti.step()
        """,
        "total = total.detach()  # after backward(), and no retain_graph=True",
        "total.backward(retain_graph=True)",
        "total.backward(); total = total.detach()",
    ),
    "a softmax on a line of its own": Case(
        "softmax-twice",
        """
        lin = nn.Linear(4, 3)
        opti = torch.optim.Adam(lin.parameters(), lr=0.01)
        with trace(lin, opti) as routine:
            for _ in range(4):
                probs = lin(torch.randn(6, 4)).softmax(1)
                err = F.cross_entropy(probs, torch.randint(3, (6,)))"""
        + _STEPS,
        "probs = lin(torch.randn(6, 4))",
        "lin(torch.randn(6, 4)).softmax(1)",
        "lin(torch.randn(6, 4))",
    ),
    "a sigmoid, then another shape": Case(
        "softmax-twice",
        """
        lin = nn.Linear(4, 1)
        opti = torch.optim.Adam(lin.parameters(), lr=0.01)
        bce = nn.BCEWithLogitsLoss()
        with trace(lin, opti) as routine:
            for _ in range(4):
                guess = torch.sigmoid(lin(torch.randn(6, 4))).squeeze(1)
                err = bce(guess, torch.rand(6).round())"""
        + _STEPS,
        "guess = lin(torch.randn(6, 4)).squeeze(1)",
        "torch.sigmoid(lin(torch.randn(6, 4)))",
        "lin(torch.randn(6, 4))",
    ),
    "targets of -1 and 1": Case(
        "targets-outside",
        """
        lin = nn.Linear(4, 1)
        opti = torch.optim.Adam(lin.parameters(), lr=0.01)
        with trace(lin, opti) as routine:
            for _ in range(4):
                signs = torch.randn(6, 1).sign()
                err = F.binary_cross_entropy_with_logits(lin(torch.randn(6, 4)), signs)"""
        + _STEPS,
        "err = F.binary_cross_entropy_with_logits(lin(torch.randn(6, 4)), (signs + 1) / 2)",
        ", signs)",
        ", (signs + 1) / 2)",
    ),
    "two dimensions too many": Case(
        "broadcast-loss",
        """
        lin = nn.Linear(4, 1)
        opti = torch.optim.Adam(lin.parameters(), lr=0.01)
        with trace(lin, opti) as routine:
            for _ in range(4):
                high = lin(torch.randn(6, 4))[:, :, None]
                err = F.mse_loss(high, torch.randn(6))"""
        + _STEPS,
        "err = F.mse_loss(high.squeeze(2).squeeze(1), torch.randn(6))",
        "(high, ",
        "(high.squeeze(2).squeeze(1), ",
    ),
    "weight decay by hand": Case(
        "frozen-by-hand",
        """
        mlp = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        mlp[0].requires_grad_(False)
        opti = torch.optim.Adam(mlp[2].parameters(), lr=0.01)
        with trace(mlp, opti) as routine:
            for _ in range(4):
                err = F.cross_entropy(mlp(torch.randn(6, 4)), torch.randint(3, (6,)))
                opti.zero_grad()
                err.backward()
                opti.step()
                for q in mlp.parameters():
                    q.data.mul_(0.99)
        """,
        "if q.requires_grad:\n    q.data.mul_(0.99)",
        "                    q.data.mul_(0.99)",
        "                    if q.requires_grad:\n                        q.data.mul_(0.99)",
    ),
    "two modules at once": Case(
        "misnamed",
        """
        mlp = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 3))
        mlp[0].requires_grad = mlp[1].requires_grad = False
        opti = torch.optim.Adam(mlp.parameters(), lr=0.01)
        with trace(mlp, opti) as routine:
            for _ in range(4):
                err = F.cross_entropy(mlp(torch.randn(6, 4)), torch.randint(3, (6,)))"""
        + _STEPS,
        "mlp[0].requires_grad_(False)\nmlp[1].requires_grad_(False)",
        "mlp[0].requires_grad = mlp[1].requires_grad = False",
        "mlp[0].requires_grad_(False); mlp[1].requires_grad_(False)",
    ),
    "by setattr": Case(
        "misnamed",
        """
        mlp = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        for q in mlp[0].parameters():
            setattr(q, "require_grad", False)
        opti = torch.optim.Adam(mlp.parameters(), lr=0.01)
        with trace(mlp, opti) as routine:
            for _ in range(4):
                err = F.cross_entropy(mlp(torch.randn(6, 4)), torch.randint(3, (6,)))"""
        + _STEPS,
        "q.requires_grad = False",
        'setattr(q, "require_grad", False)',
        "q.requires_grad = False",
    ),
}

# Where no code would be right for the loop, words say it: rule, script, cure.
IN_WORDS = {
    "a part that was trained": (
        "other-parameters",
        """
        mlp = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 3))
        opti = torch.optim.AdamW(mlp[1:].parameters(), lr=0.003)
        mlp[2] = nn.Linear(8, 3)
        with trace(mlp, opti) as routine:
            for _ in range(4):
                err = F.cross_entropy(mlp(torch.randn(6, 4)), torch.randint(3, (6,)))"""
        + _STEPS,
        "# opti built anew, once the network in use is there",
    ),
    "groups with options of their own": (
        "other-parameters",
        """
        mlp = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        parts = [{"params": mlp[0].parameters(), "lr": 1e-4}, {"params": mlp[2].parameters()}]
        opti = torch.optim.SGD(parts, lr=0.01, momentum=0.9)
        mlp[2] = nn.Linear(8, 3)
        with trace(mlp, opti) as routine:
            for _ in range(4):
                err = F.cross_entropy(mlp(torch.randn(6, 4)), torch.randint(3, (6,)))"""
        + _STEPS,
        "# opti built anew, once the network in use is there",
    ),
    "a softmax inside the network": (
        "softmax-twice",
        """
        mlp = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))
        opti = torch.optim.Adam(mlp.parameters(), lr=0.01)
        with trace(mlp, opti) as routine:
            for _ in range(4):
                err = F.cross_entropy(mlp(torch.randn(6, 4)), torch.randint(3, (6,)))"""
        + _STEPS,
        "# no softmax before the criterion, which has its own: raw scores",
    ),
    "in nobody's names": (
        "accumulates",
        """
        mlp = nn.Linear(4, 3)
        def every():
            return [torch.optim.SGD(mlp.parameters(), lr=0.01)]
        optis = every()
        with trace(mlp, optis[0]) as routine:
            for _ in range(4):
                err = F.cross_entropy(mlp(torch.randn(6, 4)), torch.randint(3, (6,)))
                err.backward()
                [one.step() for one in optis]
        """,
        "",
    ),
    "one after the other": (
        "accumulates",
        """
        left, right = nn.Linear(4, 3), nn.Linear(4, 3)
        adam, sgd = torch.optim.Adam(left.parameters()), torch.optim.SGD(right.parameters(), lr=0.1)
        with trace(left, right, adam, sgd) as routine:
            for _ in range(4):
                x = torch.randn(6, 4)
                err = F.cross_entropy(left(x) + right(x), torch.randint(3, (6,)))
                err.backward()
                for one in (adam, sgd):
                    one.step()
        """,
        "",
    ),
    "two cells in a list": (
        "backward-twice",
        """
        cells = nn.ModuleList([nn.LSTMCell(4, 4), nn.LSTMCell(4, 4)])
        opti = torch.optim.SGD(cells.parameters(), lr=0.01)
        state = [None, None]
        with trace(cells, opti) as routine:
            for _ in range(4):
                x = torch.randn(6, 4)
                for i in range(2):
                    state[i] = cells[i](x, state[i]); x = state[i][0]
                err = x.square().mean()"""
        + _STEPS,
        "",
    ),
}
