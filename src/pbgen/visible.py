"""Text from files and users as it may be shown: nothing in it moves a cursor, starts a line or turns letters around."""

import codecs

SPELLED = {"→": "->", "×": "x", "±": "+-", "–": "-", "µ": "u", "…": "..."}
"""The signs of our own tables, for a terminal that has none of them."""

PLAIN = "pbgen.plain"
"""An error handler for encoding: what the encoding lacks is spelled out, or escaped as in Python."""


def visible(text: str) -> str:
    """`text` with escapes such as \\x1b, \\n, \\u202e or \\udcff for what is no printable character of Unicode.

    Those are control characters, separators of lines and other spaces than the usual one, marks that turn the
    direction of writing, bytes of file names that are not UTF-8, and whatever else cannot be seen.
    """
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(SPELLED.get(c) or _escape(c) for c in lacking), error.end


codecs.register_error(PLAIN, _plain)
