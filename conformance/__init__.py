"""The conformance suite: checks implementations of the MX formats against the exact emulator."""
