"""Import TensorFlow and let it compute on the CPU: a matrix product and a few steps of a small Keras model."""

import os
import sys
import traceback

import _guest


def versions(tf):
    """Return what TensorFlow and its companions say about themselves."""
    said = {
        "tensorflow": getattr(tf, "__version__", None),
        "file": getattr(tf, "__file__", None),
        "built_with_cuda": bool(tf.test.is_built_with_cuda()),
    }
    try:
        info = tf.sysconfig.get_build_info()
        said["build"] = {str(key): info[key] for key in info.keys()}
    except Exception as error:
        said["build_error"] = _guest.error_text(error)
    try:
        said["keras"] = tf.keras.__version__
    except Exception as error:
        said["keras_error"] = _guest.error_text(error)
    for name in ("numpy", "google.protobuf", "h5py"):
        module = sys.modules.get(name)
        if module is not None:
            said[name] = getattr(module, "__version__", None)
    return said


def product(tf):
    """Compare a product of small integers, which float32 holds exactly, and a random one with float64."""
    import numpy as np

    generator = np.random.RandomState(7)
    size = 256
    whole_a, whole_b = [generator.randint(-8, 9, (size, size)).astype("float32") for _ in range(2)]
    real_a, real_b = [generator.standard_normal((size, size)).astype("float32") for _ in range(2)]
    with tf.device("/CPU:0"):
        whole = tf.matmul(whole_a, whole_b).numpy()
        real = tf.matmul(real_a, real_b).numpy()
    exact = whole_a.astype("float64").dot(whole_b.astype("float64"))
    reference = real_a.astype("float64").dot(real_b.astype("float64"))
    scale = abs(real_a).astype("float64").dot(abs(real_b).astype("float64"))
    return {
        "size": size,
        "exact": bool((whole.astype("float64") == exact).all()),
        "error": _guest.number((abs(real - reference) / scale).max()),
    }


def fit(tf):
    """Train a small Keras model for a few steps on the CPU; return the losses."""
    import numpy as np

    generator = np.random.RandomState(11)
    inputs = generator.standard_normal((64, 8)).astype("float32")
    targets = inputs.dot(generator.standard_normal((8, 1)).astype("float32"))
    with tf.device("/CPU:0"):
        model = tf.keras.Sequential([tf.keras.layers.Dense(16, activation="relu"), tf.keras.layers.Dense(1)])
        model.compile(optimizer=tf.keras.optimizers.Adam(0.02), loss="mse")
        history = model.fit(inputs, targets, batch_size=16, epochs=4, verbose=0)
    return [_guest.number(loss) for loss in history.history["loss"]]


def main():
    """Answer step by step: what was said before a crash still counts."""
    given = _guest.arguments()
    said = {"step": "import"}
    _guest.answer(said)
    try:
        import tensorflow as tf

        said["import_seconds"] = _guest.time.time() - _guest.STARTED
        said["step"] = "versions"
        said["versions"] = versions(tf)
        said["step"] = "product"
        _guest.answer(said)
        said["product"], said["product_seconds"] = _guest.timed(product, tf)
        if given.get("fit", True):
            said["step"] = "fit"
            _guest.answer(said)
            said["losses"], said["fit_seconds"] = _guest.timed(fit, tf)
        said["step"] = "done"
    except BaseException as error:
        said["error"] = _guest.error_text(error)
        said["traceback"] = traceback.format_exc()[-6000:]
        said["missing"] = getattr(error, "name", None)
    said["mapped"] = _guest.mapped_libraries()
    said["visible"] = os.environ.get("CUDA_VISIBLE_DEVICES")
    _guest.answer(said)


if __name__ == "__main__":
    main()
