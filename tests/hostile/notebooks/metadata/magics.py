# /// variant
# title = "shell commands and magics that run programs or other notebooks"
# has = ["mul_adjoint"]
# ///
%run /etc/passwd
%load_ext autoreload
!touch /tmp/tinyflow-hostile-shell
files = !cat @PRIVATE@/gradebook.db
print(files)
get_ipython().system("touch /tmp/tinyflow-hostile-system")
get_ipython().run_line_magic("run", "x.py")
%env KIT_CANARY

# %% bash
%%bash
touch /tmp/tinyflow-hostile-bash

# %% file
%%writefile /tmp/tinyflow-hostile-file
forged
