"""What a fault or an overload did, and how long until all was as before."""
