"""Capacity: how much load a stack holds, what breaks first, and when it is outgrown."""
