"""The subject ml_dtypes: adapter, pinned requirements, declared profile."""
