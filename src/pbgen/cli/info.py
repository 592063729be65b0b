"""pbgen info"""

from pbgen.cli import options

LINE = 200
"""Characters of a text in the file's header that are shown; --json has all."""


def info(file: options.Packed, json: options.Json = False) -> None:
    """Tell what is in a packed file: layers, bits, bytes, inputs and outputs. Needs no PyTorch."""
    import pbgen
    from pbgen.cli.terminal import Terminal
    from pbgen.report.tables import ends_table, pack_table

    contents = pbgen.info(file)
    if json:
        print(contents.to_json(), flush=True)
        return
    terminal = Terminal()
    terminal.show(pack_table(contents))
    terminal.show(ends_table(contents))
    terminal.say(
        f"{file}: {contents.packed_bytes:,} bytes; its numbers as float32 would take {contents.float_bytes:,}, so it "
        f"is {contents.comparison}"
    )
    terminal.say("operators: " + ", ".join(f"{count} {name}" for name, count in contents.operators.items()))
    for name, text in contents.metadata.items():
        line = f"{name}: {text}"
        terminal.say(line if len(line) <= LINE else f"{line[:LINE]}…")
