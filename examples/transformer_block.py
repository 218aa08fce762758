"""A pre-norm transformer that looks things up: associative recall.

    python examples/transformer_block.py

A sequence holds eight pairs of a key and a value, and last a key without its value. The network
must answer with the value that stood beside that key. Attention is what finds it: no fixed position
holds the answer. The data are drawn, nothing is downloaded, and training takes seconds.

Source: Vaswani et al., Attention is all you need, 2017; the order of norm and residual as in Xiong
et al., On layer normalization in the transformer architecture, 2020.
"""

import numpy as np

import tinyflow as tf

PAIRS, KEYS, VALUES = 8, 16, 10
TOKENS, WIDTH, HEADS = PAIRS + 1, 32, 2


def weight(rows: int, columns: int) -> tf.Variable:
    """A matrix of small random numbers, such that products keep their size."""
    return tf.Variable(tf.random_normal([rows, columns], stddev=rows**-0.5))


def dense(x: tf.Tensor, columns: int) -> tf.Tensor:
    """x (tokens of the batch, k) times a weight (k, columns), plus a bias."""
    rows = x.shape[-1]
    return tf.matmul(x, weight(rows, columns)) + tf.Variable(tf.zeros([columns]))


def heads(x: tf.Tensor) -> tf.Tensor:
    """(batch * tokens, width) -> (batch, heads, tokens, width / heads)."""
    return tf.transpose(tf.reshape(x, [-1, TOKENS, HEADS, WIDTH // HEADS]), [0, 2, 1, 3])


def attention(x: tf.Tensor) -> tf.Tensor:
    """Each token reads the values of the tokens whose keys answer its query."""
    query, key, value = (heads(part) for part in tf.split(dense(x, 3 * WIDTH), 3, axis=1))
    scores = tf.matmul(query, key, transpose_b=True) * (WIDTH / HEADS) ** -0.5
    read = tf.matmul(tf.nn.softmax(scores), value)
    return dense(tf.reshape(tf.transpose(read, [0, 2, 1, 3]), [-1, WIDTH]), WIDTH)


def block(x: tf.Tensor, keep_prob: tf.Tensor) -> tf.Tensor:
    """x (batch * tokens, width), plus attention, plus a network of two layers."""
    x = x + tf.nn.dropout(attention(tf.nn.layer_norm(x)), keep_prob)
    hidden = tf.nn.gelu(dense(tf.nn.layer_norm(x), 4 * WIDTH))
    return x + tf.nn.dropout(dense(hidden, WIDTH), keep_prob)


def draw(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """keys and values (count, tokens), the last value unknown (0), and the answers (count,)."""
    keys = rng.permuted(np.tile(np.arange(KEYS), (count, 1)), axis=1)[:, :TOKENS]
    values = rng.integers(1, VALUES + 1, (count, TOKENS))
    asked = rng.integers(0, PAIRS, count)
    keys[:, -1] = keys[np.arange(count), asked]
    values[:, -1] = 0
    return keys, values, values[np.arange(count), asked] - 1


def main(steps: int = 300, batch_size: int = 100) -> float:
    """Train, print the loss now and then, return the share of answers that are right."""
    keys = tf.placeholder(tf.int64, [None, TOKENS])
    values = tf.placeholder(tf.int64, [None, TOKENS])
    answers = tf.placeholder(tf.int64, [None])
    keep_prob = tf.placeholder(tf.float32, [])

    x = tf.nn.embedding_lookup(tf.Variable(tf.random_normal([KEYS, WIDTH])), keys)
    x = x + tf.nn.embedding_lookup(tf.Variable(tf.random_normal([VALUES + 1, WIDTH])), values)
    x = block(tf.reshape(x, [-1, WIDTH]), keep_prob)
    last = tf.reshape(tf.nn.layer_norm(x), [-1, TOKENS, WIDTH])[:, -1]
    logits = dense(last, VALUES)
    loss = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(logits, answers)
    train_step = tf.train.AdamOptimizer(0.003).minimize(loss)
    right = tf.reduce_mean(tf.equal(tf.argmax(logits, 1), answers))

    session = tf.Session(config="cpu")
    session.run(tf.global_variables_initializer())
    rng = np.random.default_rng(0)
    fed = (keys, values, answers)
    for step in range(1, steps + 1):
        feed = dict(zip(fed, draw(rng, batch_size)))
        now, _ = session.run([loss, train_step], {**feed, keep_prob: 0.95})
        if step % (steps // 6) == 0:
            print(f"step {step:4d}  loss {float(now):.4f}")
    feed = dict(zip(fed, draw(rng, 1000)))
    accuracy = float(session.run(right, {**feed, keep_prob: 1.0}))
    print(f"accuracy on 1000 new sequences: {accuracy:.1%}")
    return accuracy


if __name__ == "__main__":
    main()
