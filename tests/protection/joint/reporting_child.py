"""What the tests of child processes run in them."""

import os
import subprocess
import sys
import time

from twinlab.errors import DataContractError
from twinlab.protection.joint.child import PROGRESS, serve_parent

SECRET = "61.75"


def work(line):
    task, arrays = line.read()
    sys.stdout.write("a library prints\n")
    os.write(1, b"and another one, below Python\n")
    line.say(PROGRESS, {"step": 1})
    match task["do"]:
        case "answer":
            line.say("done", {"n": len(arrays), "threads": os.environ["OMP_NUM_THREADS"]}, arrays)
            line.say("later", {})
        case "bug":
            raise ValueError(SECRET)
        case "refuse":
            raise DataContractError("age: expected values up to 98, got some beyond")
        case "vanish":
            sys.stderr.write(f"OverflowError: {SECRET}\n")
            sys.stderr.flush()
            os._exit(7)
        case "sleep":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            line.say(PROGRESS, {"pid": child.pid})
            time.sleep(60)


if __name__ == "__main__":
    serve_parent(work)
