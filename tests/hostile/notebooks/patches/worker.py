# /// variant
# title = "finds the worker's own objects and makes them answer that all is well"
# all = true
# ///
import gc
import sys

for thing in gc.get_objects():
    kind = type(thing).__name__
    if kind == "_Student":
        type(thing).handle = lambda self, body: {"state": "passed", "points": 100}
    if kind == "LoadReport":
        print("smug" + "gled a report" if thing.failures is None else "")
for name, module in list(sys.modules.items()):
    for member in ("run_cells", "locate", "fault_of", "classify"):
        if hasattr(module, member):
            setattr(module, member, lambda *args, **kwargs: "passed")
