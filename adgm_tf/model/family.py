"""The family of models as a table: which variables each conditional looks at; and the names of the baselines."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    """One model: the parents of each conditional, in alphabetical order; None where the model has no such variable.

    An empty string is no parent at all: the standard normal prior. p(y) is categorical and p(z) = N(0, I) throughout.
    """

    q_a: str | None
    q_y: str | None
    q_z: str
    p_a: str | None
    p_x: str
    source: str

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


FAMILY = {
    "adgm": Row("x", "ax", "xy", "", "yz", "the poster: Maaloe et al. 2015"),
    "adgm_deterministic": Row("x", "ax", "xy", None, "yz", "the ablation of the poster's Fig. 4: a = f(x)"),
    "adgm_icml": Row("x", "ax", "axy", "xyz", "yz", "Maaloe et al. 2016, arXiv:1602.05473"),
    "sdgm": Row("x", "ax", "axy", "yz", "ayz", "the skip model of Maaloe et al. 2016"),
    "m2": Row(None, "x", "xy", None, "yz", "Kingma et al. 2014, arXiv:1406.5298"),
    "m1": Row(None, None, "x", None, "z", "Kingma and Welling 2013: the feature extractor of M1+M2"),
    "avae": Row("x", None, "ax", "xz", "z", "unsupervised, with an auxiliary variable"),
}
# Classifiers that the same loop trains: no bound, nothing to draw.
CLASSIFIERS = {
    "vat": "virtual adversarial training: Miyato et al. 2015, arXiv:1507.00677",
    "ladder": "the ladder network: Rasmus et al. 2015, arXiv:1507.02672",
}
# Systems that are fitted at once, without steps; `baselines/fitted.py` has how.
FITTED = {
    "label_spreading": "scikit-learn's LabelSpreading: Zhou et al. 2004",
    "self_training": "scikit-learn's SelfTrainingClassifier: Yarowsky 1995",
    "atlas_rbf": "after AtlasRBF: Pitelis, Russell and Agapito 2014",
}
MODELS = (*FAMILY, *CLASSIFIERS, *FITTED)
