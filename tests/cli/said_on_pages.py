"""What a run's page, its summary, the index and the page of two runs say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from stallgate.formatting import status_label
from tests.cli.statements import (
    CHANGES,
    SHOWN,
    Json,
    Statement,
    case_of,
    digits_in,
    number_said,
    of_distance,
    of_notes,
    of_origin,
    of_results,
    plain,
    tally_in,
    target_of,
    tells_of_results,
)
from tests.render.page_text import PageText, read_page

_WORST = ("fail", "not_measured", "undecided", "waived", "excused", "pass")
_MERGE = {"may be merged": "pass", "not to be merged": "fail", "not to be merged yet": "open"}

Names = Mapping[tuple[str, str, str], str]
"""Problem, workload and variant as a reader sees it -> the case."""


def names_of(cases: Iterable[str]) -> dict[tuple[str, str, str], str]:
    """The cases of a run by problem, workload, and the variant with its configuration where that is not the default."""
    found = {}
    for case in cases:
        problem, variant, configuration, workload = case.split("/")
        shown = variant if configuration == "default" else f"{variant} ({configuration})"
        found[problem, workload, shown] = case
    return found


def verdicts_by_case(verdicts: Iterable[Json]) -> dict[str, list[Json]]:
    """Case -> its verdicts."""
    found: dict[str, list[Json]] = {}
    for verdict in verdicts:
        found.setdefault(case_of(verdict), []).append(verdict)
    return found


def of_cases(verdicts: Iterable[Json]) -> Iterator[Statement]:
    """The word for each case that is judged, and how many of its targets are missed, by the gate's verdicts."""
    for case, mine in verdicts_by_case(verdicts).items():
        worst = min(mine, key=lambda verdict: _WORST.index(verdict["status"]))
        yield Statement(("word", case), status_label(worst["status"], worst["reason"]), "gate --json")
        missed = sum(verdict["status"] == "fail" for verdict in mine)
        yield Statement(("misses", case), float(missed), "gate --json")
        met = sum(verdict["status"] == "pass" for verdict in mine)
        yield Statement(("targets met", case), float(met), "gate --json")


def beside_the_roof(shown: Json) -> Iterator[Statement]:
    """Whether a case takes longer than its roof, by the object of ``show run``."""
    for case, metrics in shown["metrics"].items():
        fraction = metrics.get("roof_fraction", {}).get("median")
        if fraction is not None and abs(fraction - 1) > 1e-4:
            yield Statement(("beside the roof", case), "longer" if fraction < 1 else "less", "show --json")


def right_by_place(shown: Json) -> Iterator[Statement]:
    """How many results on a workload are right, by the object of ``show run``."""
    places: dict[tuple[str, str], list[bool]] = {}
    for case in shown["cases"]:
        problem, _, _, workload = case["case"].split("/")
        is_right = case["outcome"] == "profiled" and not case["edge_case_fault"]
        places.setdefault((problem, workload), []).append(is_right)
    for place, right in places.items():
        yield Statement(("right", *place), "every" if all(right) else str(sum(right)), "show --json")


_OPEN = {"Stale": "stale", "Undecided": "undecided", "Cannot be judged": "not judged", "Not judged": "not judged"}


def word_of(headline: str, style: str) -> str:
    """The word that lists of runs have to have for a page's headline and its colour."""
    if style != "open":
        return {"plain": "not judged"}.get(style, style)
    return _OPEN.get(headline.partition(":")[0], "not measured")


# --- the page of a run ------------------------------------------------------------------------------------------------


class PageView:
    """A run's page, read."""

    def __init__(self, html: str, verdicts: list[Json], names: Names, base: str) -> None:
        self._html = html
        self._base = base
        self._page: PageText = read_page(html)
        self._verdicts = verdicts
        self._by_case = verdicts_by_case(verdicts)
        self._names = names

    @property
    def headline(self) -> str:
        """The first words of the page."""
        return next(text.words for text in self._page.texts if text.tag == "h1")

    def statements(self) -> Iterator[Statement]:
        """All that the page says of its run."""
        yield from self._head()
        yield from self._next()
        yield from self._targets()
        yield from self._values()
        yield from self._first_screen()
        yield from self._since()
        yield from self._cases()
        for section in re.findall(r'<section id="workload-\d+".*?</section>', self._html, re.DOTALL):
            yield from self._section(section)

    def _head(self) -> Iterator[Statement]:
        top = re.search(r'<header class="top (\w+)">', self._html)
        assert top is not None
        yield Statement(("answer",), top[1], "the page's colour")
        title = self.headline
        yield Statement(("headline",), title, "the page")
        yield Statement(("word",), word_of(title, top[1]), f"the page's headline ({title})")
        window = re.search(r"<title>(.*?) · [^·]* · stallgate</title>", self._html, re.DOTALL)
        assert window is not None
        yield Statement(("headline",), plain(window[1]), "the page's title")
        gate = re.search(r'<dt>Gate</dt><dd class="is-(\w+)"><strong class="mark">(.*?)</strong>', self._html)
        assert gate is not None
        yield Statement(("answer",), gate[1], "the colour of the page's Gate")
        yield Statement(("answer",), _MERGE.get(plain(gate[2]), "plain"), f"the page's Gate ({plain(gate[2])})")
        results = re.search(
            r"<dt>Results</dt><dd class=\"is-(\w+)\"><span class=\"mark\">(.*?)</span>", self._html, re.DOTALL
        )
        assert results is not None
        yield from of_results(plain(results[2]), "the page")
        yield Statement(("a candidate is wrong",), results[1] == "fail", "the colour of the page's Results")
        if title == "Wrong result" or tells_of_results(self._verdicts):
            yield Statement(("a candidate is wrong",), title == "Wrong result", f"the page's headline ({title})")
        origin = re.search(r'<p class="small origin">.*?<span(?: class="recorded")?>(.*?)</span>', self._html)
        assert origin is not None
        yield from of_origin(plain(origin[1]), "the page")
        notes = re.search(r'<ul class="small faint notes">(.*?)</ul>', self._html, re.DOTALL)
        found = re.findall(r"<li>(.*?)</li>", notes[1], re.DOTALL) if notes is not None else []
        yield from of_notes(map(plain, found), "the page")

    def _next(self) -> Iterator[Statement]:
        command = re.search(r"<dt>Next</dt><dd>(.*?)</dd>", self._html, re.DOTALL)
        assert command is not None
        code = re.search(r"<code[^>]*>(stallgate .*?)</code>", command[1], re.DOTALL)
        if code is None:
            return
        line = plain(code[1])
        yield Statement(("next",), line, "the page")
        words = plain(command[1].replace(code[0], ""))
        for variant in {verdict["variant"] for verdict in self._verdicts if verdict["variant"]}:
            named = re.search(rf"\b{re.escape(variant)}\b", words) is not None
            subject = re.search(rf"/{re.escape(variant)}\b", line) is not None
            if named and re.search(r"stallgate (check|profile) ", line):
                yield Statement(("next", "is about", variant), subject, f"the page's command ({line})")
                yield Statement(("next", "is about", variant), True, f"the words before it ({words})")
        if "check" in words:
            yield Statement(("next", "checks"), line.startswith("stallgate check"), f"the page's command ({line})")
            yield Statement(("next", "checks"), True, f"the words before it ({words})")

    def _targets(self) -> Iterator[Statement]:
        """The rows of the table of verdicts stand in the order of verdicts.json."""
        rows = re.findall(
            r'<tr class="is-\w+"><td class="mark">(.*?)</td><td class="long">(.*?)</td>(.*)</tr>', self._html
        )
        assert len(rows) == len(self._verdicts)
        for (mark, sentence, rest), verdict in zip(rows, self._verdicts, strict=True):
            yield Statement(target_of(verdict), plain(mark).partition(" ")[2], "the page's verdicts")
            yield Statement(("sentence", *target_of(verdict)), plain(sentence), "the page's verdicts")
            wanted = re.search(r'data-label="Wanted" data-value="(.*?)">(.*?)</td>', rest)
            if wanted is not None:
                yield Statement(("bound", *target_of(verdict)), float(wanted[1]), "the page's verdicts")
                yield from number_said(("bound", *target_of(verdict)), plain(wanted[2]), "the page's verdicts, written")
            value = re.search(r'data-label="Value" data-value="(.*?)">(.*?)</td>', rest)
            if value is not None and not verdict["kernel"] and verdict["metric"]:
                subject = (case_of(verdict), verdict["metric"])
                yield Statement(("value", *subject), float(value[1]), "the page's verdicts")
                yield Statement(
                    ("value in words", *target_of(verdict)), digits_in(plain(value[2])), "the page's verdicts"
                )

    def _values(self) -> Iterator[Statement]:
        for text in self._page.texts:
            attributes = text.attributes
            exact = attributes.get("data-value")
            if text.tag != "td" or not exact or "data-kernel" in attributes or text.attribute:
                continue
            if "data-change" in attributes:
                continue
            metric, case = attributes.get("data-metric"), attributes.get("data-case")
            if metric and case:
                side = f"before{self._beside(attributes['data-base'])}" if attributes.get("data-base") else "value"
                yield Statement((side, case, metric), float(exact), "the page's cells")
                yield from number_said((side, case, metric), text.words, f"the page's cells ({text.words})")

    def _beside(self, base: str | None) -> str:
        """Part of the subject of a change, where it is not one beside the run that ``compare`` is asked about."""
        return "" if base == self._base else f" since {base}"

    # --- the first screen ---

    def _first_screen(self) -> Iterator[Statement]:
        for match in re.finditer(r'<article class="judged[^"]*" data-case="(.*?)".*?</article>', self._html, re.DOTALL):
            case, article = match[1], match[0]
            time = re.search(
                r'<p class="time" data-metric="duration">(.*?)<span class="faint small">(.*?)</span>',
                article,
                re.DOTALL,
            )
            if time is not None and re.match(r"\s*[\d.,]+ (ns|µs|ms|s)", time[1]):
                yield from number_said(("value", case, "duration"), plain(time[1]), "the first screen")
                spread = re.match(r"± [^ ]+ %", plain(time[2]))
                if spread is not None:
                    yield Statement(("spread", case), spread[0], "the first screen")
            why = re.findall(r"<p>(.*?)</p>", article.partition('<div class="small why">')[2], re.DOTALL)
            for said in map(plain, why):
                yield Statement(
                    ("why", case, said.partition(" ")[0].strip(":")), said.removesuffix("."), "the first screen"
                )
            targets = re.findall(r'<div class="target is-.*?\n</div>', article, re.DOTALL)
            for target, verdict in zip(targets, self._by_case.get(case, []), strict=False):
                yield from self._first_screens_target(case, target, verdict)
            yield from of_distance(case, plain(article), "the first screen")

    def _first_screens_target(self, case: str, target: str, verdict: Json) -> Iterator[Statement]:
        where = "the first screen"
        mark = re.search(r'<span class="mark">(.*?)</span>(?: · (.*?))?</p>', target, re.DOTALL)
        assert mark is not None
        yield Statement(target_of(verdict), plain(mark[1]).partition(" ")[2], where)
        missed = re.match(r"(.*) (?:short|too much)", plain(mark[2] or ""))
        if missed is not None:
            yield Statement(("missed by", *target_of(verdict)), missed[1], where)
        metric = re.search(r'data-metric="(\w+)"', target)
        value = re.search(r"<p><strong>(.*?)</strong>,?(?: <span class=\"faint\">(.*?)</span>)?", target)
        if metric is None or value is None:
            return
        if value[2]:
            yield from number_said(("bound", *target_of(verdict)), plain(value[2]), where)
        if not verdict["kernel"]:
            yield from number_said(("value", case, metric[1]), plain(value[1]), where)
            yield Statement(("value in words", *target_of(verdict)), digits_in(plain(value[1])), where)

    # --- tables and pictures ---

    def _cases(self) -> Iterator[Statement]:
        """The tables of cases: rank, what a case is, and its word."""
        where = "the page's tables of cases"
        for case, row in re.findall(
            r'<tr data-case="([^"]*)"><td class="number" data-label="Rank"(.*?)</tr>', self._html
        ):
            rank = re.search(r'data-rank="(\d+)"', row)
            timed = re.search(r'data-value="[^"]*" data-metric="duration"', row)
            assert rank is not None
            if timed is not None:
                yield Statement(("rank", case), rank[1], where)
            below = re.search(r'<span class="faint below">(.*?)</span>', row)
            if below is not None and " · " not in below[1] and "grid" not in below[1]:
                yield Statement(("standing", case), plain(below[1]), where)
            mark = re.search(r'<td class="is-\w*"><span class="mark">(.*?)</span></td>$', row)
            if mark is not None and mark[1]:
                yield Statement(("word", case), plain(mark[1]).partition(" ")[2], where)

    def _section(self, section: str) -> Iterator[Statement]:
        """What the titles of a workload's figures, and the line on its results, say."""
        title = re.search(r'<h2 id="workload-\d+-title">(.*?)</h2>', section)
        assert title is not None
        problem, _, workload = plain(title[1]).partition(" · ")
        said = [plain(words) for words in re.findall(r'role="region" aria-label="(.*?)"', section)]
        said += [plain(words) for words in re.findall(r"<p>(.*?)\. (?:<span|</p>)", section)]
        for words in dict.fromkeys(said):
            yield from self._titled(problem, workload, words)
        right = re.search(r'<p class="faint">(?:(\d+ of \d+) results are right|Every result is right)', section)
        if right is not None:
            count = right[1].split(" of ") if right[1] else ["every", ""]
            yield Statement(("right", problem, workload), count[0], "the line on a workload's results")

    def _titled(self, problem: str, workload: str, words: str) -> Iterator[Statement]:
        where = f"a figure ({words[:60]})"
        for name, rest in re.findall(r"(\w+(?: \(\w+\))?) (runs at [^;]*)", words):
            case = self._names.get((problem, workload, name))
            if case is not None:
                yield from of_distance(case, rest, where)
                missed = re.search(r"misses (\d+) target", rest)
                yield Statement(("misses", case), float(missed[1]) if missed is not None else 0.0, where)
        for name, less in re.findall(r"(\w+(?: \(\w+\))?) takes (<?[\d.]+ % longer|<?[\d.]+ % less time)", words):
            case = self._names.get((problem, workload, name))
            if case is not None:
                yield Statement(("beside the roof", case), "less" if less.endswith("less time") else "longer", where)
        fastest = re.search(r"(\w+(?: \(\w+\))?) is the fastest of", words)
        case = self._names.get((problem, workload, fastest[1])) if fastest is not None else None
        if case is not None:
            yield Statement(("fastest", problem, workload), case, where)

    # --- what changed ---

    def _since(self) -> Iterator[Statement]:
        part = re.search(r'<section aria-labelledby="since">.*?</section>', self._html, re.DOTALL)
        if part is None:
            return
        for row in re.findall(r"<tr[^>]*><td class=\"mark\">.*?</tr>", part[0], re.DOTALL):
            change = re.search(r'data-change="(\w+)" data-case="(.*?)" data-base="(.*?)">(.*?)</td>', row)
            mark = re.search(r'<td class="mark">(.*?)</td>', row)
            if change is not None and mark is not None:
                subject = change[2], change[1]
                beside = self._beside(change[3])
                yield Statement((f"changed{beside}", *subject), CHANGES[plain(mark[1])], "the page's changes")
                yield Statement((f"change{beside}", *subject), plain(change[4]), "the page's changes")

    @property
    def since(self) -> list[str]:
        """The runs that the page is held against, each once."""
        return list(dict.fromkeys(re.findall(r'since <a href="#since">(.*?)</a>', self._html)))

    def changed(self) -> Iterator[Statement]:
        """What the head says that changed, in a run of one problem that is held against another run."""
        found = re.findall(
            r'<strong class="mark[^"]*">([^<]*)</strong> since <a href="#since">[^<]*</a>: (.*?)(?:<br>|</dd>)',
            self._html,
        )
        if len(found) == 1 and len({problem for problem, _, _ in self._names}) == 1:
            yield Statement(("changed",), CHANGES[plain(found[0][0])], "the page's head")
            yield from _moved_nothing(plain(found[0][1]), "the page's head")
        for match in re.finditer(r'<article class="judged[^"]*" data-case="(.*?)".*?</article>', self._html, re.DOTALL):
            change = re.search(r'<p class="small">([^<]*last time[^<]*)</p>', match[0])
            if change is not None:
                words = plain(change[1])
                moved = re.match(r"(\S+ %) (faster|slower) than", words)
                said = f"{moved[1]} {moved[2]}" if moved is not None else "no change"
                yield Statement(("time changed", match[1]), said, "the first screen")


def _moved_nothing(finding: str, where: str) -> Iterator[Statement]:
    """That no time moved, of all there are, where a sentence on changes says so."""
    if re.search(r"\b[Nn]o time moved", finding):
        yield Statement(("moved no time",), True, f"{where} ({finding})")


# --- the page of two runs ---------------------------------------------------------------------------------------------


def time_changes(found: Json) -> Iterator[Statement]:
    """How the times of the cases changed, and whether any did, by the object of ``compare``."""
    moved = False
    for pair in found["pairs"]:
        for change in pair["changes"]:
            if change["metric"] != "duration" or change["change"] is None:
                continue
            is_moved = change["word"] in ("faster", "slower")
            moved = moved or is_moved
            said = f"{change['text'].lstrip('+-')} {change['word']}" if is_moved else "no change"
            if change["word"] not in ("not_comparable", "shown"):
                yield Statement(("time changed", pair["case"]), said, "compare --json")
    if moved:
        yield Statement(("moved no time",), False, "the times of compare --json")
    yield from _moved_nothing(found["finding"], "compare --json")


def of_compare_page(html: str, found: Json) -> Iterator[Statement]:
    """The page of two runs.

    Args:
        html: the page.
        found: the object of ``compare``, for the cases by their names.
    """
    where = "the compare page"
    several = len({pair["case"].partition("/")[0] for pair in found["pairs"] if not pair["about"]}) > 1
    names = names_of(pair["case"] for pair in found["pairs"])
    alone = {(workload, variant): case for (_, workload, variant), case in names.items()}
    abouts = {pair["about"]: pair["case"] for pair in found["pairs"] if pair["about"]}
    title = re.search(r"<h1[^>]*>(.*?)</h1>", html, re.DOTALL)
    assert title is not None
    yield Statement(("finding",), plain(title[1]), where)
    window = re.search(r"<title>(.*?) · [^·]* · stallgate</title>", html, re.DOTALL)
    assert window is not None
    yield Statement(("finding",), plain(window[1]), f"{where}'s title")
    header = html[: html.index("</header>")]
    notes = re.search(r"<ul>(.*?)</ul>", header, re.DOTALL)
    shown = [plain(note) for note in re.findall(r"<li>(.*?)</li>", notes[1], re.DOTALL)] if notes is not None else []
    yield Statement(("compared notes",), " | ".join(shown), where)
    unchanged = re.search(r"Nothing changed beyond the noise: ([\d,]+) metrics? of ([\d,]+) case", header)
    if unchanged is not None:
        yield Statement(("unchanged",), f"{unchanged[1]} of {unchanged[2]}".replace(",", ""), where)
        for word in ("faster", "slower", "better", "worse", "moved"):
            yield Statement(("changes", word), 0.0, f"{where} (nothing changed)")
    origin = re.search(r'<tr><th scope="row">origin</th><td>(.*?)</td><td>(.*?)</td></tr>', html, re.DOTALL)
    assert origin is not None
    yield Statement(("origin before",), plain(origin[1]), where)
    yield from of_origin(plain(origin[2]), where)
    for table in re.findall(r"<table.*?</table>", html, re.DOTALL):
        for row in re.findall(r"<tr[^>]*><td>.*?</tr>", table, re.DOTALL) if ">Metric</th>" in table else []:
            cells = [plain(cell[2]) for cell in re.findall(r"<(td|th)([^>]*)>(.*?)</\1>", row, re.DOTALL)]
            problem, _, place = cells[0].rpartition(" · ")
            case = abouts.get(cells[1]) or names.get((problem, place, cells[1])) or alone[place, cells[1]]
            if several:
                yield Statement(("names its problem", case), True, "a run of several problems")
                yield Statement(("names its problem", case), bool(problem), f"{where} ({cells[0]})")
            yield from _compared_row(case, cells[2:], has_word=">Word</th>" in table)


def _compared_row(case: str, cells: list[str], *, has_word: bool) -> Iterator[Statement]:
    where = "the compare page"
    metric, unit, before, after, change, *rest = cells
    if has_word:
        yield Statement(("changed", case, metric), CHANGES[rest[0]], where)
    if change != "–":
        yield Statement(("change", case, metric), change, where)
    for side, words in (("before", before), ("value", after)):
        if unit != "":
            yield from number_said((side, case, metric), words, f"{where} ({words})")


# --- the index --------------------------------------------------------------------------------------------------------


def of_index(html: str, name: str, created: str, names: Names, titles: Mapping[str, str]) -> Iterator[Statement]:
    """What the list of all runs, and its trends, say of a run.

    Args:
        html: the page.
        name: the run's.
        created: when it was measured; its rows among the trends have that.
        names: its cases.
        titles: title of a metric -> its short name.
    """
    rows = re.findall(r"<tr[^>]*data-verdict=.*?</tr>", html, re.DOTALL)
    row = next(row for row in rows if re.search(rf"<th[^>]*>(?:<a [^>]*>)?{name}<", row))
    status = re.search(r'<tr class="is-(\w+)"', row)
    yield Statement(("answer",), SHOWN[status[1] if status else "not_judged"], "the index")
    facet = re.search(r'data-verdict="(.*?)"', row)
    assert facet is not None
    yield Statement(("word",), facet[1], "the index's filter")
    mark = re.search(r'<td class="wide">(?:<span class="mark">(.*?)</span><br>)?', row)
    assert mark is not None
    yield Statement(("word",), plain(mark[1] or "not judged").lstrip("✓✗≈○~ "), "the index")
    cells = {label: plain(words) for label, words in re.findall(r'data-label="([^"]*)">(.*?)</td>', row, re.DOTALL)}
    yield Statement(("measured",), cells["Cases"], "the index")
    yield Statement(("gpus",), cells["GPU"].replace("unknown", ""), "the index")
    yield Statement(("kind",), cells["Kind"], "the index")
    if cells["Kind"] != "imported":
        yield Statement(("problems",), cells["Problem or file"], "the index")
    if cells["Kind"] == "live":
        yield Statement(("commit",), cells["Commit"].rstrip("+")[:7], "the index")
        yield Statement(("local changes",), cells["Commit"].endswith("+"), "the index")
        yield Statement(("created",), cells["When (UTC)"].replace(" ", "T") + "Z", "the index")
    answer = re.search(r'<td class="wide">(?:<span class="mark">.*?</span><br>)?(.*?)</td>', row, re.DOTALL)
    assert answer is not None
    counted = plain(answer[1]).partition(": ")[2]
    if counted and counted != "nothing was judged":
        yield Statement(("verdicts counted",), tally_in(counted), "the index")
    newest = re.search(r"The newest, ([^:]*): ([^<]*)\.</p>", html)
    assert newest is not None
    if newest[1] == name:
        yield Statement(("the index's answer",), plain(newest[2]), "the index's head")
        yield Statement(("the index's answer",), plain(answer[1]), "the index's row")
    yield from _of_trends(html, created, names, titles)


def _of_trends(html: str, created: str, names: Names, titles: Mapping[str, str]) -> Iterator[Statement]:
    moment = created.replace("T", " ").removesuffix("Z")
    for title, table in re.findall(r'<h2 id="[^"]*-title">([^<]* · [^<]*)</h2>.*?(<table.*?</table>)', html, re.DOTALL):
        problem, _, workload = plain(title).partition(" · ")
        heads = [plain(head) for head in re.findall(r'<th scope="col" class="number">(.*?)</th>', table)]
        for row in re.findall(r'<tr><th scope="row">.*?</tr>', table, re.DOTALL):
            variant = re.match(r'<tr><th scope="row">([^<]*)', row)
            cells = re.findall(r'<td class="number( gap)?"[^>]*>(.*?)</td>', row)
            case = names.get((problem, workload, plain(variant[1]) if variant is not None else ""))
            if case is None or f"<td>{moment}</td>" not in row:
                continue
            for head, (gap, words) in zip(heads, cells, strict=True):
                metric = titles.get(re.sub(r" \[.*\]$", "", head))
                unit = next((u for u in ("ms", "µs", "s") if head.endswith(f"[{u}]")), "")
                if metric is not None and not gap:
                    yield from number_said(("value", case, metric), plain(words), "the index's trends", unit)


# --- the summary ------------------------------------------------------------------------------------------------------


def unescaped(markdown: str) -> str:
    """Text without the signs that escape it in Markdown."""
    return re.sub(r"\\([\\`*_\[\]<>|#])", r"\1", markdown)


def of_summary(text: str, verdicts: list[Json], names: Names, titles: Mapping[str, str]) -> Iterator[Statement]:
    """``summary.md``, which is also a pull request's comment."""
    where = "summary.md"
    lines = text.splitlines()
    yield Statement(("headline",), lines[0].removeprefix("## "), where)
    yield from of_origin(lines[2], where)
    told = [unescaped(line) for line in lines if line.startswith("- **")]
    found = [match for line in told if (match := re.match(r"- \*\*(.*?)\*\* (.*)$", line)) is not None]
    for match, verdict in zip(found, verdicts, strict=False):
        yield Statement(target_of(verdict), match[1].partition(" ")[2], where)
        sentence = " ".join(verdict["sentence"].split())[:300]
        yield Statement(("sentence in Markdown", *target_of(verdict)), sentence in match[2], where)
        yield Statement(("sentence in Markdown", *target_of(verdict)), True, "gate --json")
    notes = [unescaped(line.removeprefix("> ")) for line in lines if line.startswith("> ")]
    yield Statement(("notes, cut",), " | ".join(note[:200] for note in notes), where)
    yield from _of_summary_tables(lines, names, titles)


def _of_summary_tables(lines: list[str], names: Names, titles: Mapping[str, str]) -> Iterator[Statement]:
    place, heads = ("", ""), list[str]()
    for line in map(unescaped, lines):
        if line.startswith("### "):
            problem, _, workload = line.removeprefix("### ").partition(" · ")
            place, heads = (problem, workload), []
        if not line.startswith("| ") or not place[1]:
            continue
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        heads = heads or cells
        case = names.get((*place, cells[0]))
        if case is None:
            continue
        yield Statement(("standing", case), cells[1], "summary.md")
        for head, cell in zip(heads, cells, strict=True):
            metric = titles.get(re.sub(r" \[.*\]$", "", head))
            unit = next((u for u in ("ms", "µs", "s") if head.endswith(f"[{u}]")), "")
            if metric is not None and cell != "–":
                yield from number_said(("value", case, metric), cell, f"summary.md ({cell})", unit)


def notes_cut(notes: Iterable[str]) -> Iterator[Statement]:
    """The remarks of the gate as Markdown has them."""
    yield Statement(("notes, cut",), " | ".join(" ".join(note.split())[:200] for note in notes), "gate --json")
