"""What is looked at before a measurement: this machine and the servers of one's own; nothing is loaded or written."""
