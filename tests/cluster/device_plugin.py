"""A device plugin that offers pretended GPUs, over the kubelet's own API: pods get allocations as from a real one.

    python -m tests.cluster.device_plugin --kubelet-dir FOLDER --count 4

Each device has an id. A container that is given devices sees their ids in NVIDIA_VISIBLE_DEVICES, and for each one a
device file /dev/nvidia0, /dev/nvidia1, …, which is this machine's /dev/null.

Lines on standard input change what is offered: `unhealthy ID`, `healthy ID`. Its end ends the plugin.

The plugin registers through the kubelet's plugin watcher, which looks into the kubelet's own folder. (The other way
of the API, a call to /var/lib/kubelet/device-plugins/kubelet.sock, has one path per machine, wherever that folder is.)
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

RESOURCE = "nvidia.com/gpu"
API_VERSION = "v1beta1"
VISIBLE = "NVIDIA_VISIBLE_DEVICES"
FIELD = descriptor_pb2.FieldDescriptorProto
STRING, BOOL, MESSAGE = FIELD.TYPE_STRING, FIELD.TYPE_BOOL, FIELD.TYPE_MESSAGE

# Messages of k8s.io/kubelet/pkg/apis/{pluginregistration/v1,deviceplugin/v1beta1}/api.proto, as far as they are used
# here. A field is (name, number, type); a type in brackets is repeated.
Field = tuple[str, int, Any]
REGISTRATION: dict[str, list[Field]] = {
    "InfoRequest": [],
    "PluginInfo": [("type", 1, STRING), ("name", 2, STRING), ("endpoint", 3, STRING),
                   ("supported_versions", 4, [STRING])],
    "RegistrationStatus": [("plugin_registered", 1, BOOL), ("error", 2, STRING)],
    "RegistrationStatusResponse": [],
}  # fmt: skip
PLUGIN: dict[str, list[Field]] = {
    "Empty": [],
    "DevicePluginOptions": [("pre_start_required", 1, BOOL), ("get_preferred_allocation_available", 2, BOOL)],
    "Device": [("ID", 1, STRING), ("health", 2, STRING)],
    "ListAndWatchResponse": [("devices", 1, ["Device"])],
    "ContainerAllocateRequest": [("devices_ids", 1, [STRING])],
    "AllocateRequest": [("container_requests", 1, ["ContainerAllocateRequest"])],
    # What a map is on the wire.
    "Variable": [("key", 1, STRING), ("value", 2, STRING)],
    "DeviceSpec": [("container_path", 1, STRING), ("host_path", 2, STRING), ("permissions", 3, STRING)],
    "ContainerAllocateResponse": [("envs", 1, ["Variable"]), ("devices", 3, ["DeviceSpec"])],
    "AllocateResponse": [("container_responses", 1, ["ContainerAllocateResponse"])],
}


def message_classes(package: str, messages: dict[str, list[Field]]) -> dict[str, Any]:
    """Classes for these messages, made without a compiler of .proto files."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind in fields:
            is_repeated = isinstance(kind, list)
            of = kind[0] if is_repeated else kind
            field = message.field.add(name=field_name, number=number)
            field.label = FIELD.LABEL_REPEATED if is_repeated else FIELD.LABEL_OPTIONAL
            field.type = MESSAGE if isinstance(of, str) else of
            if isinstance(of, str):
                field.type_name = f".{package}.{of}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # type: ignore[no-untyped-call]
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))  # type: ignore[no-untyped-call]
        for name in messages
    }


REGISTRATION_MESSAGES = message_classes("pluginregistration", REGISTRATION)
PLUGIN_MESSAGES = message_classes(API_VERSION, PLUGIN)


class Devices:
    """What is offered. Every change wakes all who list."""

    def __init__(self, count: int) -> None:
        self._health = {f"GPU-pretended-{number}": "Healthy" for number in range(count)}
        self._changed = threading.Condition()
        self._is_over = False

    def set_health(self, device_id: str, health: str) -> None:
        """Change the health of one device: `Healthy` or `Unhealthy`."""
        with self._changed:
            assert device_id in self._health, f"there is no {device_id}"
            self._health[device_id] = health
            self._changed.notify_all()

    def end(self) -> None:
        """End all lists."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def listed(self) -> Iterator[dict[str, str]]:
        """Health by id: now, and after each change."""
        told: dict[str, str] | None = None
        while True:
            with self._changed:
                while told == self._health and not self._is_over:
                    self._changed.wait()
                if self._is_over:
                    return
                told = dict(self._health)
            yield told

    def position(self, device_id: str) -> int:
        """Number of the device file of a device."""
        return list(self._health).index(device_id)


class Plugin:
    """The calls that a kubelet makes."""

    def __init__(self, socket: Path, devices: Devices) -> None:
        self._socket = socket
        self._devices = devices
        self.registered = threading.Event()

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Both services of the API."""
        told, asked = REGISTRATION_MESSAGES, PLUGIN_MESSAGES
        return [
            grpc.method_handlers_generic_handler(
                "pluginregistration.Registration",
                {
                    "GetInfo": _answers(self._info, told["InfoRequest"]),
                    "NotifyRegistrationStatus": _answers(self._notice, told["RegistrationStatus"]),
                },
            ),
            grpc.method_handlers_generic_handler(
                f"{API_VERSION}.DevicePlugin",
                {
                    "GetDevicePluginOptions": _answers(self._options, asked["Empty"]),
                    "ListAndWatch": grpc.unary_stream_rpc_method_handler(
                        self._list, request_deserializer=asked["Empty"].FromString, response_serializer=_to_bytes
                    ),
                    "Allocate": _answers(self._allocate, asked["AllocateRequest"]),
                },
            ),
        ]

    def _info(self, request: Any, context: Any) -> Any:
        return REGISTRATION_MESSAGES["PluginInfo"](
            type="DevicePlugin", name=RESOURCE, endpoint=str(self._socket), supported_versions=[API_VERSION]
        )

    def _notice(self, request: Any, context: Any) -> Any:
        if request.plugin_registered:
            self.registered.set()
        else:
            print(f"the kubelet refuses the plugin: {request.error}", file=sys.stderr, flush=True)
        return REGISTRATION_MESSAGES["RegistrationStatusResponse"]()

    def _options(self, request: Any, context: Any) -> Any:
        return PLUGIN_MESSAGES["DevicePluginOptions"]()

    def _list(self, request: Any, context: Any) -> Iterator[Any]:
        device = PLUGIN_MESSAGES["Device"]
        for health in self._devices.listed():
            devices = [device(ID=device_id, health=state) for device_id, state in health.items()]
            yield PLUGIN_MESSAGES["ListAndWatchResponse"](devices=devices)

    def _allocate(self, request: Any, context: Any) -> Any:
        answers = [self._for_container(list(one.devices_ids)) for one in request.container_requests]
        return PLUGIN_MESSAGES["AllocateResponse"](container_responses=answers)

    def _for_container(self, ids: list[str]) -> Any:
        spec, variable = PLUGIN_MESSAGES["DeviceSpec"], PLUGIN_MESSAGES["Variable"]
        return PLUGIN_MESSAGES["ContainerAllocateResponse"](
            envs=[variable(key=VISIBLE, value=",".join(sorted(ids)))],
            devices=[
                spec(container_path=f"/dev/nvidia{number}", host_path="/dev/null", permissions="rw")
                for number in sorted(self._devices.position(device_id) for device_id in ids)
            ],
        )


def _answers(call: Callable[[Any, Any], Any], request: Any) -> grpc.RpcMethodHandler:
    return grpc.unary_unary_rpc_method_handler(
        call, request_deserializer=request.FromString, response_serializer=_to_bytes
    )


def _to_bytes(message: Any) -> bytes:
    return bytes(message.SerializeToString())


def main() -> None:
    """Serve until standard input ends. Prints `registered` once the kubelet has taken the plugin."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubelet-dir", type=Path, required=True, help="the kubelet's --root-dir")
    parser.add_argument("--count", type=int, required=True, help="how many devices")
    arguments = parser.parse_args()
    folder = arguments.kubelet_dir / "plugins_registry"
    folder.mkdir(exist_ok=True)
    socket = folder / "freepool-pretended-gpu.sock"
    socket.unlink(missing_ok=True)
    devices = Devices(arguments.count)
    plugin = Plugin(socket, devices)
    with ThreadPoolExecutor(8) as threads:
        server = grpc.server(threads, handlers=plugin.handlers())
        assert server.add_insecure_port(f"unix:{socket}")
        server.start()
        try:
            if not plugin.registered.wait(30):
                sys.exit("the kubelet has not registered the plugin within 30 s")
            print("registered", flush=True)
            for line in sys.stdin:
                health, _, device_id = line.strip().partition(" ")
                devices.set_health(device_id, health.capitalize())
        finally:
            devices.end()
            server.stop(1).wait()
            socket.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
