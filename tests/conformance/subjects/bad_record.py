"""A subject whose capabilities are code, and the code fails."""


class Fails:
    name = "bad_record"
    version = "1.0"

    @property
    def capabilities(self):
        raise RuntimeError("no device found")


subject = Fails()
