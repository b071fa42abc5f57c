"""A project of one's own: what `capacity init` makes it of."""
