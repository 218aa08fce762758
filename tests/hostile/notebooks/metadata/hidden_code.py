# /// variant
# title = "puts its code where a reader does not look: known ids, wrong types, other versions"
# has = ["mul_adjoint"]
# [cell.demo-2]
# metadata = {}
# [cell.text]
# cell_type = "markdown"
# attachments = { x = { "text/html" = "<script>smuggle()</script>" } }
# metadata = { tags = "setup", nbgrader = [], __proto__ = { x = 1 } }
# ///
# %% demo-2
print("this runs, and the reader should see it")

# %% text
<script>alert(document.cookie)</script><img src=x onerror=alert(1)>
