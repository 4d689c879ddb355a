"""The subject bitstring: adapter, pinned requirements, declared profile."""
