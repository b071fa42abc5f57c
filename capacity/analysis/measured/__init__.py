"""What one recording says: its latency and quality, and the findings of each part of the system."""
