"""The documents: what they name exists, their numbers are those of the results, and their commands run."""

import ast
import dataclasses
import functools
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import process
import pytest
from PIL import Image

from adgm_tf import config
from adgm_tf.experiments import few_labels_table, outputs, tables
from adgm_tf.experiments.few_labels_table import FewLabels
from adgm_tf.experiments.listing import EXPERIMENTS

ROOT = process.ROOT
DOCS = ROOT / "docs"
DOCUMENTS = [ROOT / "README.md", ROOT / "BUILD.md", *sorted(DOCS.glob("*.md")),
             *sorted(ROOT.glob("launch/*/README.md"))]
TABLES = [path for path in ROOT.glob("launch/*/*.csv") if ",steps,seconds," in path.read_text().partition("\n")[0]]
# Tables of a form of their own, which test_redraw holds against their files.
OF_OWN_FORM = {"few_labels"}
OPTIONS = {field.name for field in dataclasses.fields(config.Config)}
# Flags of absl, saved_model_cli, TensorBoard, pytest and the like, in lines that start none of our commands.
OF_OTHERS = {"flagfile", "dir", "all", "logdir", "numprocesses", "model_config_file", "rm", "nodes", "requeue"}
PATIENCE = 900
QUICK = ("--num_steps=20", "--hidden_units=16,16", "--steps_per_call=10", "--num_eval_samples=2")
of_documents = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))


# Numbers


def test_page_of_flags_is_that_of_the_configuration():
    assert (DOCS / "flags.md").read_text() == config.markdown_table() + "\n", "python -m adgm_tf.config > docs/flags.md"


def test_every_option_has_one_line_on_its_page():
    named = re.findall(r"^\| `--(\w+)` \|", config.markdown_table(), re.MULTILINE)
    assert sorted(named) == sorted(OPTIONS)


@pytest.mark.parametrize("path", [path for path in sorted(ROOT.glob("launch/*/results.csv"))
                                  if path.parent.name not in OF_OWN_FORM], ids=lambda p: p.parent.name)
def test_result_tables_are_those_of_the_results(path):
    others = path.with_name("published.csv")
    published = tables.read_published(others) if others.is_file() else {}
    name, own = path.parent.name, path.with_name("README.md").read_text()
    kinds = {type(output) for output in EXPERIMENTS[name].outputs if vars(output).get("csv") == f"{name}/results.csv"}
    # A table of another kind is compared where all tables are made again.
    assert outputs.Results not in kinds or tables.markdown(tables.read(path), published) in own
    assert "<!-- table results -->" in own
    assert (path.parent / "environment.json").is_file()


def few_labels():
    few = next(output for output in EXPERIMENTS["few_labels"].outputs if isinstance(output, FewLabels))
    return pd.DataFrame(tables.read(ROOT / "launch" / few.csv)), few.sets, few.systems, few.others


@functools.cache
def measured():
    known = "\n".join(path.read_text() for path in ROOT.glob("launch/*/published.csv"))
    known += few_labels_table.markdown(*few_labels())
    return known + "\n".join(tables.markdown(tables.read(path), {}) for path in TABLES)


def test_the_few_labels_in_the_readme_are_those_measured():
    assert few_labels_table.short(*few_labels()) in (ROOT / "README.md").read_text()


@of_documents
def test_means_with_deviations_are_those_of_results(document):
    for number in re.findall(r"\d+\.\d+ ± \d+\.\d+", document.read_text()):
        assert number in measured(), number


def test_the_quickstart_in_the_readme_is_the_one_measured():
    table = tables.markdown(tables.read(ROOT / "launch/quickstart/results.csv"))
    assert table in (ROOT / "README.md").read_text()


def test_benchmark_tables_are_those_of_the_measurement():
    from adgm_tf.experiments.speed import report
    folder = ROOT / "launch/benchmark"
    assert report.markdown(json.loads((folder / "benchmark.json").read_text())) in (folder / "README.md").read_text()


# What a document names


def without_code(document):
    return re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(document):
    """The names that GitHub gives to the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", without_code(document), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@of_documents
def test_links_lead_somewhere(document):
    text = without_code(document)
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'<img src="([^"]+)"', text)
    for link in links:
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


@of_documents
def test_modules_experiments_and_files_that_a_document_names_exist(document):
    text = document.read_text()
    for module in re.findall(r"-m (adgm_tf[\w.]*)", text):
        assert module == "adgm_tf.COMMAND" or (ROOT / f"{module.replace('.', '/')}.py").exists(), module
    for name in re.findall(r"adgm_tf\.experiment\s+(\w+)", text):
        assert name in EXPERIMENTS or name == "NAME", name
    for script in re.findall(r"(?<![\w/(])((?:launch|\.ci)/[\w./]+)", text):
        assert (ROOT / script.rstrip(".")).exists(), script


def flags_of(command):
    """The flags that an entry point defines, those of train among them where it takes them."""
    source = (ROOT / "adgm_tf" / f"{command}.py").read_text()
    found = set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', source)) | {"flagfile", "help"}
    if "cli.define_run_flags" in source:
        found |= set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', (ROOT / "adgm_tf/host/cli.py").read_text()))
    return found | (OPTIONS if "config_lib.define_flags" in source else set())


@functools.cache
def all_flags():
    defined = OPTIONS | OF_OTHERS
    for source in ROOT.glob("adgm_tf/**/*.py"):
        defined |= set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', source.read_text()))
    for script in ROOT.glob("launch/**/*.sh"):
        defined |= set(re.findall(r"--(\w+)", script.read_text()))
    return defined


def commands(text):
    """The commands of ours in a document, each up to its end: the entry point and what follows."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return re.findall(r"(?:-m adgm_tf\.|(?<![\w/`.-])adgm )([a-z]+)\b([^`\n#|;]*)", joined)


@of_documents
def test_flags_that_a_document_names_exist(document):
    text = document.read_text()
    for command, rest in commands(text):
        if (ROOT / "adgm_tf" / f"{command}.py").is_file():
            unknown = {re.sub("^no", "", name) if name not in flags_of(command) else name
                       for name in re.findall(r"--(\w+)", rest)} - flags_of(command)
            assert not unknown, (command, unknown)
    named = set(re.findall(r"(?<![\w-])--(\w+)", text))
    assert not {name for name in named - all_flags() if name.removeprefix("no") not in OPTIONS}


def defined_in(path):
    """The names of functions and classes of a file, and of the methods as Class.method."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return found


@of_documents
def test_functions_that_a_document_names_exist(document):
    named = re.findall(r"`([\w/]+\.py):\s+([\w.]+)`", document.read_text())
    assert named or document.name != "maths.md"
    for path, name in named:
        assert name in defined_in(ROOT / "adgm_tf" / path), f"{path}: {name}"


@of_documents
def test_a_document_can_be_read(document):
    """Lines are short but in tables and in what is generated, and no path of a machine stands in them."""
    text = document.read_text()
    long = [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")]
    assert not long
    assert not re.search(r"(?<![\w.])/(work|home|root|opt|tmp|Users)\b", text)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 160


# What a document does


def blocks(document, language):
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)


def run_python(code, folder):
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=process.environment(), capture_output=True,
                          text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_commands(text, folder):
    for command, rest in commands(text):
        quick = QUICK if command == "train" else ()
        done = process.forked(command, *rest.split(), *quick, cwd=folder, timeout=PATIENCE)
        assert done.code == 0, (command, rest, done)


def grain(folder):
    """Numbers, a category, holes in both, and labels for a fifth of the rows."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 300)
    soil = np.array(["clay", "sand", "loam"])[(kind + (rng.random(300) < 0.3)) % 3]
    frame = pd.DataFrame({"id": np.arange(300), "length": rng.normal(2 * kind, 1).round(2),
                          "weight": rng.lognormal(kind, 0.5).round(2), "soil": soil,
                          "label": np.array(["wheat", "barley", "oats"])[kind]})
    for name, share in (("length", 0.1), ("soil", 0.1), ("label", 0.8)):
        frame.loc[rng.random(300) < share, name] = None
    frame.to_csv(folder / "grain.csv", index=False)
    new = frame.drop(columns="label").head(40)
    new.loc[3, "soil"] = "peat"
    new.to_csv(folder / "new_grain.csv", index=False)


def tickets(folder):
    """Texts of words of two subjects, and labels for a third of them."""
    rng = np.random.default_rng(0)
    words = {"office": ("printer", "paper", "floor", "chair"), "accounts": ("login", "password", "user", "mail")}
    common = ("the", "is", "a", "not", "today", "here")
    label = np.array(list(words))[rng.integers(0, 2, 200)]
    text = [" ".join([*rng.choice(words[name], 3), *rng.choice(common, 4)]) for name in label]
    frame = pd.DataFrame({"text": text, "label": label})
    frame.loc[rng.random(200) < 0.66, "label"] = None
    frame.to_csv(folder / "tickets.csv", index=False)
    frame[["text"]].head(30).to_csv(folder / "new_tickets.csv", index=False)


def shapes(folder):
    """Grey pictures of two shapes and of several sizes, most of them without a label."""
    rng = np.random.default_rng(0)
    for number in range(90):
        side = int(rng.integers(18, 24))
        y, x = np.mgrid[-1:1:side * 1j, -1:1:side * 1j]
        is_round = number % 2 == 0
        inside = x**2 + y**2 < 0.5 if is_round else np.maximum(abs(x), abs(y)) < 0.6
        picture = np.clip(200 * inside + rng.integers(0, 50, (side, side)), 0, 255).astype(np.uint8)
        name = "unlabelled" if number >= 40 else "round" if is_round else "square"
        path = folder / ("new_shapes" if number >= 80 else f"shapes/{name}") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)


STORIES = {"A table with holes, categories and words as labels": (grain, 40), "Text": (tickets, 30),
           "A folder of pictures": (shapes, 10)}


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("title", STORIES)
def test_a_story_of_own_data_runs_as_it_is_written(title, tmp_path):
    make, rows = STORIES[title]
    make(tmp_path)
    story = (DOCS / "own_data.md").read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    bash, = re.findall(r"^```sh\n(.*?)^```", story, re.DOTALL | re.MULTILINE)
    python, = re.findall(r"^```python\n(.*?)^```", story, re.DOTALL | re.MULTILINE)
    run_commands(bash, tmp_path)
    answers = pd.read_csv(tmp_path / "answers.csv")
    assert len(answers) == rows
    assert {"class", "entropy_nats", "mutual_information_nats", "novelty"} <= set(answers)
    assert run_python(python, tmp_path)


SHORTER = {"SemiSupervisedClassifier(random_state=0)":
           "SemiSupervisedClassifier(random_state=0, num_steps=20, hidden_units=(16, 16))",
           "num_steps=1000, hidden_units=(200, 200)": "num_steps=20, hidden_units=(16, 16)"}


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("path", [ROOT / "README.md", DOCS / "python.md"], ids=lambda p: p.name)
def test_the_python_of_a_document_runs_in_an_empty_folder(path, tmp_path):
    code = "\n".join(blocks(path, "python"))
    for long, short in SHORTER.items():
        code = code.replace(long, short)
    assert "num_steps=20" in code
    run_python(code, tmp_path)
    assert (tmp_path / "digits/config.json").is_file()


@pytest.mark.slow
@pytest.mark.process
def test_the_commands_of_the_readme_run(tmp_path):
    text = (ROOT / "README.md").read_text().partition("\n## As commands\n")[2].partition("\n## ")[0]
    run_commands("\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)), tmp_path)
    assert (tmp_path / "digits_run/export/1/saved_model.pb").is_file()
    assert (tmp_path / "digits_run/figures/samples.png").is_file()
