"""torchvision without its C++ part, which is built for CUDA builds of torch alone.

Its Python part, which has ImageFolder and the transforms of Pillow images, imports once the two operators that it gives
shapes to are declared.
"""

from importlib import import_module
from types import ModuleType

import torch

_OPERATORS = torch.library.Library("torchvision", "FRAGMENT")


def imported(name: str) -> ModuleType:
    """A module that is torchvision or imports it."""
    for operator in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, operator):
            _OPERATORS.define(
                f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
    return import_module(name)
