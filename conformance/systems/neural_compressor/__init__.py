"""The subject neural_compressor: adapter, pinned requirements, declared profile, result of its last run."""
