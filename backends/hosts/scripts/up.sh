# Brings the interface to what is stored: key, port, address, MTU, peers, routes. Stored on the
# machine, for every boot and every start of the agent; also part of the script that makes a peer.

# Peers from a list (key, endpoint or -, seconds or off, addresses), routes to
# their addresses. Touches only what differs, so that sessions live on.
links() {
    list=$1
    [ -e "$list" ] || list=/dev/null
    wg show "$interface" dump | sed 1d >"$mesh/live.new"
    changes=$(awk '
        function same(a, b,    x, y, seen, i, n) {
            n = split(a, x, ",")
            if (n != split(b, y, ",")) return 0
            for (i = 1; i <= n; i++) seen[x[i]] = 1
            for (i = 1; i <= n; i++) if (!(y[i] in seen)) return 0
            return 1
        }
        FILENAME == ARGV[1] {
            if ($1 != "#") want[$1] = $2 " " $3 " " $4
            next
        }
        {
            split($0, live, "\t")
            key = live[1]
            if (!(key in want)) { print "peer " key " remove"; next }
            split(want[key], w, " ")
            delete want[key]
            change = ""
            if (live[2] != "(none)") change = change " preshared-key /dev/null"
            if (w[1] != "-" && w[1] != live[3]) change = change " endpoint " w[1]
            if (w[2] != live[8]) change = change " persistent-keepalive " w[2]
            if (!same(w[3], live[4])) change = change " allowed-ips " w[3]
            if (change != "") print "peer " key change
        }
        END {
            for (key in want) {
                split(want[key], w, " ")
                change = "peer " key " persistent-keepalive " w[2] " allowed-ips " w[3]
                if (w[1] != "-") change = change " endpoint " w[1]
                print change
            }
        }' "$list" "$mesh/live.new")
    rm -f "$mesh/live.new"
    # Keys, numbers and addresses only: split into words on purpose.
    [ -z "$changes" ] || wg set "$interface" $changes

    ip -4 route show dev "$interface" >"$mesh/routes.new"
    awk -v dev="$interface" '
        FILENAME == ARGV[1] {
            if ($1 == "#") next
            n = split($4, a, ",")
            for (i = 1; i <= n; i++) { sub(/\/32$/, "", a[i]); want[a[i]] = 1 }
            next
        }
        { if ($1 in want) delete want[$1]; else print "route del " $1 " dev " dev }
        END { for (to in want) print "route replace " to " dev " dev }
        ' "$list" "$mesh/routes.new" | ip -batch -
    rm -f "$mesh/routes.new"
}

up() {
    plane=$(stored plane)
    if [ "$plane" = kernel ]; then
        ip link show dev "$interface" >/dev/null 2>&1 ||
            ip link add dev "$interface" type wireguard
    else
        # The agent makes it: up to 10 s.
        tries=0
        until wg show "$interface" >/dev/null 2>&1; do
            tries=$((tries + 1))
            [ "$tries" -lt 100 ] || fail 1 "the agent did not make $interface within 10 s"
            sleep 0.1
        done
    fi
    wg set "$interface" private-key "$mesh/key"
    port=$(stored port)
    # Setting the same port again would make some implementations open a new socket.
    if [ "$(wg show "$interface" listen-port)" != "$port" ]; then
        wg set "$interface" listen-port "$port"
    fi
    address=$(stored address)
    ip -4 -o address show dev "$interface" | awk '{ print $4 }' | while read -r other; do
        [ "${other%/32}" = "$address" ] || ip address del "$other" dev "$interface"
    done
    ip -4 address replace "$address/32" dev "$interface"
    ip link set dev "$interface" mtu "$(stored mtu)"
    ip link set dev "$interface" up ||
        fail 65 "the interface does not come up: is UDP port $port taken on this machine?"
    # Through a hub packets come from addresses whose way back is another one.
    (echo 2 >"/proc/sys/net/ipv4/conf/$interface/rp_filter") 2>/dev/null || true
    links "$mesh/links"
}
