"""What users are meant to read."""


class PBGenError(Exception):
    """Something the user gave is wrong, or cannot be done.

    The message is one line that names the culprit (file, option, layer, operator), what is wrong with it and what
    would be right. The command line prints it and exits with code 2.
    """


class PBGenWarning(UserWarning):
    """Something the user gave is not all as it should be, and the work goes on. The message is one line."""
