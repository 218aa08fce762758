"""Softmax regression on MNIST: one matrix, one bias, one optimizer.

    python examples/mnist_softmax.py

About 90 % of the test images after 2,000 steps, in a few seconds.
"""

import tinyflow as tf
from tinyflow.datasets import get_mnist


def main(steps: int = 2000) -> float:
    """Train, print the loss on the way, return the share of test images that are right."""
    x = tf.placeholder(tf.float32, [None, 784])
    y_ = tf.placeholder(tf.float32, [None, 10])
    weights = tf.Variable(tf.zeros([784, 10]), name="weights")
    bias = tf.Variable(tf.zeros([10]), name="bias")
    y = tf.nn.softmax(tf.matmul(x, weights) + bias)

    loss = tf.reduce_mean(-tf.reduce_sum(y_ * tf.log(y), reduction_indices=[1]))
    train_step = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    right = tf.reduce_mean(tf.equal(tf.argmax(y, 1), tf.argmax(y_, 1)))

    mnist = get_mnist(flatten=True, onehot=True)
    session = tf.Session()
    session.run(tf.initialize_all_variables())
    for step in range(steps):
        images, labels = mnist.train.next_batch(100)
        now, _ = session.run([loss, train_step], feed_dict={x: images, y_: labels})
        if step % 400 == 0:
            print(f"step {step:5d}  loss {now:.4f}")

    accuracy = float(session.run(right, {x: mnist.test.images, y_: mnist.test.labels}))
    print(f"accuracy on {len(mnist.test)} test images: {accuracy:.1%}")
    return accuracy


if __name__ == "__main__":
    main()
