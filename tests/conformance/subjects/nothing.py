"""Two ways to return the wrong number of arrays, and one to return none."""


class Tuple:
    name = "nothing"
    version = "1.0"
    capabilities = {  # noqa: RUF012 - adapters write it so
        "operations": {"encode": {"formats": ["E2M1"], "carriers": ["binary32"]}}
    }

    def __init__(self, result):
        self.result = result

    def encode(self, values, element):
        return self.result


empty = Tuple(())
pair = Tuple(([1], [2]))
none = Tuple(None)
