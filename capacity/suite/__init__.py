"""A run: its notebooks are executed, its findings judged, and its report is written."""
