"""What training needs beyond a matrix product: cuDNN, XLA with libdevice, half precision, Keras, memory that grows."""

import ctypes
import re

import _guest


def rms(np, result, reference):
    """Return the root mean square of the difference over that of the reference, both as float64."""
    result, reference = [np.asarray(item, dtype="float64") for item in (result, reference)]
    return _guest.number(((result - reference) ** 2).mean() ** 0.5 / (reference**2).mean() ** 0.5)


def convolution(tf, np, name):
    """Convolve forward and backward, with and without TF32, against float64 on the CPU."""
    generator = np.random.RandomState(17)
    images = generator.standard_normal((8, 32, 32, 16))
    filters = generator.standard_normal((3, 3, 16, 32)) / 12.0
    weights = generator.standard_normal((8, 32, 32, 32))

    def run(device, kind):
        with tf.device(device):
            x, w, g = [tf.constant(item.astype(kind)) for item in (images, filters, weights)]
            with tf.GradientTape() as tape:
                tape.watch([x, w])
                y = tf.nn.conv2d(x, w, strides=1, padding="SAME")
                total = tf.reduce_sum(y * g)
            dx, dw = tape.gradient(total, [x, w])
        return y, dx, dw

    tf.config.set_soft_device_placement(False)
    reference = [item.numpy() for item in run("CPU:0", "float64")]
    said = {"modes": {}}
    before = _guest.tf32_enabled(tf)
    for mode, wanted in (("float32", False), ("tf32", True)):
        _guest.set_tf32(tf, wanted)
        results = run(name, "float32")
        said["placed"] = [_guest.place(item)[1] for item in results]
        said["modes"][mode] = {
            part: rms(np, results[place].numpy(), reference[place])
            for place, part in enumerate(("forward", "input_gradient", "filter_gradient"))
        }
    if before is not None:
        _guest.set_tf32(tf, before)
    return said


def compiled(tf, np, name):
    """Compile a function with XLA that needs libdevice (tanh, exp, pow, log1p, sin) and compare with float64."""
    values = np.linspace(-3.0, 3.0, 4096).astype("float32")

    def expression(module, x, power):
        return (
            module.tanh(x) * module.exp(-x * x) + power(abs(x) + 1.0, 1.7) + module.log1p(abs(x)) + module.sin(3.0 * x)
        )

    def body(x):
        return expression(tf.math, x, tf.pow)

    # The argument was called experimental_compile before 2.5.
    release = tuple(int(part) for part in re.findall(r"\d+", tf.__version__)[:2])
    argument = "jit_compile" if release >= (2, 5) else "experimental_compile"
    function = tf.function(body, **{argument: True})
    tf.config.set_soft_device_placement(False)
    with tf.device(name):
        result, seconds = _guest.timed(function, tf.constant(values))
    said = {"seconds": seconds, "argument": argument, "placed": _guest.place(result)[1]}
    reference = expression(np, values.astype("float64"), np.power)
    said["largest"] = _guest.number((abs(result.numpy() - reference) / (1.0 + abs(reference))).max())
    return said


def model_place(model):
    """Return where the first weight of a model is; Keras 3 wraps its variables."""
    weight = model.trainable_variables[0]
    return str(getattr(weight, "device", None) or getattr(getattr(weight, "value", None), "device", ""))


def keras_fit(tf, np, name, policy):
    """Train a small convolutional network for a few steps under a precision policy; return the losses."""
    generator = np.random.RandomState(19)
    images = generator.standard_normal((128, 12, 12, 3)).astype("float32")
    targets = images.mean(axis=(1, 2)).dot(np.array([[4.0], [-3.0], [2.0]], dtype="float32")) * 4.0
    layers = tf.keras.layers
    # Keras places small bookkeeping of its own on the CPU; where the weights are is said.
    tf.config.set_soft_device_placement(True)
    tf.random.set_seed(23)
    tf.keras.mixed_precision.set_global_policy(policy)
    try:
        with tf.device(name):
            model = tf.keras.Sequential(
                [
                    layers.Conv2D(8, 3, activation="relu"),
                    layers.GlobalAveragePooling2D(),
                    layers.Dense(16, activation="relu"),
                    layers.Dense(1, dtype="float32"),
                ]
            )
            model.compile(optimizer=tf.keras.optimizers.Adam(0.02), loss="mse")
            history, seconds = _guest.timed(lambda: model.fit(images, targets, batch_size=32, epochs=8, verbose=0))
            said = {
                "losses": [_guest.number(loss) for loss in history.history["loss"]],
                "seconds": seconds,
                "placed": model_place(model),
                "compute_dtype": str(model.layers[0].compute_dtype),
                "weight_dtype": str(
                    getattr(model.trainable_variables[0].dtype, "name", model.trainable_variables[0].dtype)
                ),
            }
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    return said


def growth(tf, kind):
    """Return whether memory growth is on, and how much of the first GPU is in use after all that was done."""
    said = {"enabled": None, "free": None, "total": None}
    devices = tf.config.list_physical_devices(kind)
    try:
        said["enabled"] = all(tf.config.experimental.get_memory_growth(device) is True for device in devices)
    except Exception as error:
        said["error"] = _guest.error_text(error)
    for file in _guest.mapped_libraries() or ():
        if "/libcudart.so" in file:
            free, total = ctypes.c_size_t(0), ctypes.c_size_t(0)
            if ctypes.CDLL(file).cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total)) == 0:
                said["free"], said["total"] = free.value, total.value
    return said


def main():
    """Answer after every part: what was said before a crash still counts."""
    given = _guest.arguments()
    said = {"step": "start", "devices": []}
    _guest.answer(said)
    try:
        import numpy as np

        kind = given.get("kind", "GPU")
        tf, names = _guest.start_tensorflow(kind)
        said["names"] = names
        parts = (
            ("convolution", lambda name: convolution(tf, np, name)),
            ("compiled", lambda name: compiled(tf, np, name)),
            ("keras", lambda name: keras_fit(tf, np, name, "float32")),
            ("mixed", lambda name: keras_fit(tf, np, name, "mixed_float16")),
        )
        for name in names:
            device = {"device": name}
            said["devices"].append(device)
            for part, function in parts:
                said["step"] = "%s on %s" % (part, name)
                _guest.answer(said)
                try:
                    device[part] = function(name)
                except Exception as error:
                    device[part] = {"error": _guest.error_text(error)}
            device["memory"] = _guest.memory(tf, name)
        said["growth"] = growth(tf, kind)
        said["step"] = "done"
    except BaseException as error:
        said["error"] = _guest.error_text(error)
    said["mapped"] = _guest.mapped_libraries()
    _guest.answer(said)


if __name__ == "__main__":
    main()
