"""Pilots: what starts them, what lists them, what ends them."""
