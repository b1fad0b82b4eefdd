# The way out of the pods' own network: pods speak to each other as themselves, and to everybody
# else as their machine. Stored on the machine, for every boot; part of other scripts, too.

pods_up() {
    read -r subnet all <"$var/pods"
    for table in nat filter; do
        iptables -w -t "$table" -N QUORATE-PODS 2>/dev/null || true
        iptables -w -t "$table" -F QUORATE-PODS
    done
    iptables -w -t nat -A QUORATE-PODS -s "$subnet" ! -d "$all" -j MASQUERADE
    # Some machines, those with Docker for one, drop what they forward unless told otherwise.
    iptables -w -A QUORATE-PODS -s "$all" -j ACCEPT
    iptables -w -A QUORATE-PODS -d "$all" -j ACCEPT
    iptables -w -t nat -C POSTROUTING -j QUORATE-PODS 2>/dev/null ||
        iptables -w -t nat -A POSTROUTING -j QUORATE-PODS
    iptables -w -C FORWARD -j QUORATE-PODS 2>/dev/null ||
        iptables -w -A FORWARD -j QUORATE-PODS
}

pods_down() {
    has iptables || return 0
    iptables -w -t nat -D POSTROUTING -j QUORATE-PODS 2>/dev/null || true
    iptables -w -D FORWARD -j QUORATE-PODS 2>/dev/null || true
    for table in nat filter; do
        iptables -w -t "$table" -F QUORATE-PODS 2>/dev/null || true
        iptables -w -t "$table" -X QUORATE-PODS 2>/dev/null || true
    done
    # Ends of pods that nobody has taken away.
    for link in /sys/class/net/quorate-pods/brif/*; do
        ip link delete dev "${link##*/}" 2>/dev/null || true
    done
    ip link delete dev quorate-pods 2>/dev/null || true
    rm -rf /var/lib/cni/networks/quorate
}
