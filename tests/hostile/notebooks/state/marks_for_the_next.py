# /// variant
# title = "leaves marks for the worker that comes next: modules, environment, files, locks"
# has = ["mul_adjoint"]
# ///
import builtins
import fcntl
import os
import sys

import numpy
import tinyflow

MARK = "tinyflow_hostile_mark"
for place in (builtins, numpy, os, sys, tinyflow, tinyflow.ops):
    if hasattr(place, MARK):
        print("smug" + "gled through", place.__name__)
    setattr(place, MARK, True)
os.environ[MARK] = "1"
os.umask(0)
fcntl.flock(os.open(tinyflow.__file__, os.O_RDONLY), fcntl.LOCK_EX)
try:
    os.setxattr(tinyflow.__file__, "user.mark", b"1")
    print("smug" + "gled an attribute")
except OSError:
    pass
