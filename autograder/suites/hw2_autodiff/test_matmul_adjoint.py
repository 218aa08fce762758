"""Hidden tests of matmul_adjoint: z = A B, where A is x or its transpose and B is y or its."""

from autograder.judge import check
from autograder.judge.plugin import bucket
from autograder.suites.hw2_autodiff.adjoint import answer, ask
from tinyflow import ops

WORKER = "rules"  # rules keep no state: one worker serves them all
RULE = "matmul_adjoint"


def question(rng, transpose_a, transpose_b, sizes=None, **options):
    """A product of matrices whose sizes n, k, m all differ, so that no wrong transpose fits."""
    n, k, m = sizes if sizes else rng.permutation([2, 3, 5])
    x = rng.normal(size=(k, n) if transpose_a else (n, k))
    y = rng.normal(size=(m, k) if transpose_b else (k, m))

    def product(xp, x, y):
        return (x.T if transpose_a else x) @ (y.T if transpose_b else y)

    attrs = {"transpose_a": transpose_a, "transpose_b": transpose_b}
    return ask(ops.matmul, [x, y], product, rng, **attrs, **options)


@bucket(RULE, "plain", hint="dy B^T and A^T dy: let the sizes (n, k), (k, m), (n, m) guide you.")
def test_no_transpose(student, runner, rng):
    answer(student, runner, RULE, question(rng, False, False))


@bucket(RULE, "plain", hint="Square matrices do not commute either.")
def test_square_matrices(student, runner, rng):
    answer(student, runner, RULE, question(rng, False, False, sizes=(3, 3, 3)))


@bucket(RULE, "plain", hint="Rows and columns are matrices with a size of 1.")
def test_row_times_column(student, runner, rng):
    answer(student, runner, RULE, question(rng, False, False, sizes=(1, 4, 1)))
    answer(student, runner, RULE, question(rng, False, False, sizes=(4, 1, 3), dtype="float32"))


@bucket(RULE, "transpose_a", hint="If x enters transposed, its adjoint is transposed as well.")
def test_first_operand_transposed(student, runner, rng):
    answer(student, runner, RULE, question(rng, True, False))
    answer(student, runner, RULE, question(rng, True, False, sizes=(3, 3, 3)))


@bucket(RULE, "transpose_b", hint="If y enters transposed, its adjoint is transposed as well.")
def test_second_operand_transposed(student, runner, rng):
    answer(student, runner, RULE, question(rng, False, True))
    answer(student, runner, RULE, question(rng, False, True, sizes=(3, 3, 3)))


@bucket(RULE, "transpose_both", hint="With both transposed: z = x^T y^T = (y x)^T.")
def test_both_operands_transposed(student, runner, rng):
    answer(student, runner, RULE, question(rng, True, True))
    answer(student, runner, RULE, question(rng, True, True, sizes=(3, 3, 3)))


@bucket(RULE, "one_product", hint="matmul transposes its operands for free: two nodes are enough.")
def test_one_product_per_adjoint(student, runner, rng):
    for transpose_a in [False, True]:
        for transpose_b in [False, True]:
            new = answer(student, runner, RULE, question(rng, transpose_a, transpose_b))
            check.at_most(len(new), 2, "nodes built for two adjoints")
