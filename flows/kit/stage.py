"""Where steps are shown: on Prefect's stage each effect is one task, named for people; without Prefect, nowhere.

Effect tasks have no retries and no cache, and keep no result: the ledger decides what happens next
(reliability.md §2.6).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.states import Completed, Failed

T = TypeVar("T")
FAILED_NAMES = frozenset({"Refused"})


def _on_stage() -> bool:
    return FlowRunContext.get() is not None


def say(step: str) -> None:
    """One line of progress; step names only, never values."""
    if _on_stage():
        get_run_logger().info(step)


async def show(title: str, work: Callable[[], Awaitable[T]], name_of: Callable[[T], tuple[str, str]]) -> T:
    """Run one step as a Prefect task called `title`, its outcome as the state's name."""
    if not _on_stage():
        return await work()
    kept: list[T] = []

    @task(name=title, task_run_name=title, retries=0, cache_policy=NO_CACHE, persist_result=False)
    async def step():  # type: ignore[no-untyped-def]
        result = await work()
        kept.append(result)
        name, message = name_of(result)
        return (Failed if name in FAILED_NAMES else Completed)(name=name, message=message or None)

    state = await step(return_state=True)
    if not kept:
        await state.result(raise_on_failure=True)
        raise RuntimeError(f"{title} ended without an outcome")
    return kept[0]
