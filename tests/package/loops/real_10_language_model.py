# mypy: ignore-errors
"""A character LSTM with truncated back-propagation, after PyTorch's word_language_model."""

import math

import torch
import torch.nn as nn

TEXT = (
    "the gradient of a sum is the sum of the gradients, and the sum of the gradients is what "
    "backward leaves in the leaves; the step reads it, and the next batch begins with nothing. "
) * 8

chars = sorted(set(TEXT))
stoi = {c: i for i, c in enumerate(chars)}
ntokens, emsize, nhid, bptt, bsz, lr, clip = len(chars), 16, 32, 20, 4, 10.0, 0.25

torch.manual_seed(1111)


class RNNModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.1)
        self.encoder = nn.Embedding(ntokens, emsize)
        self.rnn = nn.LSTM(emsize, nhid)
        self.decoder = nn.Linear(nhid, ntokens)
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)

    def forward(self, input, hidden):
        emb = self.drop(self.encoder(input))
        output, hidden = self.rnn(emb, hidden)
        return self.decoder(self.drop(output)).view(-1, ntokens), hidden

    def init_hidden(self, bsz):
        weight = next(self.parameters())
        return (weight.new_zeros(1, bsz, nhid), weight.new_zeros(1, bsz, nhid))


def batchify(data, bsz):
    nbatch = data.size(0) // bsz
    return data.narrow(0, 0, nbatch * bsz).view(bsz, -1).t().contiguous()


def repackage_hidden(h):
    """Wraps hidden states in new Tensors, to detach them from their history."""
    if isinstance(h, torch.Tensor):
        return h.detach()
    return tuple(repackage_hidden(v) for v in h)


train_data = batchify(torch.tensor([stoi[c] for c in TEXT]), bsz)
model = RNNModel()
criterion = nn.CrossEntropyLoss()


def train():
    model.train()
    total_loss, batches = 0.0, 0
    hidden = model.init_hidden(bsz)
    for i in range(0, train_data.size(0) - 1, bptt):
        seq_len = min(bptt, len(train_data) - 1 - i)
        data, targets = train_data[i : i + seq_len], train_data[i + 1 : i + 1 + seq_len].view(-1)
        model.zero_grad()
        hidden = repackage_hidden(hidden)
        output, hidden = model(data, hidden)
        loss = criterion(output, targets)
        loss.backward()
        # `clip_grad_norm` helps prevent the exploding gradient problem in RNNs / LSTMs.
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        for p in model.parameters():
            p.data.add_(p.grad, alpha=-lr)
        total_loss += loss.item()
        batches += 1
    return total_loss / batches


for epoch in range(1, 4):
    cur_loss = train()
    print(f"| epoch {epoch:3d} | loss {cur_loss:5.2f} | ppl {math.exp(cur_loss):8.2f}")
