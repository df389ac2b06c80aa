"""torchvision without its C++ part, which only fits CUDA builds of torch.

Its Python part has ImageFolder and transforms of Pillow images. It can be imported after its two
C++ operators are declared.
"""

from importlib import import_module
from types import ModuleType

import torch

_OPERATORS = torch.library.Library("torchvision", "FRAGMENT")


def imported(name: str) -> ModuleType:
    """Import torchvision, or a module that needs it."""
    for operator in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, operator):
            _OPERATORS.define(
                f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
    return import_module(name)
