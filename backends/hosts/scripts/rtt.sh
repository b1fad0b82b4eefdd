# Round trips from here to others over the mesh: a line each, the address and then the milliseconds
# of every sample that came back. Q_PEERS: mesh addresses; Q_SAMPLES: so many of each; Q_AT_ONCE: so
# many addresses at the same time.

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if has ping; then
    # 20 a second: far below what would be noticed, and what some pings take for a flood.
    every=0.05
    ping -q -n -c 1 -i "$every" 127.0.0.1 >/dev/null 2>&1 || every=0.2
    samples() {
        ping -n -c "$Q_SAMPLES" -i "$every" -W 2 "$1" 2>/dev/null |
            sed -n 's/.*time=\([0-9.]*\).*/\1/p'
    }
elif has curl; then
    # How long a TCP connection takes is a round trip, too; what the other end says does not matter.
    samples() {
        left=$Q_SAMPLES
        while [ "$left" -gt 0 ]; do
            left=$((left - 1))
            curl -s -o /dev/null -m 3 -w '%{time_connect}\n' "http://$1:22/" || true
        done | awk '$1 > 0 { print $1 * 1000 }'
    }
else
    fail 65 "there is neither ping nor curl: install iputils-ping"
fi
running=0
for peer in $Q_PEERS; do
    samples "$peer" >"$work/$peer" &
    running=$((running + 1))
    if [ "$running" -ge "$Q_AT_ONCE" ]; then
        wait
        running=0
    fi
done
wait
for peer in $Q_PEERS; do
    echo "$peer $(tr '\n' ' ' <"$work/$peer")"
done
