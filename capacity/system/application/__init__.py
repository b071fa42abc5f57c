"""The reference application to measure: tables, cache, gateway with outbox and breaker, job queue and workers."""
