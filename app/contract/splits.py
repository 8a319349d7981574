"""Which images train, and which are held out to tell learning from copying."""

from typing import Literal

Split = Literal["train", "held-out", "regularisation"]
"""`held-out` never trains; `regularisation` trains the class without the trigger word, with the prior weight."""
