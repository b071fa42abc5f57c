"""Whether a measurement counts: what speaks against it, and which figures that can have moved."""
