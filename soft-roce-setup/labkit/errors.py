"""What the lab says when it cannot do something, and the statuses it ends with."""

STATUS_USAGE = 2
STATUS_SKIP = 77         # this machine cannot run the lab
STATUS_GUEST_LOST = 123  # a guest died, panicked or hung under its command
STATUS_TIME_LIMIT = 124
STATUS_LAB = 125         # the lab itself failed
STATUS_INTERRUPTED = 130


class LabError(Exception):
    """A failure with its remedy in the text."""

    def __init__(self, text, status=STATUS_LAB):
        super().__init__(text)
        self.status = status


class CannotRun(LabError):
    """Something that the lab needs is not on this machine and cannot be had."""

    def __init__(self, text):
        super().__init__(text, STATUS_SKIP)
