from spawner.ledger.paid_model import OrderState
from tests.paid.world import World


async def test_one_goes_the_whole_way(world: World) -> None:
    order = await world.running()
    assert len(world.billed()) == 1
    print(world.record(order), world.order(order))
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED)
    print(world.order(order).spent, world.cloud.owes())
    world.delete(order)
    await world.until_state(order, OrderState.GONE)
    print(world.record(order))
    print([(n.kind, n.params) for n in world.notices()])
    print([c.action for c in world.cloud.calls()])
