# /// variant
# title = "reads and forges gradebook, keyring, environment and another student's notebook"
# has = ["mul_adjoint"]
# ///
import os
import sqlite3

for name in ("gradebook.db", ".kit/secrets.json", "submitted/bob/hw2_autodiff.ipynb"):
    path = "@PRIVATE@/" + name
    for way in (
        lambda: open(path).read(),
        lambda: sqlite3.connect(f"file:{path}?mode=ro", uri=True).execute("select 1").fetchall(),
        lambda: open(path, "a").write("forged"),
        lambda: os.listdir(os.path.dirname(path)),
    ):
        try:
            print(way())
        except Exception as error:
            print(type(error).__name__)
print(dict(os.environ), os.popen if os.environ.get("KIT_CANARY") else "")
for process in ("self", os.getppid(), 1):
    try:
        print(open(f"/proc/{process}/environ").read())
    except OSError as error:
        print(type(error).__name__)
