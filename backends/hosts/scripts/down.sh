# The agent's process, and how the interface goes away. Part of other scripts.

# Whether the agent runs without a service manager. Its number may be another process's by now, and
# a dead process that nobody waits for has no command line.
running() {
    [ -e "$pidfile" ] || return 1
    read -r pid <"$pidfile" || return 1
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q "$interface"
}

# Takes the interface and what keeps it up away.
down() {
    if systemd && [ -e "$unit" ]; then
        systemctl disable --quiet --now quorate-mesh.service || true
    fi
    if running; then
        kill "$pid" 2>/dev/null || true
        # What it made is away when it is.
        tries=0
        while running && [ "$tries" -lt 50 ]; do
            tries=$((tries + 1))
            sleep 0.1
        done
    fi
    rm -f "$pidfile"
    if ip link show dev "$interface" >/dev/null 2>&1; then
        ip link delete dev "$interface" 2>/dev/null || true
    fi
    rm -f "/run/wireguard/$interface.sock"
}
