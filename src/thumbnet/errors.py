"""The one exception that users are meant to see: a message for them, never a stack trace."""


class UserError(Exception):
    """Something that the user can mend: a parameter, a file, a missing source.

    The message names the parameter or the file, what was given, what is allowed and, where there is one, the command
    that mends it. Stages and the command line print it and exit with status 1.
    """
