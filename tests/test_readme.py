import dataclasses
import json
import pathlib
import re

import pytest

from adgm_tf import config
from adgm_tf.experiments import tables
from adgm_tf.experiments.listing import EXPERIMENTS

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
TABLES = [path for path in ROOT.glob("launch/*/*.csv") if ",steps,seconds," in path.read_text().partition("\n")[0]]
# Flags of absl, saved_model_cli, TensorBoard and pytest.
OF_OTHERS = {"flagfile", "dir", "all", "logdir", "numprocesses"}
DOCUMENTS = [ROOT / "README.md", ROOT / "BUILD.md", *sorted(ROOT.glob("launch/*/README.md"))]


def test_flag_table_is_that_of_the_configuration():
    assert config.markdown_table() in README


@pytest.mark.parametrize("path", sorted(ROOT.glob("launch/*/results.csv")), ids=lambda p: p.parent.name)
def test_result_tables_are_those_of_the_results(path):
    others = path.with_name("published.csv")
    published = tables.read_published(others) if others.is_file() else {}
    own = path.with_name("README.md")
    assert tables.markdown(tables.read(path), published) in own.read_text()
    assert (path.parent / "environment.json").is_file()
    assert path.parent.name in EXPERIMENTS


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_means_with_deviations_are_those_of_results(document):
    known = "\n".join(path.read_text() for path in ROOT.glob("launch/*/published.csv"))
    known += "\n".join(tables.markdown(tables.read(path), {}) for path in TABLES)
    for number in re.findall(r"\d+\.\d+ ± \d+\.\d+", document.read_text()):
        assert number in known, number


def test_benchmark_tables_are_those_of_the_measurement():
    from adgm_tf.experiments.speed import report
    folder = ROOT / "launch/benchmark"
    assert report.markdown(json.loads((folder / "benchmark.json").read_text())) in (folder / "README.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_a_document_names_exists(document):
    text = document.read_text()
    for link in re.findall(r"(?<!\")\]\(([^)#:]+)\)", text):
        assert (document.parent / link).exists(), link
    for module in re.findall(r"-m (adgm_tf[\w.]*)", text):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists(), module
    for name in re.findall(r"adgm_tf\.experiment (\w+)", text):
        assert name in EXPERIMENTS or name == "NAME", name
    for script in re.findall(r"(?<![\w/])((?:launch|\.ci)/[\w./]+)", text):
        assert (ROOT / script.rstrip(".")).exists(), script


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_flags_that_a_document_names_exist(document):
    defined = {field.name for field in dataclasses.fields(config.Config)} | OF_OTHERS
    for source in ROOT.glob("adgm_tf/**/*.py"):
        defined |= set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', source.read_text()))
    for script in ROOT.glob("launch/**/*.sh"):
        defined |= set(re.findall(r"--(\w+)", script.read_text()))
    assert set(re.findall(r"--(\w+)", document.read_text())) <= defined
