"""Everything twinlab raises on purpose.

Each error inherits from the built-in it refines, so `except ValueError` keeps working. A message says what was
expected, what was got and what to do next, and it never carries a person's values: settings and counts of public things
may appear, readings may not.
"""


class TwinlabError(Exception):
    """Base of all errors that twinlab raises on purpose."""


class SpecificationError(TwinlabError, ValueError):
    """The experiment cannot be run as written. Raised before any data is read, with all faults at once."""


class IncompatibleChoicesError(SpecificationError):
    """Two choices exclude each other. The message names a valid neighbour."""


class DataContractError(TwinlabError, ValueError):
    """Readings break their schema. The message names column, row count and bound, never a value."""


class PrivacyError(TwinlabError):
    """A privacy promise would be broken."""


class BudgetExhaustedError(PrivacyError):
    """The privacy budget does not allow this release. Nothing was released."""


class UnsupportedEventError(PrivacyError):
    """This neighbouring relation or accountant cannot account for that mechanism."""


class TrustBoundaryError(PrivacyError):
    """Something private was offered where only a release may go."""


class EncryptionError(TwinlabError, ArithmeticError):
    """A ciphertext cannot be made, evaluated or opened as asked."""


class ProtocolError(TwinlabError, RuntimeError):
    """A party, a client or a process did not do its part in time."""


class RoundFailedError(ProtocolError):
    """Too few usable replies came back for a round of federated learning to count."""


class MissingDependencyError(TwinlabError, ImportError):
    """A package is missing. The message says what it is for and how to get it."""
