"""Let every GPU multiply matrices, with soft placement off, and measure the error against float64 on the CPU."""

import _guest


def errors(np, result, left, right):
    """Return the largest |C - AB| / (|A||B|) and the root mean square of C - AB over that of AB, AB in float64."""
    result, left, right = [np.asarray(item, dtype="float64") for item in (result, left, right)]
    reference = left.dot(right)
    scale = abs(left).dot(abs(right))
    difference = result - reference
    return {
        "largest": _guest.number((abs(difference) / scale).max()),
        "rms": _guest.number(((difference**2).mean() / (reference**2).mean()) ** 0.5),
    }


def own_kernels(tf, np, name):
    """Compare TensorFlow's own kernels (not a library's) on whole numbers, which float32 holds exactly."""
    values = np.arange(1, 4097, dtype="float32").reshape(64, 64)
    with tf.device(name):
        on_device = tf.identity(values)
        sums = tf.reduce_sum(tf.transpose(on_device, [1, 0]) * 2.0 + 1.0, axis=0)
        picked = tf.where(on_device > 2048.0, on_device, -on_device)
        # float16 holds whole numbers up to 2048: the first half of the rows.
        halved = tf.cast(tf.cast(on_device, tf.float16), tf.float32)
    return bool(
        (sums.numpy() == (values.T * 2.0 + 1.0).sum(axis=0)).all()
        and (picked.numpy() == np.where(values > 2048.0, values, -values)).all()
        and (halved.numpy()[:32] == values[:32]).all()
    )


def products(tf, np, name, size, said):
    """Fill in the products on one device."""
    generator = np.random.RandomState(13)
    left, right = [generator.standard_normal((size, size)).astype("float32") for _ in range(2)]
    whole_left, whole_right = [generator.randint(-8, 9, (size, size)).astype("float32") for _ in range(2)]

    def multiply(a, b):
        with tf.device(name):
            result = tf.matmul(tf.identity(a), tf.identity(b))
        return result, result.numpy()

    (result, values), seconds = _guest.timed(multiply, left, right)
    said["seconds"]["first_product"] = seconds
    said["placed"], said["backing"] = _guest.place(result)
    said["modes"] = {"default": dict(errors(np, values, left, right), tf32=_guest.tf32_enabled(tf))}
    before = _guest.tf32_enabled(tf)
    for mode, wanted in (("float32", False), ("tf32", True)):
        if _guest.set_tf32(tf, wanted):
            (_, values), seconds = _guest.timed(multiply, left, right)
            said["modes"][mode] = dict(errors(np, values, left, right), tf32=_guest.tf32_enabled(tf))
    if before is not None:
        _guest.set_tf32(tf, before)
    # At most 8 × 8 × size: below 2^24, so every order of summation is exact, in TF32 and bfloat16 too.
    _, values = multiply(whole_left, whole_right)
    said["exact_product"] = bool((values.astype("float64") == whole_left.astype("float64").dot(whole_right)).all())


def one_device(tf, np, name, size):
    """Return everything about one device; an error ends it and is said."""
    said = {"device": name, "size": size, "seconds": {}}
    try:

        def move():
            with tf.device(name):
                return tf.identity(np.ones((8,), dtype="float32"))

        # First of all: whatever else is asked of TensorFlow starts the GPUs too, and hides why they do not start.
        tensor, said["seconds"]["start"] = _guest.timed(move)
        said["memory_before"] = _guest.memory(tf, name)
        said["own_kernels"], said["seconds"]["first_kernels"] = _guest.timed(own_kernels, tf, np, name)
        products(tf, np, name, size, said)
        said["memory_after"] = _guest.memory(tf, name)
        del tensor
    except BaseException as error:
        said["error"] = _guest.error_text(error)
    return said


def main():
    """Answer after every device: what was said before a crash still counts."""
    given = _guest.arguments()
    said = {"step": "start", "devices": []}
    _guest.answer(said)
    try:
        import numpy as np

        tf, names = _guest.start_tensorflow(given.get("kind", "GPU"))
        tf.config.set_soft_device_placement(False)
        said["names"] = names
        for name in names:
            said["step"] = name
            _guest.answer(said)
            said["devices"].append(one_device(tf, np, name, int(given.get("size", 1024))))
        said["step"] = "done"
    except BaseException as error:
        said["error"] = _guest.error_text(error)
    said["mapped"] = _guest.mapped_libraries()
    _guest.answer(said)


if __name__ == "__main__":
    main()
