"""The subject compressed_tensors: adapter, pinned requirements, declared profile, result of its last run."""
