"""Loops that go wrong, what cures each of them, and the lines in which they are cured."""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """A loop that goes wrong, and what is said; `new` in the place of `old` is the cure."""

    rule: str
    script: str
    cure: str
    old: str
    new: str
    says: str = ""


GRADIENTS = {
    "never cleared": Case(
        "accumulates",
        """
        net = nn.Linear(3, 1)
        sgd = torch.optim.SGD(net.parameters(), lr=0.1)
        with trace(net, sgd) as routine:
            for _ in range(3):
                error = net(torch.randn(5, 3)).square().mean()
                error.backward()
                sgd.step()
        """,
        "sgd.zero_grad()  # once for every step, before error.backward()",
        "error.backward()",
        "sgd.zero_grad(); error.backward()",
        "gradients that sgd had already used",
    ),
    "an attribute": Case(
        "accumulates",
        """
        class Trainer:
            def fit(self):
                for _ in range(3):
                    self.net(torch.randn(5, 3)).square().mean().backward()
                    self.opt.step()
        trainer = Trainer()
        trainer.net = nn.Linear(3, 1)
        trainer.opt = torch.optim.SGD(trainer.net.parameters(), lr=0.1)
        with trace(trainer.net, trainer.opt, into=[Trainer.fit]) as routine:
            trainer.fit()
        """,
        "self.opt.zero_grad()  # once for every step, before backward()",
        "                    self.opt.step()",
        "                    self.opt.step(); self.opt.zero_grad()",
    ),
    "a closure that does not clear": Case(
        "accumulates",
        """
        net = nn.Linear(3, 1)
        lbfgs = torch.optim.LBFGS(net.parameters(), max_iter=4)
        x, y = torch.randn(8, 3), torch.randn(8, 1)
        def evaluate():
            loss = F.mse_loss(net(x), y)
            loss.backward()
            return loss
        with trace(net, lbfgs, into=[evaluate]) as routine:
            lbfgs.step(evaluate)
        """,
        "def evaluate():\n    lbfgs.zero_grad()  # first, in each of its calls\n    ...",
        "def evaluate():\n",
        "def evaluate():\n            lbfgs.zero_grad()\n",
        "within one step lbfgs has called the closure several times",
    ),
    "the critic's gradient": Case(
        "polluted",
        """
        actor, critic = nn.Linear(3, 2), nn.Linear(2, 1)
        opt_a, opt_c = torch.optim.Adam(actor.parameters()), torch.optim.Adam(critic.parameters())
        with trace(actor, critic, opt_a, opt_c) as routine:
            for _ in range(3):
                q = critic(torch.randn(5, 2)).square().mean()
                q.backward()
                opt_c.step()
                opt_c.zero_grad()
                opt_a.zero_grad()
                (-critic(torch.tanh(actor(torch.randn(5, 3)))).mean()).backward()
                opt_a.step()
        """,
        "opt_c.zero_grad()  # before the backward() on line 11",
        "                q.backward()",
        "                opt_c.zero_grad()\n                q.backward()",
    ),
    "undivided": Case(
        "accumulation-not-divided",
        """
        net = nn.Linear(3, 1)
        opt = torch.optim.SGD(net.parameters(), lr=0.1)
        with trace(net, opt) as routine:
            for _ in range(3):
                opt.zero_grad()
                for _ in range(4):
                    loss = F.mse_loss(net(torch.randn(5, 3)), torch.randn(5, 1))
                    loss.backward()
                opt.step()
        """,
        "(loss / 4).backward()",
        "loss.backward()",
        "(loss / 4).backward()",
    ),
    "cleared in between": Case(
        "discarded",
        """
        net = nn.Linear(3, 1)
        opt = torch.optim.SGD(net.parameters(), lr=0.1)
        with trace(net, opt) as routine:
            for _ in range(3):
                F.mse_loss(net(torch.randn(5, 3)), torch.randn(5, 1)).backward()
                opt.zero_grad()
                opt.step()
        """,
        "F.mse_loss(net(torch.randn(5, 3)), torch.randn(5, 1)).backward()\n"
        "opt.step()\nopt.zero_grad()",
        "opt.zero_grad()\n                opt.step()",
        "opt.step()\n                opt.zero_grad()",
    ),
    "leftovers": Case(
        "discarded",
        """
        net = nn.Linear(3, 1)
        opt = torch.optim.SGD(net.parameters(), lr=0.1)
        with trace(net, opt) as routine:
            for _ in range(3):
                opt.zero_grad(set_to_none=True)
                for i in range(1, 6):
                    (F.mse_loss(net(torch.randn(5, 3)), torch.randn(5, 1)) / 2).backward()
                    if i % 2 == 0:
                        opt.step()
                        opt.zero_grad()
        """,
        "opt.step()  # once more where the last, smaller group ends, before "
        "opt.zero_grad(set_to_none=True)",
        "if i % 2 == 0:",
        "if i % 2 == 0 or i == 5:",
    ),
}
CLIPS = {
    "in each micro-batch": Case(
        "clip-before-backward",
        """
        net = nn.Linear(3, 1)
        opt = torch.optim.SGD(net.parameters(), lr=0.1)
        with trace(net, opt) as routine:
            for _ in range(3):
                opt.zero_grad()
                for _ in range(4):
                    loss = F.mse_loss(net(torch.randn(5, 3)), torch.randn(5, 1)) / 4
                    loss.backward()
                    nn.utils.clip_grad_norm_(net.parameters(), 0.1)
                opt.step()
        """,
        "nn.utils.clip_grad_norm_(net.parameters(), 0.1)  # once for every step, right before it\n"
        "opt.step()",
        "                    nn.utils.clip_grad_norm_(net.parameters(), 0.1)",
        "                nn.utils.clip_grad_norm_(net.parameters(), 0.1)",
    ),
    "after the scaler's step": Case(
        "clip-after-step",
        """
        net = nn.Linear(3, 1)
        opt = torch.optim.SGD(net.parameters(), lr=0.1)
        amp = torch.amp.GradScaler("cpu", init_scale=4.0)
        with trace(net, opt, amp) as routine:
            for _ in range(3):
                opt.zero_grad()
                amp.scale(F.mse_loss(net(torch.randn(5, 3)), torch.randn(5, 1))).backward()
                amp.step(opt)
                nn.utils.clip_grad_norm_(net.parameters(), 0.1)
                amp.update()
        """,
        "amp.scale(F.mse_loss(net(torch.randn(5, 3)), torch.randn(5, 1))).backward()\n"
        "amp.unscale_(opt)\nnn.utils.clip_grad_norm_(net.parameters(), 0.1)\namp.step(opt)",
        "amp.step(opt)\n                nn.utils.clip_grad_norm_(net.parameters(), 0.1)",
        "amp.unscale_(opt)\n                nn.utils.clip_grad_norm_(net.parameters(), 0.1)\n"
        "                amp.step(opt)",
    ),
    "scaled, below the limit": Case(
        "clip-before-unscale",
        """
        net = nn.Linear(3, 1)
        opt = torch.optim.SGD(net.parameters(), lr=0.1)
        amp = torch.amp.GradScaler("cpu", init_scale=4.0)
        with trace(net, opt, amp) as routine:
            for _ in range(3):
                opt.zero_grad()
                amp.scale(F.mse_loss(net(torch.randn(5, 3)), torch.randn(5, 1))).backward()
                nn.utils.clip_grad_norm_(net.parameters(), 1000.0)
                amp.step(opt)
                amp.update()
        """,
        "amp.unscale_(opt)\nnn.utils.clip_grad_norm_(net.parameters(), 1000.0)",
        "                nn.utils",
        "                amp.unscale_(opt)\n                nn.utils",
    ),
    "a bare step": Case(
        "step-without-unscale",
        """
        net = nn.Linear(3, 1)
        opt = torch.optim.SGD(net.parameters(), lr=0.1)
        amp = torch.amp.GradScaler("cpu", init_scale=4.0)
        with trace(net, opt, amp) as routine:
            for _ in range(3):
                opt.zero_grad()
                amp.scale(F.mse_loss(net(torch.randn(5, 3)), torch.randn(5, 1))).backward()
                opt.step()
        """,
        "amp.step(opt)  # unscales first, skips a step with infinities\namp.update()",
        "                opt.step()",
        "                amp.step(opt)\n                amp.update()",
    ),
    "the schedule": Case(
        "scheduler-first",
        """
        net = nn.Linear(3, 1)
        opt = torch.optim.SGD(net.parameters(), lr=0.1)
        plan = torch.optim.lr_scheduler.StepLR(opt, 1)
        with trace(net, opt) as routine:
            for _ in range(3):
                plan.step()
                opt.zero_grad()
                F.mse_loss(net(torch.randn(5, 3)), torch.randn(5, 1)).backward()
                opt.step()
        """,
        "opt.step()\nplan.step()",
        "                plan.step()\n                opt.zero_grad()\n"
        "                F.mse_loss(net(torch.randn(5, 3)), torch.randn(5, 1)).backward()\n"
        "                opt.step()",
        "                opt.zero_grad()\n"
        "                F.mse_loss(net(torch.randn(5, 3)), torch.randn(5, 1)).backward()\n"
        "                opt.step()\n                plan.step()",
    ),
}
PARAMETERS = {
    "rebound": Case(
        "never-moves",
        """
        net = nn.Linear(3, 1)
        with trace(net) as routine:
            for _ in range(3):
                net.zero_grad()
                F.mse_loss(net(torch.randn(5, 3)), torch.randn(5, 1)).backward()
                for w in net.parameters():
                    w = w - 0.1 * w.grad
        """,
        "with torch.no_grad():\n    w -= 0.1 * w.grad  # in place",
        "                    w = w - 0.1 * w.grad",
        "                    with torch.no_grad():\n                        w -= 0.1 * w.grad",
    ),
    "frozen": Case(
        "frozen-moves",
        """
        model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
        opt = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
        model(torch.randn(5, 3)).mean().backward()
        model[0].requires_grad_(False)
        with trace(model, opt) as routine:
            for _ in range(3):
                opt.zero_grad(set_to_none=False)
                F.mse_loss(model(torch.randn(5, 3)), torch.randn(5, 1)).backward()
                opt.step()
        """,
        "for p in model.parameters():\n    if not p.requires_grad:\n"
        "        p.grad = None  # None is skipped by step(), 0 is not",
        "        with trace(model, opt) as routine:",
        "        for p in model.parameters():\n            if not p.requires_grad:\n"
        "                p.grad = None\n        with trace(model, opt) as routine:",
    ),
    "asleep": Case(
        "eval-mode",
        """
        model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(), nn.Linear(2, 1))
        opt = torch.optim.SGD(model.parameters(), lr=0.1)
        model.eval()
        with trace(model, opt) as routine:
            for _ in range(3):
                opt.zero_grad()
                F.mse_loss(model(torch.randn(5, 3)), torch.randn(5, 1)).backward()
                opt.step()
        """,
        "model.train()  # at the start of every training epoch",
        "for _ in range(3):",
        "model.train()\n            for _ in range(3):",
    ),
    "awake": Case(
        "evaluation-in-train-mode",
        """
        model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(), nn.Linear(2, 1))
        opt = torch.optim.SGD(model.parameters(), lr=0.1)
        with trace(model, opt) as routine:
            for _ in range(3):
                opt.zero_grad()
                F.mse_loss(model(torch.randn(5, 3)), torch.randn(5, 1)).backward()
                opt.step()
                with torch.no_grad():
                    guess = model(torch.randn(5, 3))
        """,
        "model.eval()\nguess = model(torch.randn(5, 3))\nmodel.train()",
        "                    guess = model(torch.randn(5, 3))",
        "                    model.eval()\n                    guess = model(torch.randn(5, 3))\n"
        "                    model.train()",
    ),
}
