# /// variant
# title = "HTML, terminal escapes and reversed text in its sources"
# has = ["mul_adjoint"]
# [cell.escapes]
# source = "'\u001b[2J\u001b[1;1H100 / 100 \u001b]8;;http://example.org\u001b\\link \u202e reversed \u2066'"
# ///
# %% <script>alert(1)</script>
"</pre></details></section><script>document.title = 'A+'</script>"
"<img src=x onerror=alert(1)><iframe srcdoc='x'></iframe><style>*{display:none}</style>"
"{{ 7*7 }} ${7*7} <%= 7*7 %> &lt;b&gt; ]]> -->"

# %% escapes
