# Takes the interface and what keeps it up away. Part of other scripts.
down() {
    if systemd && [ -e "$unit" ]; then
        systemctl disable --quiet --now quorate-mesh.service || true
    fi
    if [ -e "$pidfile" ]; then
        read -r pid <"$pidfile" || pid=
        # The number may be another process's by now.
        if [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q "$interface"; then
            kill "$pid" 2>/dev/null || true
        fi
        rm -f "$pidfile"
    fi
    if ip link show dev "$interface" >/dev/null 2>&1; then
        # A userspace one goes with its process, at its own time.
        ip link delete dev "$interface" 2>/dev/null || true
    fi
    rm -f "/run/wireguard/$interface.sock"
}
