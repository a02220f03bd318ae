"""What a step of training on many rows and GPUs would read, reduce and compute, from counts off the graph.

python -m adgm_tf.experiments.speed.on_paper        the table of docs/scaling.md

Nothing is measured here: the rates are assumptions and stand in the table.
"""

from __future__ import annotations

import dataclasses

from adgm_tf.experiments.speed import cases, measure
from adgm_tf.experiments.speed.cases import Case

CASES = {"adgm, exact": cases.FULL["exact"], "adgm, topk": cases.FULL["topk"],
         "sdgm, topk, consistency": cases.FULL["defaults_topk"]}


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Machines and their rates.

    Attributes:
      rows: training rows.
      row_bytes: bytes of a row on disk.
      machines: how many.
      gpus: of a machine.
      pairs: labelled and unlabelled examples, of each so many a GPU and step.
      flops: of a GPU, a second.
      reads: random reads of up to a page of a machine's disk, a second.
      network: bytes a second between machines.
      memory_a_row: bytes of a row that are in the memory of each machine, whatever the data: its label and its number.
    """

    rows: int = 10**9
    row_bytes: int = 784
    machines: int = 32
    gpus: int = 8
    pairs: int = 1000
    flops: float = 3e13
    reads: float = 1e6
    network: float = 1.25e9
    memory_a_row: int = 60


@dataclasses.dataclass(frozen=True)
class Demand:
    """Of one step: floating-point operations of a pair of examples, and weights."""

    flops_a_pair: float
    weights: int


def demand(case: Case) -> Demand:
    """Counts the products of a step of the case off its graph; two operations a multiply-add."""
    trainer = case.trainer()
    total = sum(product.multiply_adds for product in measure.counted(trainer))
    return Demand(2 * total / case.batch_size, sum(v.shape.num_elements() for v in trainer.model.trainable_variables))


def seconds(needs: Demand, cluster: Cluster) -> dict[str, float]:
    """Returns the seconds of a step by what they are spent on, each as if alone."""
    examples = 2 * cluster.pairs * cluster.gpus
    ring = 2 * (cluster.machines - 1) / cluster.machines * 4 * needs.weights
    return {"compute": cluster.pairs * needs.flops_a_pair / cluster.flops, "read": examples / cluster.reads,
            "reduce": ring / cluster.network}


def table(needs: dict[str, Demand], cluster: Cluster) -> str:
    """Returns a line a model, milliseconds a step."""
    lines = ["| model | MFLOP a pair | weights | compute, ms | read, ms | reduce, ms | saturates first |",
             "|---|---|---|---|---|---|---|"]
    for name, of in needs.items():
        spent = seconds(of, cluster)
        shown = " | ".join(f"{1e3 * value:.1f}" for value in spent.values())
        lines.append(f"| {name} | {of.flops_a_pair / 1e6:.0f} | {of.weights:,} | {shown} | "
                     f"{max(spent, key=spent.get)} |")
    return "\n".join(lines)


def main() -> None:
    """Prints the table at 10 and at 100 Gbit/s, and what does not depend on the model."""
    needs, cluster = {name: demand(case) for name, case in CASES.items()}, Cluster()
    print(cluster, end="\n\n")
    for name, network in (("10 Gbit/s", 1.25e9), ("100 Gbit/s", 1.25e10)):
        print(f"{name}\n\n{table(needs, dataclasses.replace(cluster, network=network))}\n")
    step = 2 * cluster.pairs * cluster.gpus * cluster.machines
    print(f"disk {cluster.rows * cluster.row_bytes / 1e12:.2f} TB; memory of each machine "
          f"{cluster.rows * cluster.memory_a_row / 1e9:.0f} GB; {step:,} examples a step; "
          f"{cluster.rows / (step / 2):,.0f} steps an epoch; a step reads {step * cluster.row_bytes / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
