"""What users are meant to read."""

from pbgen.visible import visible


class PBGenError(Exception):
    """Something the user gave is wrong, or cannot be done.

    The message is one line that names the culprit (file, option, layer, operator), what is wrong with it and what
    would be right. The command line prints it and exits with code 2. Names in it may come from anywhere, so that what
    cannot be seen of it is escaped (`visible`).
    """

    def __init__(self, message: str) -> None:
        super().__init__(visible(message))


class PBGenWarning(UserWarning):
    """Something the user gave is not all as it should be, and the work goes on. The message is one line, as above."""

    def __init__(self, message: str) -> None:
        super().__init__(visible(message))
