"""Every speed and memory claim of this project, as numbers measured side by side in one run.

``python -m benchmarks`` (or ``make bench``) measures all of it; ``--help`` says how to pick. One
thread, float32. Four groups:

* ``engine``, or single workloads ``W1`` ... ``W7`` (``workloads.py`` says what each is): one
  training step with numpy feeds and the loss as a float, ours against PyTorch eager, torch.compile
  on loss and optimizer, torch.compile on the whole step as one graph, and JAX and TensorFlow where
  they are installed. Each contestant runs in a process of its own and starts from the same values;
  whoever's first losses differ from eager's is out. They take turns, A B C A B C: a row is the
  median over the rounds of the ratio to eager in the same round, so load on the machine hurts all
  alike. "-": not installed, not able to, or not built within the limit; the lines below the table
  say which. Build seconds run from the imported framework to the first loss.
* ``memory``: planned bytes over the least any plan needs, and over eager's measured peak.
* ``growth``: how build, passes and plan grow from 10 to 10,000 nodes.
* ``grading``: a class graded by ``kit grade`` and by nbgrader as shipped.

Numbers beyond their limit are red and make the exit status 1; those that reach the aim are green.
``--json FILE`` keeps everything: quartiles, build times, errors, the machine and its load.

``nets.py`` has each network once, in words for which ``on_tinyflow.py``, ``on_torch.py``,
``on_jax.py`` and ``on_tensorflow.py`` hold what each framework's user would write.
"""
