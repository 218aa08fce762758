# /// variant
# title = "imports the numpy.py, tinyflow and conftest.py that lie beside the notebook"
# has = ["mul_adjoint"]
# ///
import importlib
import os
import sys

sys.path[:0] = ["", ".", "@BESIDE@"]
try:
    os.chdir("@BESIDE@")
except OSError as error:
    print(error)
for name in ("numpy", "tinyflow", "conftest", "sitecustomize"):
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(name)
        print("smug" + "gled" if "@BESIDE@" in str(module.__file__) else "", name)
    except ImportError:
        pass
