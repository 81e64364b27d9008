"""Which variables there are, and code that looks at them or changes them."""

from __future__ import annotations

from tests.package.isolation.fuzzing.parts import ANYWHERE, BACKWARD, END, LOSS, START, Ingredient

VARIABLES = [
    Ingredient(
        "locals() kept early, printed later",
        """
late_one = step
print(sorted(k for k in early if isinstance(k, str)) if early is not globals() else 'module')
""",
        before="early = locals()",
    ),
    Ingredient(
        "locals() are changed",
        """
locals()['invented'] = step
print('invented' in locals())
""",
    ),
    Ingredient(
        "exec adds a variable",
        """
exec('added_by_exec = 1')
print('added_by_exec' in locals())
""",
    ),
    Ingredient(
        "exec with its own dicts",
        "own_globals, own_locals = {}, {}\nexec('a = 1\\nb = a + 1', own_globals, own_locals)\n"
        "print(own_locals)",
    ),
    Ingredient(
        "globals() are counted",
        "print(len([k for k in globals() if isinstance(k, str) and not k.startswith('__')]))",
        (START,),
    ),
    Ingredient("all globals()", "print(sorted(map(str, globals())))", (START,), slow=True),
    Ingredient(
        "globals() change in a loop",
        """
for name in list(globals()):
    if str(name).startswith('temporary'):
        del globals()[name]
globals()[f'temporary_{step}'] = step
""",
    ),
    Ingredient(
        "a comprehension's scope",
        """
x_of = [x_ for x_ in range(3)]
print('x_' in locals(), x_of)
""",
    ),
    Ingredient(
        "a walrus",
        """
if (half := step // 2) > 0:
    print([last := i for i in range(half)], last)
""",
    ),
    Ingredient(
        "a match",
        """
match {'step': step, 'kind': [1, 2]}:
    case {'step': 0 | 1 as low}:
        print('low', low)
    case {'step': int(n), 'kind': [first, *rest]} if n > 1:
        print(n, first, rest)
""",
    ),
    Ingredient(
        "decorated",
        "print(twice(step))",
        setup="""
def doubled(f):
    def inner(*args):
        count('decorated')
        return f(*args) * 2
    return inner
@doubled
@doubled
def twice(n):
    return n
""",
    ),
    Ingredient(
        "a class in the loop",
        """
class Local:
    number = step
    def get(self):
        return self.number
print(Local().get())
""",
    ),
    Ingredient(
        "a lambda that keeps its loss",
        """
later = lambda: loss
print(later().item() == loss.item())
""",
        (LOSS, BACKWARD, END),
    ),
    Ingredient("many statements on a line", "a = 1; b = a + 1; a, b = b, a; print(a, b)", ANYWHERE),
]
