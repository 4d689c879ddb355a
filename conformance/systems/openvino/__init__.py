"""The subject openvino: adapter, pinned requirements, declared profile, result of its last run."""
