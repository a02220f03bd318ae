"""The sections of a run's page: from what is known to blocks that the template lays out."""

from __future__ import annotations

import contextlib
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from adgm_tf.analysis import metrics, plots, run_plots, uncertainty
from adgm_tf.analysis.page_content import AnsweredRows, PageContent
from adgm_tf.data.labels import UNKNOWN

NUM_ROWS = 10
NUM_PROBS = 3
LEAST_PROB = 0.0005
NUM_CONFUSED = 10
MOST_SAMPLES = 12
MOST_CELLS = 12
MOST_TEXT = 160
COVERAGES = (0.5, 0.8, 0.9, 0.95, 1.0)
FIGURES = {"error_percent": "error, %", "interval": "95 % interval", "balanced_error_percent": "balanced error, %",
           "macro_f1": "macro F1", "log_loss_nats": "log loss, nats", "num_labels": "labels"}


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


def sections(content: PageContent) -> list[Section]:
    """Returns the sections that there is anything for, in the order of the page."""
    found = [
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
    return [section for section in found if section.blocks]


def tiles(content: PageContent) -> list[tuple[str, str, str]]:
    """Returns the first things to know: name, number, remark."""
    found = [(f"{name} error", f"{error['error_percent']:.2f} %", f"95 % interval {_interval(error)} %")
             for name, error in list(content.errors.items())[:2]]
    if content.calibration:
        before, after = content.calibration.before, content.calibration.after
        found.append(("calibration error", f"{100 * after.calibration_error:.1f} %",
                      f"{100 * before.calibration_error:.1f} % before calibration"))
    if content.abstention and content.target_accuracy is not None:
        found.append((f"answered at {text(100 * content.target_accuracy)} % accuracy",
                      f"{100 * content.abstention.coverage:.0f} %", "of labelled rows"))
    return found


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
                     [[name, *(_figure(key, found.get(key)) for key in keys)] for name, found in errors.items()])]
    name, by_class = next(((n, f["class_error_percent"]) for n, f in errors.items() if f.get("class_error_percent")),
                          ("", {}))
    if by_class:
        blocks.append(Block("bars", [(c, e, f"{e:.2f} %") for c, e in by_class.items() if e is not None],
                            f"Error by class, {name}"))
    return blocks


def _figure(key: str, value: Any) -> Any:
    return f"{value:.2f}" if key.endswith("_percent") and value is not None else value


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
        lines = [[*pair[:3], f"{pair.percent_of_true:.1f}"] for pair in pairs]
        blocks.append(_table(["true class", "taken for", "rows", "% of the true class"], lines, "Confused most"))
    return blocks


def _calibration(content: PageContent) -> list[Block]:
    found = content.calibration
    if found is None:
        return []
    said = f"One temperature, {text(found.temperature)}, divides the logarithms of the probabilities"
    said += f"; it was fitted on {content.calibrated_on}." if content.calibrated_on else "."
    said += " After: each row's temperature was fitted without it."
    figures = {"log loss, nats": ("log_loss_nats", 1), "Brier score": ("brier", 1),
               "calibration error, %": ("calibration_error", 100),
               "the same in bins of equal mass, %": ("calibration_error_equal_mass", 100),
               "what chance gives if the probabilities are right, %": ("calibration_error_by_chance", 100)}
    lines = [[name, *(f"{scale * getattr(scores, key):.3f}" for scores in (found.before, found.after))]
             for name, (key, scale) in figures.items()]
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
        lines = [[f"{100 * c:.0f} %", f"{curve.error_percent_at(c):.2f}"] for c in COVERAGES]
        picture = run_plots.risk_coverage({"answers": curve}, chosen)
        blocks += [_table(["most confident", "error, %"], lines),
                   *_pictures({"Error of the most confident rows": picture})]
    return blocks


def _samples(content: PageContent) -> list[Block]:
    strips = {name: _strip(images[:MOST_SAMPLES]) for name, images in content.samples.items()}
    blocks = [Block("strips", strips, "Samples of each class")] if strips else []
    if content.typical is not None and len(content.typical):
        heads, lines = _cells(content.typical, range(len(content.typical)))
        lines = [[name, *line] for name, line in zip(content.typical.index, lines, strict=True)]
        blocks.append(_table(["class", *heads], lines, "Typical rows"))
    return blocks + _pictures(content.figures)


def _strip(images: np.ndarray) -> np.ndarray:
    """Images [n, H, W, channels] in a row, uint8 RGBA, with nothing between them."""
    between = plots.image_grid(np.zeros_like(images[None]), gap=1)[..., :1]
    return np.concatenate([plots.image_grid(images[None], gap=1), 255 - between], -1)


def _uncertain(content: PageContent) -> list[Block]:
    if content.rows is None or content.rows.found is None or not len(content.rows.found.probs):
        return []
    said = ("Entropy is how spread the probabilities are. Mutual information is how far samples of the auxiliary "
            "variable disagree about the class, before calibration. Both in nats." + _of_which(content.rows))
    return [Block("text", said), _answers(content, content.rows.found.entropy_nats)]


def _of_which(rows: AnsweredRows) -> str:
    return f" These are the highest {NUM_ROWS} of {rows.words}." if rows.words else ""


def _novel(content: PageContent) -> list[Block]:
    if content.rows is None or content.rows.novelty is None or not len(content.rows.novelty):
        return []
    said = (f"Novelty is the share of {content.rows.reference or 'reference rows'} that the model finds likelier. At "
            f"1, all of them are.{_of_which(content.rows)}")
    bounds = content.rows.bounds
    scores = content.rows.novelty if bounds is None else np.where(np.isnan(bounds), np.inf, -bounds)
    return [Block("text", said), _answers(content, scores)]


def _answers(content: PageContent, scores: np.ndarray) -> Block:
    """Cards of images, or a table, of the rows with the highest scores."""
    rows, names = content.rows, content.class_names
    places = uncertainty.most(scores, NUM_ROWS).tolist()
    answers = [{"name": text(rows.names[i]) if rows.names is not None else f"row {i}",
                "probs": _most_probable(rows, i, names), "facts": _answer_facts(rows, i, names),
                "picture": None if rows.images is None else plots.image_grid(rows.images[None, [i]], gap=0)}
               for i in places]
    if rows.images is not None:
        return Block("cards", answers)
    heads, lines = ([], [[]] * len(places)) if rows.cells is None else _cells(rows.cells, places)
    return Block("answers", {"heads": heads, "rows": list(zip(answers, lines, strict=True))})


def _most_probable(rows: AnsweredRows, i: int, names: Sequence[str]) -> list[tuple[str, float]]:
    if rows.found is None:
        return []
    probs = rows.found.probs[i]
    places = uncertainty.most(probs, NUM_PROBS)
    return [(names[c], float(probs[c])) for n, c in enumerate(places) if n == 0 or probs[c] >= LEAST_PROB]


def _answer_facts(rows: AnsweredRows, i: int, names: Sequence[str]) -> dict[str, str]:
    facts = {} if rows.found is None else {
        "entropy": f"{rows.found.entropy_nats[i]:.3f}",
        "mutual information": f"{rows.found.mutual_information_nats[i]:.3f}"}
    if rows.novelty is not None:
        facts["novelty"] = f"{rows.novelty[i]:.3f}"
    if rows.bounds is not None:
        facts["bound"] = f"{rows.bounds[i]:.1f}"
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
    numeric = [all(_is_number(line[i]) for line in lines) for i in range(len(heads))]
    return Block("table", {"heads": list(zip(heads, numeric, strict=True)), "rows": lines, "numeric": numeric}, caption)


def _is_number(value: Any) -> bool:
    with contextlib.suppress(ValueError):
        return value is None or isinstance(float(value) if isinstance(value, str) else value, numbers.Real)
    return False


def _flat(facts: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}: {inner}", v) for inner, v in _flat(value))
        elif value not in ([], (), None):
            yield name, value


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
        return "-" if math.isnan(value) else f"{float(value):.4g}"
    if value is None or value is pd.NA or value is pd.NaT or value == "":
        return "-"
    words = " ".join(str(value).split())
    return words if len(words) <= most else words[: most - 1] + "…"
