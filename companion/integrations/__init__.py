"""Where a callback or a fixture is the habit: `lightning`, `transformers`, and pytest.

Each module imports its library only when it is imported itself.
"""
