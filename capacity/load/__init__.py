"""The load engine: workload and schedule in, recorded samples out."""
