"""The jobs of a queue as a measurement sees them: their events, their courses, and which of them are its own."""
