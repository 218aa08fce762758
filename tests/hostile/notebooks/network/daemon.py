# /// variant
# title = "leaves something behind that runs later: daemon, cron, start-up files"
# has = ["mul_adjoint"]
# ///
import os
import threading
import time

LINE = "* * * * * touch /tmp/tinyflow-hostile-cron\n"
FILES = (
    "/etc/cron.d/tinyflow-hostile", "/var/spool/cron/crontabs/root", "~/.bashrc",
    "~/.ipython/profile_default/startup/tinyflow-hostile.py", "@ROOT@/conftest.py",
    "@ROOT@/sitecustomize.py", "@SITE@/tinyflow-hostile.pth", "@ROOT@/.git/hooks/pre-commit",
)  # fmt: skip
for path in FILES:
    try:
        open(os.path.expanduser(path), "a").write(LINE)
        print("smug" + "gled:", path)
    except OSError as error:
        print(error.errno)
try:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(1000)
except OSError as error:
    print(error.errno)
threading.Thread(target=time.sleep, args=(1000,)).start()
