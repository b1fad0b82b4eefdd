"""The vendor's own client drives the simulated Hetzner Cloud through the life of a small project.

    hetzner.py [--judged] ENDPOINT SIMULATION

ENDPOINT is what the client talks to, SIMULATION the server itself, for its faults. With --judged
a validating proxy is in between: requests that are wrong on purpose are left out, because it does
not let them through.

Knows nothing of how the simulated cloud is made. An assertion that fails is a difference between
it and what its vendor's client relies on.
"""

import json
import sys
import time
import urllib.request

import hcloud
import requests
from hcloud import APIException, Client
from hcloud.actions import ActionFailedException
from hcloud.firewalls import Firewall, FirewallResource, FirewallRule
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.networks import NetworkRoute, NetworkSubnet
from hcloud.server_types import ServerType
from hcloud.servers import ServerCreatePublicNetwork
from hcloud.ssh_keys import SSHKey

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f contract"
MANY = 55


def client_of(endpoint, token="contract", retries=5):
    """A client that polls often; `retries` is not among the options of its constructor."""
    client = Client(token=token, api_endpoint=endpoint, poll_interval=0.05, timeout=20)
    getattr(client, "_client", client)._retry_max_retries = retries
    return client


class Simulation:
    """What only a simulated cloud has."""

    def __init__(self, address):
        self.address = address

    def ask(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.address + "/_quorate/" + path, data, method=method)
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def things(self):
        return self.ask("GET", "things")["things"]

    def fault(self, **fault):
        return self.ask("POST", "faults", {"faults": [fault]})["ids"][0]

    def calm(self):
        self.ask("DELETE", "faults")


def refused(code, call, *arguments, **named):
    """The exception of a call that has to be refused with this code."""
    try:
        call(*arguments, **named)
    except APIException as refusal:
        assert refusal.code == code, f"{refusal.code} instead of {code}: {refusal.message}"
        return refusal
    raise AssertionError(f"it was not refused with {code}")


def order(name, **more):
    """What a server is made from."""
    return {
        "name": name,
        "server_type": ServerType(name="cx23"),
        "image": Image(name="debian-13"),
        "location": Location(name="nbg1"),
        **more,
    }


def settled(response):
    response.action.wait_until_finished()
    for action in response.next_actions:
        action.wait_until_finished()
    response.server.reload()
    return response.server


def offers(client):
    names = {location.name for location in client.locations.get_all()}
    assert {"fsn1", "nbg1", "hel1"} <= names, names
    assert client.locations.get_by_name("fsn1").network_zone == "eu-central"
    kind = client.server_types.get_by_name("cx23")
    assert kind.cores == 2 and kind.memory == 4 and kind.architecture == "x86"
    assert client.server_types.get_by_id(kind.id).name == "cx23"
    image = client.images.get_by_name_and_architecture("ubuntu-24.04", "arm")
    assert image.os_flavor == "ubuntu" and client.images.get_by_id(image.id).name == image.name


def foundation(client):
    """A network, a firewall, a key and a placement group."""
    subnet = NetworkSubnet(type="cloud", ip_range="10.0.1.0/24", network_zone="eu-central")
    labels = {"quorate.dev/cluster": "shop", "quorate.dev/uid": "0123456789abcdef"}
    network = client.networks.create("net", "10.0.0.0/16", subnets=[subnet], labels=labels)
    assert network.labels == labels and network.subnets[0].gateway == "10.0.0.1"
    rule = FirewallRule(direction="in", protocol="tcp", port="22", source_ips=["0.0.0.0/0", "::/0"])
    made = client.firewalls.create("fw", rules=[rule], labels=labels)
    for action in made.actions:
        action.wait_until_finished()
    key = client.ssh_keys.create("me", KEY)
    assert key.fingerprint == "0f:a2:0a:d7:38:3e:65:45:08:6b:63:84:1c:ff:dc:ba"
    group = client.placement_groups.create("spread", "spread").placement_group
    return network, made.firewall, key, group


def one_server(client, network, firewall, key, group):
    response = client.servers.create(
        **order(
            "first",
            networks=[network],
            firewalls=[firewall],
            # By name: the description wants texts here, and the client would send a number.
            ssh_keys=[SSHKey(name=key.name)],
            placement_group=group,
            labels={"role": "web"},
            user_data="#cloud-config\n",
            public_net=ServerCreatePublicNetwork(enable_ipv4=True, enable_ipv6=False),
        )
    )
    assert response.server.status == "initializing" and response.root_password is None
    assert [action.command for action in response.next_actions] == ["attach_to_network", "start_server"]
    server = settled(response)
    assert server.status == "running" and server.private_net[0].ip == "10.0.1.1"
    assert server.public_net.ipv4.ip.startswith("198.51.100.") and server.public_net.ipv6 is None
    assert server.public_net.firewalls[0].status == "applied"
    assert server.placement_group.id == group.id and server.location.name == "nbg1"
    group.reload()
    network.reload()
    assert group.servers == [server.id] and [one.id for one in network.servers] == [server.id]
    return server


def power(server):
    for command, status in [("power_off", "off"), ("power_on", "running"), ("reset", "running")]:
        getattr(server, command)().wait_until_finished()
        server.reload()
        assert server.status == status, (command, server.status)
    server.shutdown().wait_until_finished()
    for _ in range(100):
        server.reload()
        if server.status == "off":
            return
        time.sleep(0.05)
    raise AssertionError("it does not shut down")


def many_servers(client):
    """More than fit on two pages; made at once, waited for together."""
    waiting = []
    for nth in range(MANY):
        labels = {"role": "db" if nth % 2 else "web", "nth": str(nth)}
        response = client.servers.create(**order(f"many-{nth:02}", labels=labels))
        waiting += [response.action, *response.next_actions]
    for action in waiting:
        action.wait_until_finished()
    everyone = client.servers.get_all()
    assert len(everyone) == MANY + 1 and len({one.id for one in everyone}) == MANY + 1
    assert all(one.status == "running" for one in everyone if one.name != "first")
    page = client.servers.get_list(page=3, per_page=25)
    assert len(page.servers) == MANY + 1 - 50
    assert page.meta.pagination.total_entries == MANY + 1 and page.meta.pagination.next_page is None
    for selector, count in [
        ("role=db", 27),
        ("role!=db", 29),
        ("role in (web,db),nth", 55),
        ("role,!nth", 1),
        ("nth notin (1,2,3)", 53),
    ]:
        found = client.servers.get_all(label_selector=selector)
        assert len(found) == count, (selector, len(found))
    assert client.servers.get_by_name("many-07").labels["nth"] == "7"
    assert client.servers.get_by_name("nobody") is None
    assert len(client.servers.get_all(status=["running"])) == MANY
    renamed = client.servers.get_by_name("many-07").update(name="renamed", labels={"new": ""})
    assert renamed.name == "renamed" and renamed.labels == {"new": ""}


def changes(network, firewall, server):
    server.detach_from_network(network).wait_until_finished()
    server.attach_to_network(network, ip="10.0.1.77").wait_until_finished()
    server.reload()
    assert server.private_net[0].ip == "10.0.1.77"
    more = NetworkSubnet(type="cloud", ip_range="10.0.2.0/24", network_zone="us-east")
    network.add_subnet(more).wait_until_finished()
    route = NetworkRoute(destination="10.100.0.0/16", gateway="10.0.1.77")
    network.add_route(route).wait_until_finished()
    network.reload()
    assert len(network.subnets) == 2 and network.routes[0].gateway == "10.0.1.77"
    network.delete_route(route).wait_until_finished()
    network.delete_subnet(more).wait_until_finished()
    resource = FirewallResource(type="server", server=server)
    for action in firewall.remove_from_resources([resource]):
        action.wait_until_finished()
    rules = [FirewallRule(direction="out", protocol="icmp", destination_ips=["10.0.0.0/8"])]
    for action in firewall.set_rules(rules) + firewall.apply_to_resources([resource]):
        action.wait_until_finished()
    firewall.reload()
    assert firewall.rules[0].direction == "out" and firewall.applied_to[0].server.id == server.id


def refusals(client, endpoint, network, firewall):
    refused("uniqueness_error", client.servers.create, **order("first"))
    refused("uniqueness_error", client.ssh_keys.create, "other", KEY)
    refused("not_found", client.servers.get_by_id, 1)
    refused("resource_in_use", client.firewalls.delete, firewall)
    wrong = refused("invalid_input", client.servers.create, **order("under_score"))
    assert wrong.details["fields"][0]["name"] == "name", wrong.details
    refused("not_found", client.servers.create, **order("x", firewalls=[Firewall(id=1)]))
    refused("unauthorized", client_of(endpoint, "wrong").servers.get_all)
    network.change_protection(delete=True).wait_until_finished()
    refused("protected", client.networks.delete, network)
    network.change_protection(delete=False).wait_until_finished()


def faults(client, endpoint, simulation):
    hasty = client_of(endpoint, retries=0)
    simulation.fault(**{"do": "provider.quota", "limit": 1})
    refused("resource_limit_exceeded", client.servers.create, **order("more"))
    simulation.calm()
    simulation.fault(**{"do": "provider.stock-out", "where": {"region": "nbg1"}})
    refused("resource_unavailable", client.servers.create, **order("more"))
    simulation.calm()
    # Two requests, and one each hour: the third is refused.
    simulation.fault(**{"do": "provider.api-throttle", "rate": "1/h", "limit": 2})
    for _ in range(2):
        hasty.locations.get_all()
    refused("rate_limit_exceeded", hasty.locations.get_all)
    simulation.calm()
    # What the client is to try again, it does; 502 only since version 2.21.
    simulation.fault(**{"do": "provider.api-error", "status": 502, "times": 1})
    refused("bad_gateway", hasty.locations.get_all)
    simulation.fault(**{"do": "provider.api-error", "status": 409, "times": 1})
    assert client.locations.get_all()
    simulation.fault(**{"do": "provider.failed-build", "times": 1})
    failed = client.servers.create(**order("failed"))
    try:
        failed.action.wait_until_finished()
    except ActionFailedException as failure:
        assert failure.action.error["code"] == "action_failed"
    else:
        raise AssertionError("its making did not fail")
    simulation.calm()


def lost_replies(client, simulation):
    creations = {"method": "POST", "path": "/servers"}
    for name, done in [("lost-done", True), ("lost-dropped", False)]:
        simulation.fault(
            **{"do": "provider.lost-reply", "requests": creations, "times": 1, "done": done}
        )
        try:
            client.servers.create(**order(name))
        except requests.ConnectionError:
            pass
        else:
            raise AssertionError("there was an answer")
        assert (client.servers.get_by_name(name) is not None) == done
    simulation.calm()


def end(client, simulation):
    deletions = []
    for server in client.servers.get_all():
        for action in server.get_actions():
            if action.status == "running":
                action.wait_until_finished()
        deletions.append(server.delete())
    for action in deletions:
        action.wait_until_finished()
    assert client.servers.get_all() == []
    for group in [client.networks, client.firewalls, client.ssh_keys, client.placement_groups]:
        for one in group.get_all():
            assert one.delete() is True
    assert simulation.things() == [], simulation.things()


def main():
    arguments = sys.argv[1:]
    judged = "--judged" in arguments
    endpoint, address = [one for one in arguments if one != "--judged"]
    began = time.monotonic()
    client, simulation = client_of(endpoint), Simulation(address)
    offers(client)
    network, firewall, key, group = foundation(client)
    server = one_server(client, network, firewall, key, group)
    power(server)
    many_servers(client)
    changes(network, firewall, server)
    if not judged:
        refusals(client, endpoint, network, firewall)
        lost_replies(client, simulation)
    faults(client, endpoint, simulation)
    end(client, simulation)
    version = getattr(hcloud, "__version__", "unknown")
    print(f"hcloud {version}: all as its client expects, in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
