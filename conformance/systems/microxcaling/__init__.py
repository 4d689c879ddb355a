"""The subject microxcaling: adapter, pinned requirements, declared profile, result of its last run."""
