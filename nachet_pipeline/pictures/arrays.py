"""NumPy and OpenCV, which are slow to import and needed in workers alone."""

from typing import TYPE_CHECKING

from nachet_pipeline.support.lazy_import import LazyModule

if TYPE_CHECKING:
    import cv2
    import numpy as np
else:
    cv2, np = LazyModule("cv2"), LazyModule("numpy")

__all__ = ["cv2", "np"]
