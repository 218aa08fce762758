"""A network with 100 hidden units whose variables nobody declares.

    python examples/mnist_mlp.py

``tf.nn.linear`` creates its weight and bias; their shapes follow from the shape of the input, which
``tf.infer_variable_shapes`` carries through the graph, forwards and backwards.
"""

import tinyflow as tf
from tinyflow.datasets import get_mnist


def main(epochs: int = 20, batch_size: int = 100) -> float:
    """Train, print the loss of each epoch, return the share of test images that are right."""
    x = tf.placeholder(tf.float32)
    label = tf.placeholder(tf.float32)
    hidden = tf.nn.relu(tf.nn.linear(x, num_hidden=100, name="fc1", no_bias=False))
    logits = tf.nn.linear(hidden, num_hidden=10, name="fc2", no_bias=False)
    loss = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(logits, label)
    train_step = tf.train.GradientDescentOptimizer(0.5).minimize(loss)

    session = tf.Session(config="cpu")
    start = []
    known = {x: [batch_size, 784], label: [batch_size]}
    for variable, name, shape in tf.infer_variable_shapes(loss, feed_dict=known):
        print(f"{name} {list(shape)}")
        start.append(tf.assign(variable, tf.normal(shape, stdev=0.05)))
    session.run(start)

    mnist = get_mnist(flatten=True)
    batches = len(mnist.train) // batch_size
    for epoch in range(epochs):
        total = 0.0
        for _ in range(batches):
            images, labels = mnist.train.next_batch(batch_size)
            now, _ = session.run([loss, train_step], feed_dict={x: images, label: labels})
            total += float(now)
        print(f"epoch {epoch + 1:2d}  loss {total / batches:.4f}")

    right = tf.reduce_mean(tf.equal(tf.argmax(logits, 1), label))
    accuracy = float(session.run(right, {x: mnist.test.images, label: mnist.test.labels}))
    print(f"accuracy on {len(mnist.test)} test images: {accuracy:.1%}")
    return accuracy


if __name__ == "__main__":
    main()
