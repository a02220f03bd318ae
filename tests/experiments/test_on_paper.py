"""What a large run would need, on paper: relations between the figures, and the document that quotes them."""

import dataclasses

import process
import pytest

from adgm_tf.experiments.speed import on_paper
from adgm_tf.experiments.speed.on_paper import Cluster, Demand

NEEDS = Demand(86e6, 2_888_194)


def test_more_machines_reduce_more_and_compute_the_same():
    few, many = (on_paper.seconds(NEEDS, Cluster(machines=machines)) for machines in (2, 1000))
    assert few["compute"] == many["compute"]
    assert few["read"] == many["read"]
    assert many["reduce"] / few["reduce"] == pytest.approx(2 * 0.999)
    assert on_paper.seconds(NEEDS, Cluster(machines=1))["reduce"] == 0


def test_a_faster_part_takes_less_of_its_own_time_alone():
    plain = on_paper.seconds(NEEDS, Cluster())
    for name, part in (("flops", "compute"), ("reads", "read"), ("network", "reduce")):
        faster = on_paper.seconds(NEEDS, dataclasses.replace(Cluster(), **{name: 2 * getattr(Cluster(), name)}))
        assert faster == {**plain, part: plain[part] / 2}


def test_counts_are_those_of_the_document():
    found = {name: on_paper.demand(case) for name, case in on_paper.CASES.items()}
    text = (process.ROOT / "docs" / "scaling.md").read_text()
    for line in on_paper.table(found, Cluster()).splitlines():
        assert line in text
