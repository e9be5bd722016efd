"""The least that a check can be."""

print('{"answer": 42}')
