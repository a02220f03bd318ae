"""A support vector machine whose kernel is made from an atlas: overlapping affine charts, found without labels.

After Pitelis, Russell and Agapito 2014, "Semi-supervised learning using an unsupervised atlas" (AtlasRBF). Only its
abstract was at hand: charts that cover the manifold, and Mercer kernels made from them. The rest is ours: how charts
are found and overlap, the walk between them, the form of the kernel and every number of `Options`.
On MNIST the walk does most of the work, and the wider the RBF of the coordinates the better, so this says little about
the published system.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from adgm_tf.baselines import partly_labelled
from adgm_tf.data.splits import Examples, Splits
from adgm_tf.host import errors

MOST_LABELS = 10_000
ROWS = 500


@dataclasses.dataclass(frozen=True)
class Options:
    """Numbers of the method; those of images were chosen on validation images of MNIST.

    Attributes:
      num_atlases: atlases, each from seeds of its own; their kernels are averaged.
      num_charts: charts of an atlas, fewer where there are fewer than `examples_per_chart` examples for each.
      examples_per_chart: see `num_charts`.
      pca_dim: leading principal components in which everything happens.
      chart_dim: d, dimensions of a chart.
      overlap: charts to which an example belongs.
      refinements: how often examples and charts are fitted to one another.
      inside: what a squared distance within a chart counts beside one away from it.
      walk: alpha of the walk between overlapping charts, 0 for none.
      width: s_c in root mean square coordinates of the chart.
      penalty: C of the support vector machine.
    """

    num_atlases: int = 1
    num_charts: int = 2000
    examples_per_chart: int = 20
    pca_dim: int = 50
    chart_dim: int = 8
    overlap: int = 3
    refinements: int = 1
    inside: float = 0.25
    walk: float = 0.99
    width: float = 30.0
    penalty: float = 3.0


@dataclasses.dataclass(frozen=True)
class Atlas:
    """Charts, and how far responsibility for an example spreads over those that overlap.

    Attributes:
      centre: m_c [C,D].
      directions: V_c [C,D,d], orthonormal.
      width: s_c [C].
      spread: S [C,C], each row sums to 1.
      weight: w_c [C], positive.
      overlap: charts to which an example belongs.
      inside: beta.
    """

    centre: np.ndarray
    directions: np.ndarray
    width: np.ndarray
    spread: np.ndarray
    weight: np.ndarray
    overlap: int
    inside: float

    def coordinates(self, x: np.ndarray) -> np.ndarray:
        """Returns u_c(x) = V_c^T (x - m_c), [C,N,d], of x [N,D]."""
        return (x - self.centre[:, None]) @ self.directions

    def own(self, x: np.ndarray) -> np.ndarray:
        """Returns the responsibilities of each chart before they spread, [N,C]: (1 - e_c / e_next)_+, made to sum to 1.

        e_c = |x - m_c|^2 - (1 - beta) |u_c|^2, and e_next that of the first chart to which x does not belong.
        """
        parts = [self._own(x[i:i + ROWS]) for i in range(0, len(x), ROWS)]
        return np.concatenate(parts)

    def _own(self, x: np.ndarray) -> np.ndarray:
        return belonging(distances(x, self.centre, self.directions, self.inside), self.overlap)

    def responsibilities(self, x: np.ndarray) -> np.ndarray:
        """Returns r(x) = own(x) S, [N,C]."""
        return self.own(x) @ self.spread


def kernel(atlas: Atlas, x: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns K [N,M] of x [N,D] and other [M,D], scaled to K(x,x) = 1.

    K(x,x') = sum_c w_c r_c(x) r_c(x') exp(-|u_c(x) - u_c(x')|^2 / (2 s_c^2)): sums and products of Mercer kernels.
    """
    scaled = atlas.width[:, None, None]
    u, r = _with_squares(atlas.coordinates(other) / scaled, 0), atlas.responsibilities(other)
    right = (r * atlas.weight).T
    norm = np.sqrt(np.einsum("nc,cn->n", r, right))
    out = np.empty((len(x), len(other)), np.float32)
    for i in range(0, len(x), ROWS):
        rows = x[i:i + ROWS]
        v, q = _with_squares(atlas.coordinates(rows) / scaled, 1), atlas.responsibilities(rows)
        total = np.zeros((len(q), len(other)), np.float32)
        for c in range(len(u)):
            part = v[c] @ u[c].T
            np.exp(part, out=part)
            part *= right[c]
            part *= q[:, c, None]
            total += part
        out[i:i + ROWS] = total / np.sqrt(np.square(q) @ atlas.weight)[:, None] / norm
    return out


def _with_squares(u: np.ndarray, place: int) -> np.ndarray:
    """Returns e(u, place) [C,N,d+2] of u [C,N,d]: e(u, 0) . e(v, 1) = -|u - v|^2 / 2."""
    added = [-0.5 * np.square(u).sum(-1, keepdims=True), np.ones((*u.shape[:-1], 1), u.dtype)]
    return np.concatenate([u, *(added if place else added[::-1])], -1)


def distances(x: np.ndarray, centre: np.ndarray, directions: np.ndarray, inside: float) -> np.ndarray:
    """Returns e_c(x) = |x - m_c|^2 - (1 - beta) |V_c^T (x - m_c)|^2, [N,C]."""
    gaps = np.square(x).sum(1)[:, None] - 2 * x @ centre.T + np.square(centre).sum(1)
    for k in range(directions.shape[2]):
        u = x @ directions[:, :, k].T
        u -= np.sum(centre * directions[:, :, k], 1)
        gaps -= (1 - inside) * np.square(u, out=u)
    return np.maximum(gaps, 1e-6, out=gaps)


def belonging(gaps: np.ndarray, overlap: int) -> np.ndarray:
    """Returns (1 - gap_c / gap_next)_+ over its sum, [N,C]: positive for the `overlap` nearest of more than as many."""
    if overlap >= gaps.shape[1]:
        raised = gaps.max(1, keepdims=True) * (1 + 1e-3)
    else:
        raised = np.partition(gaps, overlap, 1)[:, overlap, None]
    own = np.maximum(1 - gaps / raised, 0)
    total = own.sum(1, keepdims=True)
    return np.where(total > 0, own / np.maximum(total, 1e-30), gaps == gaps.min(1, keepdims=True)).astype(np.float32)


def build(x: np.ndarray, options: Options, seed: int) -> Atlas:
    """Covers x [N,D] with charts: seeds by k-means, a chart the mean and leading directions of what lies nearest.

    A step of the walk goes from a chart to an example that belongs to it and on to a chart of that example,
    P_cc' = sum_n own_nc own_nc' / mass_c with mass_c = sum_n own_nc. S = (1 - alpha) (I - alpha P)^-1 and
    w_c = 1 / mass_c.
    """
    from scipy import sparse
    count = max(1, min(options.num_charts, len(x) // options.examples_per_chart))
    chart_dim = max(1, min(options.chart_dim, x.shape[1] - 1))
    size = min(len(x), max(options.overlap * len(x) // count, chart_dim + 2))
    centre, directions = _seeds(x, count, seed), np.zeros((count, x.shape[1], chart_dim), np.float32)
    for _ in range(options.refinements + 1):
        centre, directions, width = _charts(x, _nearest(x, centre, directions, options.inside, size), chart_dim)
    one = np.eye(count, dtype=np.float32)
    atlas = Atlas(centre, directions, options.width * width, one, one[0], options.overlap, options.inside)
    own = atlas.own(x)
    mass = own.sum(0)
    used = mass > 0
    own, mass = sparse.csr_array(own[:, used]), mass[used]
    steps = (own.T @ own).toarray() / mass[:, None]
    alpha, one = options.walk, np.eye(len(mass))
    spread = (1 - alpha) * np.linalg.inv(one - alpha * steps.astype(np.float64))
    return dataclasses.replace(atlas, centre=centre[used], directions=directions[used], width=atlas.width[used],
                               spread=spread.astype(np.float32), weight=1 / mass)


def _seeds(x: np.ndarray, count: int, seed: int) -> np.ndarray:
    from sklearn.cluster import MiniBatchKMeans
    return MiniBatchKMeans(count, init="random", batch_size=4096, n_init=1, max_iter=10, reassignment_ratio=0,
                           random_state=seed).fit(x).cluster_centers_


def _nearest(x: np.ndarray, centre: np.ndarray, directions: np.ndarray, inside: float, size: int) -> np.ndarray:
    """Returns the rows of the `size` examples nearest to each chart, [C,size]."""
    gaps = np.concatenate([distances(x[i:i + ROWS], centre, directions, inside) for i in range(0, len(x), ROWS)])
    return np.stack([np.argpartition(gaps[:, c], size - 1)[:size] for c in range(gaps.shape[1])])


def _charts(x: np.ndarray, members: np.ndarray, chart_dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns centre [C,D], directions [C,D,d] and root mean square coordinate [C] of charts of members [C,n]."""
    found = []
    for rows in members:
        mean = x[rows].mean(0)
        values, vectors = np.linalg.eigh(np.cov(x[rows] - mean, rowvar=False, bias=True).reshape(len(mean), len(mean)))
        found.append((mean, vectors[:, -chart_dim:], np.sqrt(max(values[-chart_dim:].mean(), 1e-12))))
    return tuple(np.stack(part).astype(np.float32) for part in zip(*found, strict=True))


def fit(splits: Splits, seed: int, options: Options = Options()) -> partly_labelled.Predict:
    """Builds the atlases from all training examples and fits the support vector machine to the labelled ones.

    Raises:
      UserError: there are more labels than a kernel matrix can be held for.
    """
    if len(splits.labelled) > MOST_LABELS:
        raise errors.UserError(f"num_labels={len(splits.labelled)}: atlas_rbf holds a kernel matrix of the labelled "
                               f"examples and takes at most {MOST_LABELS}")
    from sklearn.decomposition import PCA
    from sklearn.svm import SVC
    x, _ = partly_labelled.training_set(splits)
    pca = PCA(min(options.pca_dim, *x.shape), random_state=seed).fit(x)
    x = pca.transform(x)
    seeds = np.random.SeedSequence(seed).generate_state(options.num_atlases)
    atlases = [build(x, options, int(s)) for s in seeds]
    labelled = pca.transform(splits.prepared(splits.labelled.x)[0])

    def similarity(rows: np.ndarray) -> np.ndarray:
        return np.mean([kernel(atlas, rows, labelled) for atlas in atlases], axis=0)

    machine = SVC(kernel="precomputed", C=options.penalty).fit(similarity(labelled), splits.labelled.y)

    def predict_proba(examples: Examples) -> np.ndarray:
        scores = machine.decision_function(similarity(pca.transform(splits.prepared(examples.x)[0])))
        return partly_labelled.for_every_class(_softmax(scores), machine.classes_, splits.num_classes)

    return predict_proba


def _softmax(scores: np.ndarray) -> np.ndarray:
    """Returns probabilities [N,C] in the order of the scores [N,C], or [N] of the second of two classes."""
    from scipy.special import softmax
    return softmax(np.stack([-scores, scores], 1) if scores.ndim == 1 else scores, axis=1)
