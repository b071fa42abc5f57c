"""The load engine: schedule, connections of each protocol, and the loop that records samples."""
