"""Faults under load: what is expected as a number, the proof that the fault was applied, and what was seen."""
