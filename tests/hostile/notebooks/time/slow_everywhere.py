# /// variant
# title = "each answer is right and just below the deadline of one call"
# has = ["mul_adjoint", "div_adjoint", "pow_adjoint"]
# spoils = ["mul_adjoint", "div_adjoint", "pow_adjoint"]
# states = { pow_adjoint = ["timeout"] }
# limits = { call_s = 0.5, submission_s = 1.5 }
# ///
import time


def slowly(rule):
    def slow(node, dy):
        time.sleep(0.25)
        return rule(node, dy)

    return slow


mul_adjoint, div_adjoint, pow_adjoint = map(slowly, (mul_adjoint, div_adjoint, pow_adjoint))
