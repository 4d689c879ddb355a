"""The subject fms_model_optimizer: adapter, pinned requirements, declared profile, result of its last run."""
