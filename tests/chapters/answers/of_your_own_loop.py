"""Answers to the exercises of the guide."""

from tests.chapters.answers import Answers

LINE = "total += self.step(inputs, labels)"
NAMES = "routine.records[-1].after.gradients"

ANSWERS = [
    Answers(
        right=[
            "answer_1 = dict(steps=3, every=20)",
            'answer_1 = {"steps": 3, "every": 20}',
            'answer_1 = {"into": [train], "steps": 3, "every": 20}',
        ],
        wrong={
            "answer_1 = ['every', 20]": "give a dict of options",
            'answer_1 = {"every": 20}': "this watches 6 steps",
            'answer_1 = {"steps": 3}': "this watches 3 steps",
            'answer_1 = {"every": 20, "until": 3}': "two options are needed",
        },
    ),
    Answers(
        right=[
            "answer_2 = 'total+=self.step(inputs,labels)'",
            f"answer_2 = '        {LINE}'",
            f"answer_2 = '{LINE}\\n'",
        ],
        wrong={
            "answer_2 = 21": "give the line itself",
            "answer_2 = 'self.optimizer.step()'": "Trainer.step was not named",
            "answer_2 = 'self.step(inputs, labels)'": "nearly; give the whole",
            "answer_2 = 'trainer.train_one_epoch(batches)'": "its function was named in into",
            "answer_2 = 'loss.backward()'": "look at record.changed_parameters",
        },
    ),
    Answers(
        right=[
            """
def silent(routine):
    names = set(routine.records[0].after.gradients)
    for record in routine.records:
        names -= {name for name, g in record.after.gradients.items() if g is not None}
    return names
""",
            f"silent = lambda routine: [n for n in {NAMES} if all("
            "r.after.gradients[n] is None for r in routine.records)]",
        ],
        wrong={
            "silent = lambda routine: [n for n in routine.records[-1].after.gradients"
            " if all(n not in r.changed_gradients for r in routine.records)]": (
                "a gradient that no line changes"
            ),
            "silent = lambda routine: [n for n in routine.records[-1].after.gradients"
            " if all(r.before.gradients[n] is None for r in routine.records)]": (
                "the last line, too"
            ),
            "silent = lambda routine: [n for n in routine.records[-1].after.gradients if all("
            "not (g := r.after.gradients[n]) or not g.norm for r in routine.records)]": (
                "a gradient of zeros is one"
            ),
            "silent = ['spare.bias']": "silent is a function",
            "silent = lambda routine: []": "look at record.after.gradients in every",
            f"silent = lambda routine: [n for n in {NAMES}]": "look at record.after.gradients",
            "silent = lambda routine: ['spare.bias', 'spare.weight']": "another network has",
            f"silent = lambda routine: [n for n in {NAMES} if n.startswith('spare')]": (
                "another network has another layer"
            ),
            f"silent = lambda routine: [n for n in {NAMES} if not any("
            "n in r.changed_parameters for r in routine.records)]": "with a learning rate of 0",
            "silent = lambda routine: [n for n, g in next(r for r in routine.records "
            "if 'backward' in r.source).after.gradients.items() if g is None]": (
                "a layer may be used in one step"
            ),
        },
    ),
]
