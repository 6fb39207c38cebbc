"""Sum one tensor over several GPUs, as data-parallel training does after every step."""

import _guest


def main():
    """Answer with the sums and the time; a hang is ended from outside."""
    given = _guest.arguments()
    said = {"step": "start"}
    _guest.answer(said)
    try:
        tf, names = _guest.start_tensorflow(given.get("kind", "GPU"), int(given.get("replicas", 1)))
        said["names"] = names
        said["step"] = "all-reduce"
        _guest.answer(said)
        strategy = tf.distribute.MirroredStrategy(["/" + name for name in names])
        size = int(given.get("size", 1 << 20))

        @tf.function
        def step():
            context = tf.distribute.get_replica_context()
            rank = tf.cast(context.replica_id_in_sync_group + 1, tf.float32)
            return context.all_reduce("SUM", tf.fill([size], rank))

        def run():
            results = strategy.experimental_local_results(strategy.run(step))
            return [(float(item[0]), float(item[-1])) for item in results]

        said["sums"], said["first_seconds"] = _guest.timed(run)
        _, said["seconds"] = _guest.timed(run)
        said["bytes"] = size * 4
        said["expected"] = float(sum(range(1, len(names) + 1)))
        said["step"] = "done"
    except BaseException as error:
        said["error"] = _guest.error_text(error)
    _guest.answer(said)


if __name__ == "__main__":
    main()
