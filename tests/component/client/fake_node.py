#!/usr/bin/python3
"""An agent that does nothing: it lives until SIGTERM, or until its lifeline closes."""
import os
import select
import signal
import sys

arguments = sys.argv[1:]
lifeline = int(arguments[arguments.index("--lifeline-fd") + 1]) if "--lifeline-fd" in arguments else None
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
if lifeline is None:
    while True:
        signal.pause()
select.select([lifeline], [], [])
