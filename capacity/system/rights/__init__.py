"""What roles may do in PostgreSQL: what a workload needs of them, what is given to them, and what is taken back."""
