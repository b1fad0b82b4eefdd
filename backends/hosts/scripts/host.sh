# Prepares a machine: waits for its first boot, installs what the mesh needs, lets it forward
# packets, and marks whose it is. Repeating it changes nothing.
# Q_OWNER: cluster, identity, machine. Q_PRINT: fingerprint of the spec.

if has cloud-init; then
    # It also ends with `error` where only a module failed: the machine is usable then.
    case $(cloud-init status 2>/dev/null || true) in
    *running* | *"not run"* | *"not started"*) fail 75 "cloud-init is still at work" ;;
    esac
fi

ours
lock

# Runs a package tool; a lock that somebody else holds means: ask again.
packages() {
    # Services that a package starts must not keep our lock.
    "$@" >"$var/packages.log" 2>&1 9>&- && return 0
    code=$?
    tail -n 15 "$var/packages.log" >&2
    if grep -Eqi 'could not get lock|unable to (acquire|lock)|is another process using it' \
        "$var/packages.log"; then
        fail 75 "the package tool is used by somebody else"
    fi
    return "$code"
}

install() {
    if has apt-get; then
        export DEBIAN_FRONTEND=noninteractive
        # What an interrupted run left half done.
        [ -z "$(ls /var/lib/dpkg/updates 2>/dev/null)" ] || packages dpkg --configure -a
        packages apt-get -q update
        packages apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=20 install "$@"
    elif has dnf; then
        packages dnf -q -y install $(echo "$@" | sed 's/iproute2/iproute/; s/iputils-ping/iputils/')
    elif has apk; then
        packages apk add --wait 20 $(echo "$@" | sed 's/wireguard-tools/wireguard-tools-wg/')
    else
        fail 65 "no apt-get, dnf or apk here to install $* with: install them yourself"
    fi
}

missing=
has wg || missing="$missing wireguard-tools"
# The one of busybox knows neither WireGuard nor batches.
ip -V 2>&1 | grep -q iproute2 || missing="$missing iproute2"
[ -z "$missing" ] || install $missing
# Only the mesh's health probes want it.
has ping || install iputils-ping || note "no ping: the health of the mesh is seen by handshakes only"

mkdir -p "$etc" "$mesh"
chmod 0755 "$etc"

# Hubs of the mesh forward packets, and so do nodes for their pods. What the value was is kept for
# the reset.
forward=/proc/sys/net/ipv4/ip_forward
if [ "$(cat $forward)" != 1 ]; then
    [ -e "$var/forward.before" ] || cat $forward | put "$var/forward.before"
    # /proc/sys is read-only in some containers.
    (echo 1 >$forward) 2>/dev/null || note "net.ipv4.ip_forward stays 0: it is read-only here"
fi
if [ -d /etc/sysctl.d ]; then
    echo 'net.ipv4.ip_forward = 1' | put "$sysctls"
    chmod 0644 "$sysctls"
fi

echo "$Q_OWNER" | put "$etc/owner"
chmod 0644 "$etc/owner"
# Last: a machine is prepared when all of the above is done.
echo "$Q_PRINT" | put "$var/host"
