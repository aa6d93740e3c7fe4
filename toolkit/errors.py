"""One family of errors, each written for a person: what happened, why, and what to do next."""


class ToolkitError(Exception):
    """Base class of every error that the toolkit raises on purpose.

    what: one sentence on what happened, naming the file or argument.
    remedy: one sentence on what to do next (may be empty where `what` says it all).
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what, self.remedy = what, remedy
        super().__init__(f"{what} {remedy}".strip())


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
