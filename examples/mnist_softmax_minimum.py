"""Softmax regression without an optimizer: ask for the gradient, write the update yourself.

    python examples/mnist_softmax_minimum.py

``tf.gradients`` returns a tensor like any other, and a training step is nothing but an assignment.
"""

import tinyflow as tf
from tinyflow.datasets import get_mnist


def main(steps: int = 2000, learning_rate: float = 0.1) -> float:
    """Train; return the share of test images that are right."""
    x = tf.placeholder(tf.float32, [None, 784])
    y_ = tf.placeholder(tf.float32, [None, 10])
    weights = tf.Variable(tf.zeros([784, 10]), name="weights")
    y = tf.nn.softmax(tf.matmul(x, weights))
    loss = tf.reduce_mean(-tf.reduce_sum(y_ * tf.log(y), reduction_indices=[1]))

    gradient = tf.gradients(loss, [weights])[0]
    train_step = tf.assign(weights, weights - learning_rate * gradient)

    mnist = get_mnist(flatten=True, onehot=True)
    session = tf.Session()
    session.run(tf.initialize_all_variables())
    for _ in range(steps):
        images, labels = mnist.train.next_batch(100)
        session.run(train_step, feed_dict={x: images, y_: labels})

    right = tf.reduce_mean(tf.equal(tf.argmax(y, 1), tf.argmax(y_, 1)))
    accuracy = float(session.run(right, {x: mnist.test.images, y_: mnist.test.labels}))
    print(f"accuracy on {len(mnist.test)} test images: {accuracy:.1%}")
    return accuracy


if __name__ == "__main__":
    main()
