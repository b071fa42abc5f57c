"""The reference application under test: its database, its cache, and how both are filled."""
