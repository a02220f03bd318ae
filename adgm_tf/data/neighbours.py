"""What the labels say of every other row along its neighbours, before anything is learned."""

from __future__ import annotations

import numpy as np

from adgm_tf.data.labels import UNKNOWN

NEIGHBOURS = 10
WALK_ENDS = 1e-4
# The time to find neighbours grows as the square of the rows.
MOST_ROWS = 100_000


def harmonic(x: np.ndarray, y: np.ndarray, num_classes: int) -> np.ndarray:
    """f = ((1 + 1e-4) I - P_uu)^-1 P_ul onehot(y_l), P = D^-1 W, W_ij = exp(-|x_i - x_j|^2 / max(s_i, s_j)^2).

    f(y|x) is the probability that a walk along neighbours from x meets a label y first. A walk ends at every step with
    a probability of 1e-4 and meets none, so the f of a row add up to 1 at most, and to 0 where no way leads to a label.
    W is over the ten nearest of each row, s its distance to the tenth: no weight is below 1/e, not even where rows
    have many copies, so that every row has a way on.

    Args:
      x: rows [N,D].
      y: their classes [N], UNKNOWN where not known.
      num_classes: C.

    Returns:
      f, float32 [N,C]; a row with a label has 1 at it.

    Reference: Zhu et al. 2003, *Semi-Supervised Learning Using Gaussian Fields and Harmonic Functions*; after
    Zelnik-Manor and Perona 2004, *Self-Tuning Spectral Clustering*, who divide by s_i s_j.
    """
    from scipy.sparse import diags_array, linalg
    known = y != UNKNOWN
    f = np.zeros((len(y), num_classes))
    f[known, y[known]] = 1
    if known.all() or not known.any():
        return f.astype(np.float32)
    weights = _weights(x)
    degrees = np.asarray(weights.sum(1)).ravel()[~known]
    walks = (diags_array((1 + WALK_ENDS) * degrees) - weights[~known][:, ~known]).tocsr()
    meets = weights[~known][:, known] @ f[known]
    f[~known] = np.stack([linalg.cg(walks, column, rtol=1e-4, maxiter=1000, M=diags_array(1 / degrees))[0]
                          for column in meets.T], 1)
    return np.clip(f, 0, 1).astype(np.float32)


def certain(f: np.ndarray) -> np.ndarray:
    """Returns f (1 - H(f / sum_y f) / log C), float32 [N,C]: rows count by how sure of their class the labels are.

    Reference: Iscen et al. 2019, *Label Propagation for Deep Semi-supervised Learning*.
    """
    from scipy.stats import entropy
    if f.shape[1] < 2:
        return f
    sums = f.sum(1, keepdims=True)
    shares = np.divide(f, sums, out=np.full_like(f, 1 / f.shape[1]), where=sums > 0)
    return f * np.clip(1 - entropy(shares, axis=1, base=f.shape[1])[:, None], 0, 1).astype(np.float32)


def _weights(x: np.ndarray):
    """W, sparse [N,N] and symmetric: neighbours on either side."""
    from scipy.sparse import csr_array
    from sklearn.neighbors import NearestNeighbors
    # Far from zero, squares of float32 have no digits left for differences.
    x = np.asarray(x, np.float64) - np.mean(x, 0, dtype=np.float64)
    count = min(NEIGHBOURS, len(x) - 1)
    distances, neighbours = NearestNeighbors(n_neighbors=count).fit(x).kneighbors()
    rows, columns = np.repeat(np.arange(len(x)), count), neighbours.ravel()
    s = distances[:, -1]
    largest = np.maximum(np.maximum(s[rows], s[columns]), np.finfo(np.float64).tiny)
    values = np.exp(-((distances.ravel() / largest) ** 2))
    weights = csr_array((values, (rows, columns)), shape=(len(x), len(x)))
    return weights.maximum(weights.T)
