"""The subject gfloat: adapter, pinned requirements, declared profile."""
