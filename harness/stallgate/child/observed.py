"""The kernels that Triton compiles and launches, as this process sees them: which function became which kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from triton.runtime.autotuner import Autotuner
from triton.runtime.jit import JITFunction


class KernelObserver:
    """Notes each launched kernel with its function, and what an autotuner chose."""

    def __init__(self, relative: Callable[[str], str]) -> None:
        """Starts with nothing seen.

        Args:
            relative: a file relative to the project's root; '' for one that lies elsewhere.
        """
        self._relative = relative
        self._seen: dict[str, dict[str, Any]] = {}
        self._chosen: dict[str, dict[str, Any]] = {}

    def install(self) -> None:
        """Looks at every launch from now on. Nothing about a launch changes."""
        launch, tune = JITFunction.run, Autotuner.run

        def observed_launch(function: Any, *arguments: Any, **named: Any) -> Any:
            kernel = launch(function, *arguments, **named)
            if not named.get("warmup"):
                self._note(function, kernel)
            return kernel

        def observed_tuning(tuner: Any, *arguments: Any, **named: Any) -> Any:
            kernel = tune(tuner, *arguments, **named)
            self._note_choice(tuner)
            return kernel

        JITFunction.run = observed_launch
        Autotuner.run = observed_tuning

    def forget(self) -> None:
        """Starts again: what comes is another case's."""
        self._seen, self._chosen = {}, {}

    def kernels(self) -> list[dict[str, Any]]:
        """The kernels seen, each once."""
        return [
            {**kernel, "configuration": self._chosen.get(f"{kernel['module']}.{kernel['function']}", {})}
            for kernel in self._seen.values()
        ]

    def _note(self, function: Any, kernel: Any) -> None:
        name = getattr(kernel, "name", None) or getattr(getattr(kernel, "metadata", None), "name", None)
        code = getattr(getattr(function, "fn", None), "__code__", None)
        if isinstance(name, str) and code is not None and name not in self._seen:
            self._seen[name] = {
                "name": name,
                "module": str(function.fn.__module__),
                "function": str(function.fn.__qualname__),
                "file": self._relative(code.co_filename),
            }

    def _note_choice(self, tuner: Any) -> None:
        function = tuner.fn
        while not hasattr(getattr(function, "fn", None), "__code__") and hasattr(function, "fn"):
            function = function.fn
        chosen = getattr(tuner, "best_config", None)
        if chosen is not None and hasattr(getattr(function, "fn", None), "__code__"):
            values = {name: _plain(value) for name, value in chosen.all_kwargs().items() if value is not None}
            self._chosen[f"{function.fn.__module__}.{function.fn.__qualname__}"] = values


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float, str)) else str(value)
