"""The sections of what differs: config, source and libraries."""

from collections.abc import Sequence

from ldg.compare.differences import Source, Table
from ldg.compare.markup import breakable, escape, make_table, section

MAX_PATCHES = 500_000  # characters of all patches that are shown


def config_section(labels: Sequence[str], table: Table) -> str:
    """What differs in the configs; the rest on request.

    Args:
        labels: of the runs
        table: from :func:`ldg.compare.differences.compare_configs`
    """
    rows = [_row(key, texts) for key, texts in table.rows.items()]
    rows += [
        f'<tr class="more"><th scope="row">{breakable(key)}</th>'
        f'<td class="text" colspan="{len(labels)}">{escape(text)}</td></tr>'
        for key, text in table.constant.items()
    ]
    rows += [_row(key, texts, is_more=True) for key, texts in table.partial.items()]
    note = "Only what differs is shown; marked is what is not as in the first run."
    toggle = f'<label><input type="checkbox" id="differing"> all {len(rows)} keys</label>'
    none = "" if table.rows else '<p class="note">No key differs.</p>'
    return section(
        "Config",
        note,
        f'<div class="controls">{toggle}</div>{none}',
        make_table("config", "config", ["key", *labels], rows),
    )


def versions_section(labels: Sequence[str], table: Table) -> str:
    """The libraries whose versions differ.

    Args:
        labels: of the runs
        table: from :func:`ldg.compare.differences.compare_versions`
    """
    rows = [_row(key, texts) for key, texts in table.rows.items()]
    content = make_table("versions", "versions", ["", *labels], rows) if rows else ""
    return section("Versions", "Libraries whose versions differ.", content)


def _row(key: str, texts: Sequence[str], is_more: bool = False) -> str:
    """The texts of a key; those that are not as in the first run are marked, unless the key is shown on request."""
    cells = "".join(
        f'<td class="text{" changed" if text != texts[0] and not is_more else ""}">{escape(text) or "–"}</td>'
        for text in texts
    )
    return f'<tr{" class=more" if is_more else ""}><th scope="row">{breakable(key)}</th>{cells}</tr>'


def source_section(labels: Sequence[str], sources: Sequence[Source]) -> str:
    """The code that the runs were trained with.

    Args:
        labels: of the runs
        sources: from :func:`ldg.compare.differences.compare_sources`
    """
    if not any(source.changes or source.since for source in sources):
        return ""
    parts, left = [], MAX_PATCHES
    for source in sources:
        names = ", ".join(labels[index] for index in source.runs[:8])
        names += f" and {len(source.runs) - 8} others" if len(source.runs) > 8 else ""
        commit = f"<code>{source.commit[:12]}</code>" if source.commit else "no commit"
        parts.append(f"<p>{commit}: {escape(names)}</p>")
        for title, text in (("since the first of these commits", source.since), ("uncommitted", source.changes)):
            if text:
                left -= len(text)
                text = text if left >= 0 else f"a patch of {len(text):,} characters, for which this page has no room"
                parts.append(f"<details><summary>{title}</summary><pre>{_colour(text)}</pre></details>")
    return section("Source", "The commit of each run, and what had not been committed when it began.", *parts)


def _colour(patch: str) -> str:
    kinds = {"+": "plus", "-": "minus", "@": "hunk"}
    return "\n".join(
        f'<span class="{kinds[line[0]]}">{escape(line)}</span>' if line[:1] in kinds else escape(line)
        for line in patch.splitlines()
    )
