"""A residual network on CIFAR-10: batch normalisation in training, and the switch to inference.

    python examples/cifar_resnet.py                  a copy of CIFAR-10 in this folder
    python examples/cifar_resnet.py --download       fetches one first, 170 MB
    python examples/cifar_resnet.py --synthetic      made-up images, to see it run

On the made-up images 100 % after 10 epochs of 10 steps, which take 80 seconds on one core. Training
is right after the first, but inference not before the moving averages have followed, some 50 steps.
"""

import sys

import tinyflow as tf
from tinyflow.datasets import get_cifar10


def convolution(x, filters, size):
    """Convolution, normalisation, relu; images keep their size."""
    x = tf.nn.conv2d(x, num_filter=filters, ksize=[1, size, size, 1], padding="SAME")
    return tf.nn.relu(tf.nn.batch_norm(x))


def residual(x, before, after):
    """x plus what two convolutions make of it; a 1x1 convolution fits x to more channels."""
    inner = convolution(convolution(x, after, 3), after, 3)
    return tf.nn.relu(inner + (x if before == after else convolution(x, after, 1)))


def network(x):
    """Logits (n, 10) of images (n, 3, 32, 32)."""
    x = tf.tanh(tf.nn.conv2d(x, num_filter=16, ksize=[1, 5, 5, 1], padding="SAME"))
    for before, after in ((16, 16), (16, 32), (32, 64)):
        x = residual(x, before, after)
    x = tf.nn.avg_pool(x, ksize=[1, 4, 4, 1], strides=[1, 2, 2, 1], padding="SAME")
    x = tf.nn.conv2d(x, num_filter=16, ksize=[1, 5, 5, 1], padding="VALID")
    return tf.nn.linear(tf.nn.flatten_layer(x), num_hidden=10)


def accuracy(session, right, x, label, images, labels):
    """The share of images that are right, a hundred at a time."""
    parts = [slice(start, start + 100) for start in range(0, len(images), 100)]
    shares = [session.run(right, {x: images[part], label: labels[part]}) for part in parts]
    return float(sum(shares)) / len(shares)


def main(epochs: int = 10, batch_size: int = 100, **source: bool) -> float:
    """Train, print the loss of each epoch, return the share of test images that are right."""
    cifar = get_cifar10(**source)
    x, label = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
    logits = network(x)
    loss = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(logits, label)
    train_step = tf.train.AdamOptimizer(0.0005).minimize(loss)
    answer = tf.argmax(tf.nn.inference(logits), 1)
    right = tf.reduce_mean(tf.equal(answer, label))

    session = tf.Session(config="cpu")
    known = {x: [batch_size, 3, 32, 32], label: [batch_size]}
    start = []
    for variable, name, shape in tf.infer_variable_shapes(loss, feed_dict=known):
        scale = name.endswith("gamma")  # what batch normalisation multiplies by starts from 1
        start.append(tf.assign(variable, tf.normal(shape, stdev=0.0 if scale else 0.05) + scale))
    session.run(start)
    session.run(tf.initialize_all_variables())  # moving statistics, Adam's averages

    batches = len(cifar.train) // batch_size
    for epoch in range(epochs):
        total = 0.0
        for _ in range(batches):
            images, labels = cifar.train.next_batch(batch_size)
            now, _ = session.run([loss, train_step], feed_dict={x: images, label: labels})
            total += float(now)
        print(f"epoch {epoch + 1:2d}  loss {total / batches:.4f}", flush=True)
    reached = accuracy(session, right, x, label, cifar.test.images, cifar.test.labels)
    print(f"accuracy on {len(cifar.test)} test images: {reached:.1%}")
    return reached


if __name__ == "__main__":
    words = [word.removeprefix("--") for word in sys.argv[1:]]
    main(**dict.fromkeys(words, True))
