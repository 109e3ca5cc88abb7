from __future__ import annotations

import numpy as np
import orjson


def loads(text):
    return orjson.loads(text)


def array_to_json(a):
    yield orjson.dumps(np.ascontiguousarray(a), option=orjson.OPT_SERIALIZE_NUMPY)
