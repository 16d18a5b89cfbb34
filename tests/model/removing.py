"""Random removals: an object with everything that must go along, or not quite everything."""

from __future__ import annotations

from random import Random

from tests.model.registry_model import RegistryModel, new_uuid
from tests.nist.wire import LCM, RIM
from tests.registry.search_model import HAS_MEMBER


def draw_removal(model: RegistryModel, random: Random) -> list[str]:
    """entryUUIDs of what shall go, in any order; half of the draws are such that nothing forbids them."""
    world = model.world
    small = [[one.uuid for one in world.entries], [one.uuid for one in world.associations]]
    large = [[one.uuid for one in world.folders], [one.uuid for one in world.sets]]
    kinds = [kind for kind in (*small * 3, *large) if kind]
    start = random.choice(random.choice(kinds)) if kinds else new_uuid()
    wanted = going_along(model, {start})
    ids = [one.uuid for one in (*model.objects(), *world.associations) if one.uuid in wanted] or [start]
    random.shuffle(ids)
    if random.random() < 0.4:
        ids.pop()
    if random.random() < 0.1 or not ids:
        ids.append(new_uuid())
    return ids


def going_along(model: RegistryModel, start: set[str]) -> set[str]:
    """`start` with its Associations, later versions, what no SubmissionSet holds any more, and SubmissionSets without content."""
    gone, before, world = set(start), -1, model.world
    sets = {one.uuid for one in world.sets}
    memberships = [a for a in world.associations if a.type == HAS_MEMBER and a.source in sets]
    while len(gone) > before:
        before = len(gone)
        gone |= {a.uuid for a in world.associations if gone & {a.source, a.target}}
        gone |= {one.uuid for one in model.versioned() if one.lid in gone}
        for end in ("target", "source"):
            kept = {getattr(a, end) for a in memberships if a.uuid not in gone}
            gone |= {getattr(a, end) for a in memberships if a.uuid in gone} - kept
    return gone


def removal(ids: list[str]) -> bytes:
    """lcm:RemoveObjectsRequest."""
    inner = "".join(f'<r:ObjectRef id="{uuid}"/>' for uuid in ids)
    return (
        f'<l:RemoveObjectsRequest xmlns:l="{LCM}" xmlns:r="{RIM}"><r:ObjectRefList>{inner}</r:ObjectRefList>'
        "</l:RemoveObjectsRequest>"
    ).encode()
