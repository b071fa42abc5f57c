"""Probes: each drives one workload against one part of the system and names what it found."""
