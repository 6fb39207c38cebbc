"""How fast each GPU is: matrix products in four precisions, memory, and the way between host and device."""

import _guest

_ROUNDS = 5
# A product that would take longer is left out: half precision is slow on cards that are not made for it.
_LONGEST = 2.0


def median(values):
    """Return the median."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2.0


def measure(action, finish, target):
    """Return the median seconds of one action: warmed up, then rounds of as many as fill ``target`` seconds."""
    _guest.timed(lambda: finish(action()))
    _, once = _guest.timed(lambda: finish(action()))
    count = max(1, min(200, int(target / max(once, 1e-6))))

    def round_of():
        result = None
        for _ in range(count):
            result = action()
        finish(result)

    return median([_guest.timed(round_of)[1] / count for _ in range(_ROUNDS)])


def corner_of(tf, name):
    """Return what waits for a tensor by fetching one element of it: everything queued before it is then done.

    The element is cut out on the device itself; elsewhere the whole tensor would travel first.
    """

    def corner(tensor):
        with tf.device(name):
            return tensor[:1, :1].numpy()

    return corner


def product_rate(tf, name, kind, size, target):
    """Return TFLOP/s of an n × n product in one precision, 2·n³ operations each."""
    with tf.device(name):
        left, right = [tf.cast(tf.random.normal([size, size]), kind) for _ in range(2)]
        seconds = measure(lambda: tf.matmul(left, right), corner_of(tf, name), target)
    return {"size": size, "seconds": seconds, "tflops": 2.0 * size**3 / seconds / 1e12}


def bandwidths(tf, np, name, mebibytes, target):
    """Return GB/s to the device and back as TensorFlow copies, and of the device's own memory (read and written).

    Whether the host's side is pinned is TensorFlow's choice. ``tf.identity`` on another device would copy only once:
    TensorFlow keeps the copy of an operation's input as a mirror. ``_copy`` (which ``cpu()`` and ``gpu()`` call) makes
    a new one every time.
    """
    count = mebibytes * 1024 * 256
    host = np.ones((count // 1024, 1024), dtype="float32")
    size = host.nbytes
    with tf.device("CPU:0"):
        kept = tf.constant(host)

    tensor = kept._copy(device_name=name)  # noqa: SLF001 - as `gpu()`, which warns that it will go
    with tf.device(name):
        one = tf.constant(1.0)

    def to_device():
        return kept._copy(device_name=name)  # noqa: SLF001

    def to_host():
        return tensor._copy(device_name="CPU:0")  # noqa: SLF001

    def inside():
        with tf.device(name):
            return tensor + one

    return {
        "mebibytes": mebibytes,
        "to_device": size / measure(to_device, corner_of(tf, name), target) / 1e9,
        "to_host": size / measure(to_host, corner_of(tf, "CPU:0"), target) / 1e9,
        "memory": 2.0 * size / measure(inside, corner_of(tf, name), target) / 1e9,
    }


def one_device(tf, np, said, given, tell):
    """Measure the device that ``said`` names and fill it in; what fails is said and the rest goes on."""
    name = said["device"]
    sizes = given.get("sizes", [2048, 4096, 8192, 16384])
    target = float(given.get("target", 0.2))

    def first():
        with tf.device(name):
            return (tf.ones([4, 4]) * 2.0 + 1.0).numpy()

    _, said["first_kernel_seconds"] = _guest.timed(first)
    _, said["second_kernel_seconds"] = _guest.timed(first)
    before = _guest.tf32_enabled(tf)
    for mode, kind, tf32 in (
        ("float32", tf.float32, False),
        ("tf32", tf.float32, True),
        ("float16", tf.float16, None),
        ("bfloat16", tf.bfloat16, None),
    ):
        if tf32 is not None and not _guest.set_tf32(tf, tf32):
            continue
        rates = []
        said["products"][mode] = entry = {"sizes": rates}
        try:
            for size in sizes:
                if rates and rates[-1]["seconds"] * (size / rates[-1]["size"]) ** 3 > _LONGEST:
                    break
                tell("%s %d on %s" % (mode, size, name))
                rates.append(product_rate(tf, name, kind, size, target))
        except Exception as error:
            entry["error"] = _guest.error_text(error)
        if rates:
            entry["tflops"] = max(rate["tflops"] for rate in rates)
    if before is not None:
        _guest.set_tf32(tf, before)
    try:
        tell("bandwidth of %s" % name)
        said["bandwidth"] = bandwidths(tf, np, name, int(given.get("mebibytes", 256)), target)
    except Exception as error:
        said["bandwidth"] = {"error": _guest.error_text(error)}


def main():
    """Answer after every device."""
    given = _guest.arguments()
    said = {"step": "start", "devices": []}

    def tell(step):
        said["step"] = step
        _guest.answer(said)

    try:
        import numpy as np

        tf, names = _guest.start_tensorflow(given.get("kind", "GPU"))
        tf.config.set_soft_device_placement(False)
        said["names"] = names
        said["listed"] = _guest.listed(tf, given.get("kind", "GPU"))
        # All GPUs start together, seconds each without persistence mode: no part of the first kernel's latency.
        _, said["start_seconds"] = _guest.timed(tf.config.list_logical_devices, given.get("kind", "GPU"))
        for name in names:
            # Put there before it is measured: what was measured before a crash still counts.
            said["devices"].append({"device": name, "products": {}})
            one_device(tf, np, said["devices"][-1], given, tell)
        said["step"] = "done"
    except BaseException as error:
        said["error"] = _guest.error_text(error)
    _guest.answer(said)


if __name__ == "__main__":
    main()
