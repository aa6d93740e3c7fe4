"""One family of errors, each written for a person: what happened, why, and what to do next."""

from .translations import beside, translate


class ToolkitError(Exception):
    """Base class of every error that the toolkit raises on purpose.

    what: one sentence on what happened, naming the file or argument.
    remedy: one sentence on what to do next (may be empty where `what` says it all).
    Both are English; `str(error)`, and so a traceback, is in the language of TOOLKIT_LANG or the platform.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what, self.remedy = what, remedy
        super().__init__(f"{what} {remedy}".strip())

    def __str__(self) -> str:
        what, remedy = translate(self.what), translate(self.remedy)
        return beside(f"{what} ", remedy) if what and remedy else what or remedy

    def __format__(self, spec: str) -> str:
        """English, as what it is put into is: that is translated as a whole where somebody reads it."""
        return format(super().__str__(), spec)


class InputError(ToolkitError):
    """A picture, clip or sound that cannot be used."""


class OutputError(ToolkitError):
    """A result that cannot be written."""


class CheckpointError(ToolkitError):
    """A file of weights that cannot be loaded."""


class FetchError(CheckpointError):
    """Weights that no mirror gives, or that came wrong."""


class ConfigError(ToolkitError, ValueError):
    """An argument, mode, recipe or configuration that does not exist or does not fit."""
