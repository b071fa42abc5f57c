"""A published report as data: its values, its claims, and the arithmetic between them."""
