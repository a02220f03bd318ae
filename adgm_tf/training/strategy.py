"""The distribution strategy that a configuration asks for."""

from __future__ import annotations

import json
import os
import re

import tensorflow as tf

from adgm_tf.config import Config
from adgm_tf.host import errors
from adgm_tf.training import slurm, workers


def make(config: Config) -> tf.distribute.Strategy:
    """Returns the strategy; to be called before TensorFlow does anything else.

    Raises:
      UserError: a named device does not exist, or TF_CONFIG is missing.
    """
    tf.config.experimental.enable_tensor_float_32_execution(config.tf32)
    return _make(config)


def _make(config: Config) -> tf.distribute.Strategy:
    kind = config.strategy
    if has_several_workers(kind):
        if config.devices:
            raise errors.UserError(f"devices={','.join(config.devices)}: not with several workers, which take all of "
                                   "their GPUs; CUDA_VISIBLE_DEVICES hides some")
        cluster = json.loads(os.environ["TF_CONFIG"])
        workers.meet([address for job in cluster["cluster"].values() for address in job],
                     cluster["cluster"][cluster["task"]["type"]][int(cluster["task"]["index"])], config.worker_timeout)
        return tf.distribute.MultiWorkerMirroredStrategy()
    if kind == "one_device" and len(config.devices) > 1:
        raise errors.UserError(f"devices={','.join(config.devices)}: strategy=one_device takes one; use mirrored")
    _make_logical_cpus(config.devices)
    _check_devices(config.devices)
    several_gpus = kind == "auto" and len(_names("GPU")) > 1 and not config.devices
    if kind == "mirrored" or len(config.devices) > 1 or several_gpus:
        return tf.distribute.MirroredStrategy(list(config.devices) or _names("GPU") or None)
    if config.devices:
        return tf.distribute.OneDeviceStrategy(config.devices[0])
    return tf.distribute.get_strategy()


def has_several_workers(kind: str) -> bool:
    """Whether a strategy of this kind spans the workers of TF_CONFIG, which a step of Slurm can stand for.

    Raises:
      UserError: TF_CONFIG is missing or malformed.
    """
    if kind == "multi_worker" and "TF_CONFIG" not in os.environ:
        if not slurm.has_step(os.environ):
            raise errors.UserError("strategy=multi_worker: needs the cluster in the environment variable TF_CONFIG, or "
                                   "a step of Slurm")
        os.environ["TF_CONFIG"] = slurm.cluster(os.environ)
    several = kind == "multi_worker" or (kind == "auto" and "TF_CONFIG" in os.environ)
    if several:
        _check_cluster(os.environ["TF_CONFIG"])
    return several


def _check_cluster(text: str) -> None:
    try:
        cluster = json.loads(text)
        addresses = cluster["cluster"][cluster["task"]["type"]]
        addresses[int(cluster["task"]["index"])]
        ports = [int(a.rpartition(":")[2]) for job in cluster["cluster"].values() for a in job]
        if not all(0 < port < 2**16 for port in ports) or int(cluster["task"]["index"]) < 0:
            raise ValueError
    except (ValueError, LookupError, TypeError, AttributeError):
        raise errors.UserError(f"TF_CONFIG={text}: must be JSON that names a cluster and this worker's place in it, as "
                               '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
                               ) from None


def _make_logical_cpus(devices: tuple[str, ...]) -> None:
    """Splits the CPU where more than one is named, such as CPU:0,CPU:1."""
    matches = (re.fullmatch(r"/?(?:device:)?CPU:(\d+)", d, re.IGNORECASE) for d in devices)
    numbers = [int(m.group(1)) for m in matches if m]
    if numbers and max(numbers) > 0:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * (max(numbers) + 1))


def _names(kind: str) -> list[str]:
    return [d.name.removeprefix("/device:") for d in tf.config.list_logical_devices(kind)]


def _check_devices(devices: tuple[str, ...]) -> None:
    if len({d.upper() for d in devices}) < len(devices):
        raise errors.UserError(f"devices={','.join(devices)}: names a device twice")
    known = [*_names("CPU"), *_names("GPU")]
    for device in devices:
        if device.upper().removeprefix("/").removeprefix("DEVICE:") not in known:
            raise errors.unknown("devices", device, known)


def leads(kind: str) -> bool:
    """Whether this process writes the run directory: the only one, or the first of several, without waiting for them.

    Raises:
      UserError: TF_CONFIG is missing or malformed.
    """
    return not has_several_workers(kind) or _leads(tf.distribute.cluster_resolver.TFConfigClusterResolver())


def _leads(resolver: tf.distribute.cluster_resolver.ClusterResolver) -> bool:
    if not resolver.task_type:
        return True
    return resolver.task_type == "chief" or (
        resolver.task_type == "worker" and resolver.task_id == 0 and "chief" not in resolver.cluster_spec().jobs)
