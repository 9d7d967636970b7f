"""The configuration of a local Kafka node, as far as it can be checked without starting one."""

from deploy.local.kafka import new_cluster_id


def test_cluster_id_when_made_often() -> None:
    """A cluster id is 22 characters that the storage tool takes for a value: it never begins with a dash."""
    made = {new_cluster_id() for _ in range(2_000)}

    assert {len(cluster_id) for cluster_id in made} == {22}
    assert not any(cluster_id.startswith("-") for cluster_id in made)
