"""The subject pychop: adapter, pinned requirements, declared profile, result of its last run."""
