"""The subject cuda_headers: adapter, pinned requirements, declared profile, result of its last run."""
