# /// variant
# title = "written in Colab"
# task = "mul_adjoint"
# ///

# %% mine-1
from google.colab import drive
drive.mount('/content/drive')

# %% mine-2
import IPython.display as show
show.display(show.HTML('<b>hello</b>'))
