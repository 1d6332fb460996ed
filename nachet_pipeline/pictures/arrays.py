"""NumPy and OpenCV, which are slow to import and needed in workers alone."""

from typing import TYPE_CHECKING, Any

from nachet_pipeline.support.lazy_import import LazyModule

if TYPE_CHECKING:
    import cv2
    import numpy as np
    from numpy.typing import NDArray
else:
    cv2, np = LazyModule("cv2"), LazyModule("numpy")
    NDArray = Any

__all__ = ["NDArray", "cv2", "np"]
