"""Scripts in which a library runs the loop, as its users write them; tiny, and without a download.

`SOUND` and `BROKEN` have, by the library's name, a script; a line of a broken one that is to blame
ends with `# <- rule`.
"""

from __future__ import annotations

_TRAINER = """\
import tempfile, torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
torch.manual_seed(0)
sizes = dict(vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
model = BertForSequenceClassification(BertConfig(**sizes, intermediate_size=32, num_labels=3))
data = [{"input_ids": torch.randint(50, (8,)), "labels": torch.tensor(i % 3)} for i in range(64)]
args = dict(output_dir=tempfile.mkdtemp(), max_steps=8, report_to=[], use_cpu=True)
"""
TRAINER = (
    _TRAINER
    + "trainer = Trainer(model, TrainingArguments(**args), train_dataset=data)\ntrainer.train()\n"
)

_LIGHTNING = """\
import torch, lightning as L
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
torch.manual_seed(0)
data = DataLoader(TensorDataset(torch.randn(64, 4), torch.randint(3, (64,))), 8)
class Lit(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3))
        self.seen = []
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = nn.functional.cross_entropy(self.net(x), y)
        self.log("train_loss", loss)
        return loss
    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", nn.functional.cross_entropy(self.net(x), y))
    def configure_optimizers(self):
        opt = torch.optim.AdamW(self.parameters(), lr=1e-2)
        sched = torch.optim.lr_scheduler.LinearLR(opt)
        return [opt], [{"scheduler": sched, "interval": "step"}]
quiet = dict(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
quiet["enable_model_summary"] = False
"""
_FIT = "L.Trainer(max_epochs=2, **quiet).fit(Lit(), data, data)\n"

_IGNITE = """\
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from ignite.engine import Engine, Events, create_supervised_evaluator, create_supervised_trainer
from ignite.metrics import Accuracy
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
data = DataLoader(TensorDataset(torch.randn(64, 4), torch.randint(3, (64,))), 8)
"""
IGNITE = (
    _IGNITE
    + """\
trainer = create_supervised_trainer(model, optimizer, nn.CrossEntropyLoss())
evaluator = create_supervised_evaluator(model, metrics={"accuracy": Accuracy()})
trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: evaluator.run(data))
trainer.run(data, max_epochs=2)
"""
)
IGNITE_BROKEN = (
    _IGNITE
    + """\
def update(engine, batch):
    x, y = batch
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()  # <- accumulates
    optimizer.step()
    return loss.item()
Engine(update).run(data, max_epochs=2)
"""
)

_FASTAI = """\
import torch
from torch import nn
from fastai.basics import DataLoaders, Learner
from fastai.callback.progress import ProgressCallback
from fastai.data.load import DataLoader
from torch.utils.data import TensorDataset
torch.manual_seed(0)
pairs = TensorDataset(torch.randn(64, 4), torch.randint(3, (64,)))
net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
loaders = DataLoaders(DataLoader(pairs, bs=8), DataLoader(pairs, bs=8))
learn = Learner(loaders, net, loss_func=nn.CrossEntropyLoss())
with learn.no_bar(), learn.no_logging():
    learn.fit(2, 1e-2)
"""

_ACCELERATE = """\
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from accelerate import Accelerator
torch.manual_seed(0)
accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
data = DataLoader(TensorDataset(torch.randn(64, 4), torch.randint(3, (64,))), 8)
scheduler = torch.optim.lr_scheduler.LinearLR(optimizer)
model, optimizer, data, scheduler = accelerator.prepare(model, optimizer, data, scheduler)
for x, y in data:
    with accelerator.accumulate(model):
        loss = nn.functional.cross_entropy(model(x), y)
        accelerator.backward(loss)
        if accelerator.sync_gradients:
            accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
"""

SOUND = {
    "transformers": TRAINER,
    "lightning": _LIGHTNING + _FIT,
    "fastai": _FASTAI,
    "accelerate": _ACCELERATE,
    "ignite": IGNITE,
}

_BLAMED = "        loss = nn.functional.cross_entropy({}, {})  # <- softmax-twice\n"
BROKEN = {
    "transformers": _TRAINER
    + "class Mine(Trainer):\n"
    + "    def compute_loss(self, model, inputs, return_outputs=False, **more):\n"
    + "        out = model(inputs['input_ids'])\n"
    + _BLAMED.format("out.logits.softmax(-1)", "inputs['labels']")
    + "        return (loss, out) if return_outputs else loss\n"
    + "Mine(model, TrainingArguments(**args), train_dataset=data).train()\n",
    "lightning": (_LIGHTNING + _FIT).replace(
        "        loss = nn.functional.cross_entropy(self.net(x), y)\n",
        _BLAMED.format("self.net(x).softmax(-1)", "y"),
    ),
    "fastai": _FASTAI.replace("nn.Linear(16, 3))\n", "nn.Linear(16, 3), nn.Softmax(-1))\n").replace(
        "learn.fit(2, 1e-2)", "learn.fit(2, 1e-2)  # <- softmax-twice"
    ),
    "accelerate": _ACCELERATE.replace("        optimizer.zero_grad()\n", "").replace(
        "accelerator.backward(loss)", "accelerator.backward(loss)  # <- accumulates"
    ),
    "ignite": IGNITE_BROKEN,
}

_CUT = """\
{0}hidden = {1}[0](x)  # reaches the loss no more
{0}seen = hidden.detach()  # <- cut-between
{0}out = {1}[-1](seen)
{0}wrong = (out.argmax(1) != y).float().mean()  # <- constant-term
{0}loss = nn.functional.cross_entropy(out, y) + wrong
"""
CUT = {
    "lightning": (_LIGHTNING + _FIT).replace(
        "        loss = nn.functional.cross_entropy(self.net(x), y)\n",
        _CUT.format(" " * 8, "self.net"),
        1,
    ),
    "transformers": _TRAINER.replace("BertForSequenceClassification(Ber", "Net(Ber").replace(
        "torch.manual_seed(0)\n",
        "torch.manual_seed(0)\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, config):\n"
        "        super().__init__()\n"
        "        self.layers = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))\n"
        "    def forward(self, input_ids, labels):\n"
        "        return self.layers(input_ids)\n",
    )
    + "class Mine(Trainer):\n"
    + "    def compute_loss(self, model, inputs, return_outputs=False, **more):\n"
    + "        x, y = inputs['input_ids'].float(), inputs['labels']\n"
    + _CUT.format(" " * 8, "model.layers")
    + "        return (loss, out) if return_outputs else loss\n"
    + "Mine(model, TrainingArguments(**args), train_dataset=data).train()\n",
    "ignite": _IGNITE
    + "def criterion(x, y):\n"
    + _CUT.format(" " * 4, "model")
    + "    return loss\n"
    + "class Given(nn.Module):\n"
    + "    def forward(self, x):\n"
    + "        return x\n"
    + "create_supervised_trainer(Given(), optimizer, criterion).run(data)\n",
}

# Lightning starts the second process itself: this script, once more.
RANKS = (
    (_LIGHTNING + _FIT)
    .replace(
        "        return loss\n",
        "        self.seen.append(loss)  # <- graph-kept\n        return loss\n",
        1,
    )
    .replace("max_epochs=2", 'max_epochs=2, strategy="ddp", devices=2')
)
RANKS = RANKS.replace("L.Trainer(", 'if __name__ == "__main__":\n    L.Trainer(')

_CALLBACK = "from companion.integrations.{} import Companion\n"
_SAID = "print(len(watch.routine.records) > 6, [one.rule for one in watch.findings])\n"
CALLBACKS = {
    "transformers": _TRAINER
    + _CALLBACK.format("transformers")
    + "watch = Companion()\n"
    + "arguments = TrainingArguments(**args)\n"
    + "Trainer(model, arguments, train_dataset=data, callbacks=[watch]).train()\n"
    + _SAID,
    "lightning": _LIGHTNING
    + _CALLBACK.format("lightning")
    + "watch = Companion()\n"
    + "L.Trainer(max_epochs=2, callbacks=[watch], **quiet).fit(Lit(), data, data)\n"
    + _SAID,
}
