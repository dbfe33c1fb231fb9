"""The array types of the simulator."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
#: Products that wait at banks or arrive there: the largest arrays, small numbers.
CountArray = npt.NDArray[np.int32]
