"""Data of a file against its model: what is wrong with them, in sentences."""
