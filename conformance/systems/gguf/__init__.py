"""The subject gguf: adapter, pinned requirements, declared profile, result of its last run."""
