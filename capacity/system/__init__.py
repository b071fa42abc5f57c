"""The system under test: where it is, and how the embedded one is started."""
