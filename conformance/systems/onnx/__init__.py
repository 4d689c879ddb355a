"""The subject onnx: adapter, pinned requirements, declared profile, result of its last run."""
