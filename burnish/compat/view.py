"""A module as one other module sees it, so that a change reaches RecBole and nobody else."""

from __future__ import annotations

from types import ModuleType
from typing import Any


class ModuleView(ModuleType):
    """Every attribute of `module` as it is at the time of reading, but for those set on the view itself."""

    def __init__(self, module: ModuleType) -> None:
        super().__init__(module.__name__, module.__doc__)
        self.__dict__["viewed"] = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["viewed"], name)
