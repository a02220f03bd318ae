"""The family of models as a table: which variables each conditional looks at."""

from __future__ import annotations

import dataclasses

from adgm_tf.host import errors

# The order in which a model draws its variables, from x to x: a conditional looks at what has been drawn before it.
_MAY_SEE = {"q_a": "x", "q_y": "ax", "q_z": "axy", "p_a": "xyz", "p_x": "ayz"}


@dataclasses.dataclass(frozen=True)
class Row:
    """One model: the parents of each conditional, in any order; None where the model has no such variable.

    An empty string is no parent at all: the standard normal prior. p(y) is categorical and p(z) = N(0, I) throughout.

    Raises:
      UserError: a letter is unknown, a variable is its own ancestor, or a parent is a variable that the row has not.
    """

    q_a: str | None
    q_y: str | None
    q_z: str
    p_a: str | None
    p_x: str
    source: str = ""

    def __post_init__(self) -> None:
        for key, allowed in _MAY_SEE.items():
            parents = getattr(self, key)
            may_be_none = key not in ("q_z", "p_x")
            if parents is None and may_be_none:
                continue
            if not isinstance(parents, str):
                raise errors.UserError(f"{key}={parents!r}: must be letters, such as 'ax'"
                                       f"{', or None' if may_be_none else ''}")
            ordered = "".join(sorted(set(parents)))
            object.__setattr__(self, key, ordered)
            self._check(key, ordered, allowed)
        if "a" in self.p_x and self.p_a is None:
            raise errors.UserError(f"p_x={self.p_x}: looks at a, but p_a is None: a would be drawn from x alone")
        if "a" in self.p_x and "x" in self.p_a:
            raise errors.UserError(f"p_a={self.p_a}, p_x={self.p_x}: x and a look at one another")

    def _check(self, key: str, parents: str, allowed: str) -> None:
        for letter in parents:
            if letter not in "axyz":
                raise errors.UserError(f"{key}={parents}: {letter} is no variable; the variables are a, x, y and z")
            if letter not in allowed:
                raise errors.UserError(f"{key}={parents}: {_written(key)} cannot look at {letter}, only at "
                                       f"{', '.join(allowed)}")
            if (letter == "a" and self.q_a is None) or (letter == "y" and self.q_y is None):
                raise errors.UserError(f"{key}={parents}: looks at {letter}, but q_{letter} is None")
        if not parents and key != "p_a":
            raise errors.UserError(f"{key}=: must name a parent; {_written(key)} without one learns nothing of x")
        if key == "p_a" and self.q_a is None:
            raise errors.UserError(f"p_a={parents}: the model has no a, as q_a is None")

    @property
    def deterministic(self) -> bool:
        """Whether a = f(x), without a density."""
        return self.q_a is not None and self.p_a is None

    @property
    def can_share_latent(self) -> bool:
        """Whether a is drawn and q(z|.) does not look at it, so that samples of a can share a draw of z."""
        return self.q_a is not None and not self.deterministic and "a" not in self.q_z

    def without_auxiliary(self) -> Row:
        """Returns the row with A = 0: no a, neither as a variable nor as a parent."""
        kept = {k: parents.replace("a", "") for k in ("q_y", "q_z", "p_x") if (parents := getattr(self, k)) is not None}
        return dataclasses.replace(self, q_a=None, p_a=None, **kept)


def _written(key: str) -> str:
    return f"{key[0]}({key[2]}|.)"


FAMILY = {
    "adgm": Row("x", "ax", "xy", "", "yz", "the poster: Maaloe et al. 2015"),
    "adgm_deterministic": Row("x", "ax", "xy", None, "yz", "the ablation of the poster's Fig. 4: a = f(x)"),
    "adgm_icml": Row("x", "ax", "axy", "xyz", "yz", "Maaloe et al. 2016, arXiv:1602.05473"),
    "sdgm": Row("x", "ax", "axy", "yz", "ayz", "the skip model of Maaloe et al. 2016"),
    "m2": Row(None, "x", "xy", None, "yz", "Kingma et al. 2014, arXiv:1406.5298"),
    "m1": Row(None, None, "x", None, "z", "Kingma and Welling 2013: the feature extractor of M1+M2"),
    "avae": Row("x", None, "ax", "xz", "z", "unsupervised, with an auxiliary variable"),
}
BUILT_IN = frozenset(FAMILY)


def register(name: str, row: Row) -> None:
    """Adds a row to the family, under a name of its own.

    Raises:
      UserError: the name is taken by another row.
    """
    if FAMILY.get(name, row) != row:
        raise errors.UserError(f"model={name}: is taken by another row of the family")
    FAMILY[name] = row
