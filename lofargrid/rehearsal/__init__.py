"""Rehearsals: the real engine, tracker, placement and retry over a simulated grid, in virtual time."""
