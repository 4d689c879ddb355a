"""The subject torchao: adapter, pinned requirements, declared profile, result of its last run."""
