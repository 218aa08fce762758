# /// variant
# title = "right answers whose nodes have names and devices made of escapes and markup"
# has = ["mul_adjoint", "relu_adjoint", "tanh_adjoint"]
# spoils = ["mul_adjoint", "relu_adjoint", "tanh_adjoint"]
# states = { mul_adjoint = ["passed"], relu_adjoint = ["malformed"], tanh_adjoint = ["malformed"] }
# ///
def named(rule, name):
    def rename(node, dy):
        answers = rule(node, dy)
        for value in answers:
            object.__setattr__(value.node, "name", name)
        return answers

    return rename


mul_adjoint = named(mul_adjoint, "<script>smug" + "gled</script>{0}%s{@name}")
relu_adjoint = named(relu_adjoint, "\x1b[2J smug" + "gled")
tanh_adjoint = named(tanh_adjoint, "x" * 100_000)
