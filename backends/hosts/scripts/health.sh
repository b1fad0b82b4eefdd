# How the mesh is from here: handshakes, and packets to every peer, all at the same time.
# Q_PEERS: mesh addresses; Q_LARGE: bytes of a packet's payload that fill the mesh's MTU.

wg show "$interface" >/dev/null 2>&1 || fail 1 "$interface is not there"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if has ping; then
    for peer in $Q_PEERS; do
        ping -q -n -c 3 -i 0.3 -W 2 "$peer" >"$work/$peer.small" 2>/dev/null &
        # Not to be cut on the way: what fills the MTU arrives whole or not at all.
        ping -q -n -c 2 -i 0.3 -W 2 -M do -s "$Q_LARGE" "$peer" >"$work/$peer.large" 2>/dev/null &
    done
    wait
fi
for peer in $Q_PEERS; do
    [ -e "$work/$peer.small" ] || continue
    # 3 packets transmitted, 3 received, ...; rtt min/avg/max/mdev = 0.4/0.5/0.6/0.1 ms
    awk -v peer="$peer" '
        FNR == 1 { file++ }
        / received/ { for (i = 2; i <= NF; i++) if ($i ~ /^received/) got[file] = $(i - 1) }
        /^r.*min\/avg/ { split($4, t, "/"); if (file == 1) rtt = t[2] }
        END { print "ping", peer, got[1] + 0, got[2] + 0, (rtt == "" ? "-" : rtt) }
    ' "$work/$peer.small" "$work/$peer.large"
done
echo "now $(date +%s)"
wg show "$interface" dump | sed '1d; s/^/live-peer /'
