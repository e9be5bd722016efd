"""The engine and its parts: `Engine.tick` moves everything that can move one step."""
