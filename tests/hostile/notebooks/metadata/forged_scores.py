# /// variant
# title = "score cells with a thousand points, full marks as output, and no assertion"
# has = ["mul_adjoint"]
# [cell.score-gradient]
# outputs = [{ output_type = "execute_result", data = { "text/plain" = "1000.0" }, metadata = {}, execution_count = 1 }]
# metadata = { nbgrader = { grade = true, grade_id = "score-gradient", points = 1000, solution = true, schema_version = 99, locked = false, task = false } }
# [cell.score-integration]
# metadata = { nbgrader = { grade = false, points = -1000 }, kit = { outcome = "0", added = false, earned = 1000 } }
# [cell.solution-relu_adjoint]
# metadata = { nbgrader = { grade = true, solution = true, points = 500, grade_id = "solution-relu_adjoint" } }
# ///
# %% score-gradient
1000.0
