# Prepares a machine: waits for its first boot, installs what the mesh needs, lets it forward
# packets, and marks whose it is. Repeating it changes nothing. Begins after packages.sh and ends with
# prepared.sh; what Kubernetes needs goes between.
# Q_OWNER: cluster, identity, machine.

if has cloud-init; then
    # It also ends with `error` where only a module failed: the machine is usable then.
    case $(cloud-init status 2>/dev/null || true) in
    *running* | *"not run"* | *"not started"*) fail 75 "cloud-init is still at work" ;;
    esac
fi

ours
lock

missing=
has wg || missing="$missing wireguard-tools"
# The one of busybox knows neither WireGuard nor batches.
ip -V 2>&1 | grep -q iproute2 || missing="$missing iproute2"
[ -z "$missing" ] || install $missing
# Only the mesh's health probes want it.
has ping || install iputils-ping || note "no ping: the health of the mesh is seen by handshakes only"

mkdir -p "$etc" "$mesh"
chmod 0755 "$etc"

# Hubs of the mesh forward packets, and so do nodes for their pods.
: >"$var/sysctls"
setting net.ipv4.ip_forward 1

echo "$Q_OWNER" | put "$etc/owner"
chmod 0644 "$etc/owner"
