"""The subject nncf: adapter, pinned requirements, declared profile, result of its last run."""
