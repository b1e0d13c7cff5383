"""Push notifications: who is notified of a task, and the operations on that."""

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import structs

from ...errors import InvalidRequest
from ...schema import codec
from ...schema.ids import random_text
from ...store.delivery_store import Subscription
from .call import Call
from .errors import A2AError, TaskNotFound
from .schema import (
    ListPushConfigsRequest,
    ListTaskPushNotificationConfigsResponse,
    PushConfigRequest,
    TaskPushNotificationConfig,
)

MAX_CONFIGS = 10
"""How many configurations a task may have."""
IN_MESSAGE = "configuration.taskPushNotificationConfig"
_URL = re.compile(r"https://[!-\[\]-~]+")
_SCHEME = re.compile(r"[A-Za-z0-9._~+-]+")
_VALUE = re.compile(r"[!-~]+(?: +[!-~]+)*")


async def create_config(call: Call) -> None:
    """Add a configuration, or replace the one with its id."""
    config: TaskPushNotificationConfig = call.params
    subscription = subscription_of(config, call.push_hosts)
    task = await call.task(config.task_id)
    await subscribe(call, subscription, task.view.id)
    await call.respond(_shown(structs.replace(subscription, response_id=task.view.id)))


async def get_config(call: Call) -> None:
    """Answer with a configuration, without its secrets."""
    params: PushConfigRequest = call.params
    for config in await _configs(call, params.task_id):
        if config.id == params.id:
            await call.respond(config)
            return
    message = f"Task {params.task_id!r} has no push notification configuration {params.id!r}."
    raise A2AError("TASK_NOT_FOUND", message)


async def list_configs(call: Call) -> None:
    """Answer with the configurations of a task, without their secrets."""
    params: ListPushConfigsRequest = call.params
    configs = await _configs(call, params.task_id)
    await call.respond(ListTaskPushNotificationConfigsResponse(configs))


async def delete_config(call: Call) -> None:
    """Remove a configuration, if it exists."""
    params: PushConfigRequest = call.params
    task = await call.task(params.task_id)
    await call.store.deliveries.unsubscribe(task.view.id, params.id)
    await call.respond({})


async def subscribe(call: Call, subscription: Subscription, task_id: str) -> None:
    """Subscribe to the ends of a task's runs.

    Raises:
        InvalidRequest: The task has too many configurations.
        TaskNotFound: The task was deleted.
    """
    deliveries = call.store.deliveries
    others = {each.id for each in await deliveries.subscriptions(task_id)} - {subscription.id}
    if len(others) >= MAX_CONFIGS:
        message = f"id: a task has at most {MAX_CONFIGS} push notification configurations."
        raise InvalidRequest(message, "id")
    if not await deliveries.subscribe(structs.replace(subscription, response_id=task_id)):
        raise TaskNotFound(task_id)


def in_message(config: Any, hosts: Collection[str]) -> Subscription:
    """Return the configuration that a message came with.

    Raises:
        InvalidRequest: It is not valid.
    """
    try:
        decoded = msgspec.convert(config, TaskPushNotificationConfig)
    except msgspec.ValidationError as error:
        raise codec.invalid(error, IN_MESSAGE) from error
    return subscription_of(decoded, hosts, IN_MESSAGE + ".")


def subscription_of(
    config: TaskPushNotificationConfig, hosts: Collection[str], path: str = ""
) -> Subscription:
    """Return a configuration as the store keeps it, without its task.

    Args:
        config: The configuration.
        hosts: The hosts that may be called, as in `A2A(push_hosts=...)`.
        path: The path of the configuration, with a dot. Default: it is the body.

    Raises:
        InvalidRequest: A field is not valid; `param` names it.
    """
    host = _host_of(config.url)
    if host is None:
        raise InvalidRequest(f"{path}url: must be an https URL without a user.", f"{path}url")
    if host not in hosts:
        raise InvalidRequest(f"{path}url: the server does not notify {host!r}.", f"{path}url")
    headers: dict[str, str] = {}
    if config.token is not None:
        headers["x-a2a-notification-token"] = _header(config.token, f"{path}token")
    how = config.authentication
    if how is not None:
        if not _SCHEME.fullmatch(how.scheme):
            field = f"{path}authentication.scheme"
            raise InvalidRequest(f"{field}: must be the name of a scheme.", field)
        if how.credentials is not None:
            credentials = _header(how.credentials, f"{path}authentication.credentials")
            headers["authorization"] = f"{how.scheme} {credentials}"
    return Subscription("", config.id or random_text(), host, config.url, codec.encode(headers))


def _header(value: str, path: str) -> str:
    if not _VALUE.fullmatch(value):
        raise InvalidRequest(f"{path}: must be printable ASCII.", path)
    return value


def _host_of(url: str) -> str | None:
    """Return the host in a URL, with a port other than 443; None if the URL is not allowed."""
    if not _URL.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or "@" in parts.netloc:
        return None
    return host if port in (None, 443) else f"{host}:{port}"


async def _configs(call: Call, task_id: str) -> list[TaskPushNotificationConfig]:
    task = await call.task(task_id)
    return [_shown(each) for each in await call.store.deliveries.subscriptions(task.view.id)]


def _shown(subscription: Subscription) -> TaskPushNotificationConfig:
    return TaskPushNotificationConfig(subscription.url, subscription.id, subscription.response_id)
