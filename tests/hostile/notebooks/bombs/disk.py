# /// variant
# title = "fills the disk in every place and in every way"
# has = ["mul_adjoint"]
# ///
import mmap
import os
import shutil
import sqlite3
import tempfile

import tinyflow

NAME = "tinyflow-hostile-fill"
places = [".", "/", "/tmp", "/var/tmp", "/dev/shm", "/run", os.path.expanduser("~")]
places += [os.path.dirname(tinyflow.__file__), os.path.dirname(os.__file__), tempfile.tempdir or "/tmp"]


def attempt(way):
    try:
        way()
        print("smug" + "gled:", way)
    except BaseException as error:
        print(type(error).__name__)


for place in places:
    path = os.path.join(place, NAME)
    attempt(lambda: open(path, "wb").write(b"x" * (1 << 30)))
    attempt(lambda: os.mkdir(path))
    attempt(lambda: os.symlink("/etc/passwd", path))
    attempt(lambda: os.mkfifo(path))
    attempt(lambda: os.link(tinyflow.__file__, path))
    attempt(lambda: sqlite3.connect(path).execute("create table t (x)"))
    attempt(lambda: shutil.copyfile(tinyflow.__file__, path))
attempt(lambda: os.truncate(tinyflow.__file__, 0))
attempt(lambda: os.open(tinyflow.__file__, os.O_RDONLY | os.O_TRUNC))
attempt(lambda: os.rename(tinyflow.__file__, tinyflow.__file__ + NAME))
attempt(lambda: os.memfd_create(NAME))
attempt(lambda: os.open("/tmp", os.O_TMPFILE | os.O_RDWR))
attempt(lambda: mmap.mmap(os.open(tinyflow.__file__, os.O_RDWR), 0).write(b"x"))
