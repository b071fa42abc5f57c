"""A published report as data: its values, its claims, and the rules that judge them by its own numbers."""
