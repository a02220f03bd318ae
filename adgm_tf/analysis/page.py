"""The page of a run: one HTML file that asks nothing of a network."""

from __future__ import annotations

import base64
import dataclasses
import functools
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from adgm_tf.analysis import metrics, plots, run_plots, uncertainty
from adgm_tf.analysis.calibration import Calibration
from adgm_tf.analysis.uncertainty import Abstention, RiskCoverage
from adgm_tf.data.labels import UNKNOWN

NUM_ROWS = 10
NUM_PROBS = 3
NUM_CONFUSED = 10
MOST_CELLS = 12
MOST_TEXT = 160
COVERAGES = (0.5, 0.8, 0.9, 0.95, 1.0)
FIGURES = {"error_percent": "error, %", "interval": "95 % interval", "balanced_error_percent": "balanced error, %",
           "macro_f1": "macro F1", "log_loss_nats": "log loss, nats", "num_labels": "labels"}


@dataclasses.dataclass(frozen=True)
class Rows:
    """Answers to rows, of which the page shows the most uncertain and the most novel ones.

    Attributes:
      found: probabilities, entropy, mutual information.
      novelty: `uncertainty.novelty` [N], if the model has a bound.
      y: classes [N], -1 where not known.
      names: of the rows [N]; their numbers if not given.
      images: [N, H, W, channels] in [0,1].
      cells: the rows as they were given [N], for those that are no images.
    """

    found: uncertainty.Uncertainty
    novelty: np.ndarray | None = None
    y: np.ndarray | None = None
    names: Sequence[object] | None = None
    images: np.ndarray | None = None
    cells: pd.DataFrame | None = None


@dataclasses.dataclass(frozen=True)
class PageContent:
    """What a page says; what isn't given is left out.

    Attributes:
      title: of the page.
      subtitle: a sentence below it.
      class_names: the classes, in the order of probabilities and counts.
      data: facts of the data, by name.
      columns: of the data as understood, {heading: text}, a line a column.
      remarks: what a reader has to know.
      options: {option: (value, default)} of those that aren't at their default.
      history: the lines of `metrics.jsonl`.
      errors: {name of a set of rows: `metrics.summary`}, the most important first.
      counts: confusion [C,C].
      calibration: with what it did.
      calibrated_on: on which labels the temperature was fitted, in words.
      risk_coverage: of calibrated answers.
      abstention: the threshold for `target_accuracy`.
      target_accuracy: from 0 to 1.
      samples: {class: uint8 [H,W,3]}, drawn by the model.
      typical: rows that the model draws or finds typical, a line a class.
      figures: {caption: uint8 [H,W,3]}, more pictures.
      rows: answers to rows, test rows say.
      usage: {title: commands or lines of Python}.
      circumstances: versions, seeds, hardware; may be nested.
    """

    title: str
    subtitle: str = ""
    class_names: Sequence[str] = ()
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    columns: Sequence[Mapping[str, Any]] = ()
    remarks: Sequence[str] = ()
    options: Mapping[str, tuple[Any, Any]] = dataclasses.field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    errors: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    counts: np.ndarray | None = None
    calibration: Calibration | None = None
    calibrated_on: str = ""
    risk_coverage: RiskCoverage | None = None
    abstention: Abstention | None = None
    target_accuracy: float | None = None
    samples: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    typical: pd.DataFrame | None = None
    figures: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    rows: Rows | None = None
    usage: Mapping[str, str] = dataclasses.field(default_factory=dict)
    circumstances: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Block(NamedTuple):
    """A part of a section: its kind, which the template knows, what it holds, and what stands above it."""

    kind: str
    value: Any
    caption: str = ""


class Section(NamedTuple):
    """A heading with blocks below it; one without blocks is left out."""

    name: str
    title: str
    blocks: list[Block]


def page(content: PageContent) -> str:
    """Returns the page as HTML in ASCII: pictures are inside, whatever comes from data is escaped."""
    sections = [
        Section("data", "Data", _data(content)),
        Section("learning", "Learning", _pictures(run_plots.learning_curves(content.history))),
        Section("errors", "Errors", _errors(content.errors)),
        Section("confusion", "Confusion", _confusion(content)),
        Section("calibration", "Calibration", _calibration(content)),
        Section("abstention", "Answers and abstention", _abstention(content)),
        Section("samples", "What the model draws", _samples(content)),
        Section("uncertain", "Most uncertain rows", _uncertain(content)),
        Section("novel", "Most novel rows", _novel(content)),
        Section("usage", "How to use it", [Block("code", code, title) for title, code in content.usage.items()]),
        Section("options", "Options that are not at their default", _options(content.options)),
        Section("circumstances", "Versions, seeds, hardware", _facts(dict(_flat(content.circumstances))))]
    html = _template().render(content=content, tiles=_tiles(content), sections=[s for s in sections if s.blocks])
    # Any reader of the file, whatever its encoding, shows the same.
    return html.encode("ascii", "xmlcharrefreplace").decode()


@functools.cache
def _template() -> Any:
    import jinja2
    environment = jinja2.Environment(loader=jinja2.PackageLoader("adgm_tf.analysis", "."), autoescape=True,
                                     undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"text": text, "uri": _uri}
    return environment.get_template("page.html.jinja")


def text(value: Any, most: int = MOST_TEXT) -> str:
    """Returns a value as a cell shows it: four digits, a dash for what is missing, long text cut."""
    if isinstance(value, Mapping):
        return text(", ".join(f"{k} {text(v)}" for k, v in value.items()), most)
    if isinstance(value, list | tuple | set | np.ndarray):
        return text(", ".join(text(v) for v in value), most)
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, numbers.Integral):
        return f"{int(value):,}" if abs(int(value)) >= 10_000 else str(int(value))
    if isinstance(value, numbers.Real):
        return "–" if math.isnan(value) else f"{float(value):.4g}"
    if value is None or value is pd.NA or value is pd.NaT or value == "":
        return "–"
    words = " ".join(str(value).split())
    return words if len(words) <= most else words[: most - 1] + "…"


def _uri(picture: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(plots.png(picture)).decode()


def _tiles(content: PageContent) -> list[tuple[str, str, str]]:
    """The first things to know: name, number, remark."""
    tiles = [(f"{name} error", f"{text(found['error_percent'])} %", f"95 % interval {_interval(found)} %")
             for name, found in list(content.errors.items())[:2]]
    if content.calibration:
        before, after = content.calibration.before, content.calibration.after
        tiles.append(("calibration error", f"{text(round(100 * after.calibration_error, 1))} %",
                      f"{text(round(100 * before.calibration_error, 1))} % before calibration"))
    if content.abstention and content.target_accuracy is not None:
        tiles.append((f"answered at {text(100 * content.target_accuracy)} % accuracy",
                      f"{100 * content.abstention.coverage:.0f} %", "of labelled rows"))
    return tiles


def _data(content: PageContent) -> list[Block]:
    blocks = _facts(content.data) + ([Block("list", list(content.remarks), "Remarks")] if content.remarks else [])
    if content.columns:
        heads = list(dict.fromkeys(head for line in content.columns for head in line))
        lines = [[line.get(head) for head in heads] for line in content.columns]
        blocks.append(_table(heads, lines, f"Columns as understood ({len(lines)})"))
    return blocks


def _options(options: Mapping[str, tuple[Any, Any]]) -> list[Block]:
    lines = [[name, value, default] for name, (value, default) in options.items()]
    return [_table(["option", "value", "default"], lines)] if lines else []


def _errors(errors: Mapping[str, Mapping[str, Any]]) -> list[Block]:
    if not errors:
        return []
    errors = {name: {**found, "interval": _interval(found)} for name, found in errors.items()}
    keys = [key for key in FIGURES if any(found.get(key) is not None for found in errors.values())]
    blocks = [_table(["rows", *(FIGURES[key] for key in keys)],
                     [[name, *(found.get(key) for key in keys)] for name, found in errors.items()])]
    name, by_class = next(((n, f["class_error_percent"]) for n, f in errors.items() if f.get("class_error_percent")),
                          ("", {}))
    if by_class:
        blocks.append(Block("bars", [(c, e, f"{text(e)} %") for c, e in by_class.items() if e is not None],
                            f"Error by class, {name}"))
    return blocks


def _interval(found: Mapping[str, Any]) -> str | None:
    ends = [found.get(f"error_{end}_percent") for end in ("low", "high")]
    return None if None in ends else " to ".join(f"{end:.2f}" for end in ends)


def _confusion(content: PageContent) -> list[Block]:
    if content.counts is None:
        return []
    picture = plots.confusion(content.counts, tuple(content.class_names))
    blocks = _pictures({"Rows the true classes, columns the predicted ones": picture})
    pairs = metrics.most_confused(content.counts, content.class_names, NUM_CONFUSED)
    if pairs and len(content.class_names) > 2:
        blocks.append(_table(["true class", "taken for", "rows", "% of the true class"], pairs, "Confused most"))
    return blocks


def _calibration(content: PageContent) -> list[Block]:
    found = content.calibration
    if found is None:
        return []
    said = f"One temperature, {text(found.temperature)}, divides the logarithms of the probabilities"
    said += f"; it was fitted on {content.calibrated_on}." if content.calibrated_on else "."
    said += " After: each row's temperature was fitted without it."
    figures = {"log loss, nats": "log_loss_nats", "Brier score": "brier", "calibration error": "calibration_error",
               "calibration error, bins of equal mass": "calibration_error_equal_mass",
               "calibration error by chance, were the probabilities right": "calibration_error_by_chance"}
    lines = [[name, getattr(found.before, key), getattr(found.after, key)] for name, key in figures.items()]
    picture = run_plots.reliability({"before": found.reliability_before, "after": found.reliability_after})
    return [Block("text", said), _table(["", "before", "after"], lines, f"{found.before.num_labels} labels"),
            *_pictures({"Right answers against confidence": picture})]


def _abstention(content: PageContent) -> list[Block]:
    curve, chosen, blocks = content.risk_coverage, content.abstention, []
    if chosen is not None and content.target_accuracy is not None:
        asked = f"For {text(100 * content.target_accuracy)} % right answers, "
        blocks.append(Block("text", asked + (
            f"answer where the confidence is at least {text(chosen.threshold)}: {100 * chosen.coverage:.1f} % of "
            f"{chosen.num_labels} labelled rows, of which {100 * chosen.accuracy:.1f} % are right."
            if chosen.coverage else f"no threshold is high enough on {chosen.num_labels} labelled rows.")))
    if curve is not None and len(curve.risk):
        lines = [[f"{100 * c:.0f} %", curve.error_percent_at(c)] for c in COVERAGES]
        blocks += [_table(["most confident", "error, %"], lines),
                   *_pictures({"Error of the most confident rows": run_plots.risk_coverage({"answers": curve}, chosen)})]
    return blocks


def _samples(content: PageContent) -> list[Block]:
    blocks = [Block("strips", dict(content.samples), "Samples of each class")] if content.samples else []
    if content.typical is not None and len(content.typical):
        heads, lines = _cells(content.typical, range(len(content.typical)))
        lines = [[name, *line] for name, line in zip(content.typical.index, lines, strict=True)]
        blocks.append(_table(["class", *heads], lines, "Typical rows"))
    return blocks + _pictures(content.figures)


def _uncertain(content: PageContent) -> list[Block]:
    if content.rows is None or not len(content.rows.found.probs):
        return []
    said = ("Entropy is how spread the probabilities are; mutual information is the part of it that samples of the "
            "auxiliary variable disagree about. Both in nats.")
    return [Block("text", said), _answers(content, content.rows.found.entropy_nats)]


def _novel(content: PageContent) -> list[Block]:
    if content.rows is None or content.rows.novelty is None or not len(content.rows.novelty):
        return []
    said = "Novelty is the share of reference rows that the model finds likelier: 1 is likelier than none of them."
    return [Block("text", said), _answers(content, content.rows.novelty)]


def _answers(content: PageContent, scores: np.ndarray) -> Block:
    """Cards of images, or a table, of the rows with the highest scores."""
    rows, names = content.rows, content.class_names
    places = uncertainty.most(scores, NUM_ROWS)
    answers = [{"name": text(rows.names[i]) if rows.names is not None else f"row {i}",
                "probs": [(names[c], float(rows.found.probs[i, c]))
                          for c in uncertainty.most(rows.found.probs[i], NUM_PROBS)],
                "facts": _answer_facts(rows, i, names),
                "picture": None if rows.images is None else plots.image_grid(rows.images[None, [i]], gap=0)}
               for i in places]
    if rows.images is not None:
        return Block("cards", answers)
    heads, lines = ([], [[]] * len(places)) if rows.cells is None else _cells(rows.cells, places)
    return Block("answers", {"heads": heads, "rows": list(zip(answers, lines, strict=True))})


def _answer_facts(rows: Rows, i: int, names: Sequence[str]) -> dict[str, str]:
    facts = {"entropy": text(rows.found.entropy_nats[i]), "mutual information": text(
        rows.found.mutual_information_nats[i])}
    if rows.novelty is not None:
        facts["novelty"] = text(rows.novelty[i])
    if rows.y is not None and rows.y[i] != UNKNOWN:
        facts["true class"] = names[rows.y[i]]
    return facts


def _cells(table: pd.DataFrame, places: Iterable[int]) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of some rows, the first columns if they are many."""
    shown = table.iloc[list(places), :MOST_CELLS]
    heads, lines = [str(c) for c in shown.columns], [[text(v) for v in line] for line in shown.itertuples(index=False)]
    more = table.shape[1] - MOST_CELLS
    return (heads, lines) if more <= 0 else ([*heads, f"and {more} more"], [[*line, "…"] for line in lines])


def _pictures(pictures: Mapping[str, np.ndarray]) -> list[Block]:
    return [Block("pictures", dict(pictures))] if pictures else []


def _facts(facts: Mapping[str, Any]) -> list[Block]:
    return [Block("facts", dict(facts))] if facts else []


def _table(heads: Sequence[str], lines: Sequence[Sequence[Any]], caption: str = "") -> Block:
    numeric = [any(isinstance(line[i], numbers.Real) for line in lines) for i in range(len(heads))]
    return Block("table", {"heads": list(zip(heads, numeric, strict=True)), "rows": lines, "numeric": numeric}, caption)


def _flat(facts: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}: {inner}", v) for inner, v in _flat(value))
        elif value not in ([], (), None):
            yield name, value
