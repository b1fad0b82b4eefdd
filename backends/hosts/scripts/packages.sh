# Packages of the machine's own distribution. Part of other scripts.

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
    if grep -Eq "No match for argument|Unable to locate package|^E: Version '.* was not found" \
        "$var/packages.log"; then
        fail 65 "the package sources of this machine lack what is needed: add one that has it"
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
        packages dnf -q -y install $(echo "$@" | sed 's/iproute2/iproute/; s/iputils-ping/iputils/
            s/conntrack/conntrack-tools/; s/iptables/iptables-nft/')
    elif has apk; then
        packages apk add --wait 20 $(echo "$@" | sed 's/wireguard-tools/wireguard-tools-wg/')
    else
        fail 65 "no apt-get, dnf or apk here to install $* with: install them yourself"
    fi
}
