"""The system under test: its addresses, and the servers that are started where none is named."""
