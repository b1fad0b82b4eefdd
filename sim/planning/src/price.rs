//! What a design costs: a normal month, a month with a failover, and what nobody knows.
