# Makes a machine's own end of the mesh, and keeps it over reboots. Prints its public key.
# Q_OWNER; Q_PRINT; Q_ADDRESS; Q_PORT; Q_MTU; Q_UP: the script for boots; Q_AGENT: sha256 of the
# agent's binary, or empty where there is none.

prepared
lock
mkdir -p "$mesh"

# The private key is made here and never leaves.
if [ ! -s "$mesh/key" ]; then
    wg genkey | put "$mesh/key"
fi
public=$(wg pubkey <"$mesh/key") || fail 1 "$mesh/key is not a key any more: remove it"

# In the kernel where it can be, by our own agent where not. What runs already is kept.
plane=
if [ -e "$mesh/peer" ] && ip link show dev "$interface" >/dev/null 2>&1; then
    plane=$(stored plane)
fi
if [ -z "$plane" ]; then
    plane=agent
    if ip link add dev quorate-try type wireguard 2>/dev/null; then
        ip link delete dev quorate-try
        plane=kernel
    fi
fi
if [ $plane = agent ]; then
    [ -n "$Q_AGENT" ] || fail 65 "no WireGuard in this kernel, and no agent to put here instead"
    [ -c /dev/net/tun ] || fail 65 "no WireGuard in this kernel and no /dev/net/tun for the agent"
    if [ ! -x "$agent" ] || [ "$(sha256sum <"$agent" | cut -d' ' -f1)" != "$Q_AGENT" ]; then
        echo "wants agent"
        exit 0
    fi
fi

before=$(cat "$mesh/peer" 2>/dev/null || true)
put "$mesh/peer" <<END
address $Q_ADDRESS
port $Q_PORT
mtu $Q_MTU
plane $plane
agent $([ $plane = kernel ] || echo "$Q_AGENT")
fingerprint 0
END
printf '%s\n' "$Q_UP" | put "$mesh/up.sh"

# The process that makes the interface is started anew when it or its MTU has changed.
stays() {
    echo "$before" | grep -qx "agent $Q_AGENT" && echo "$before" | grep -qx "mtu $Q_MTU"
}

unit_text() {
    echo "[Unit]"
    echo "Description=Mesh of Quorate"
    echo "Wants=network-online.target"
    echo "After=network-online.target"
    # However often it dies, it is started again.
    echo "StartLimitIntervalSec=0"
    echo "[Service]"
    if [ $plane = kernel ]; then
        echo "Type=oneshot"
        echo "RemainAfterExit=yes"
        echo "ExecStart=/bin/sh $mesh/up.sh"
    else
        echo "ExecStart=$agent mesh run --interface $interface --mtu $Q_MTU"
        echo "ExecStartPost=/bin/sh $mesh/up.sh"
        echo "Restart=always"
        echo "RestartSec=1"
    fi
    echo "[Install]"
    echo "WantedBy=multi-user.target"
}

if systemd; then
    unit_text >"$unit.new"
    if ! cmp -s "$unit.new" "$unit"; then
        mv "$unit.new" "$unit"
        chmod 0644 "$unit"
        systemctl daemon-reload
        systemctl enable --quiet quorate-mesh.service
    fi
    rm -f "$unit.new"
    if [ $plane = agent ] && stays && systemctl -q is-active quorate-mesh.service; then
        up
    else
        systemctl restart quorate-mesh.service || {
            journalctl -q --no-pager -n 10 -u quorate-mesh.service >&2 || true
            fail 1 "quorate-mesh.service does not start"
        }
    fi
elif [ $plane = agent ]; then
    if ! { running && stays; }; then
        down
        # No service manager: on its own, without our lock and our pipes.
        setsid "$agent" mesh run --interface "$interface" --mtu "$Q_MTU" \
            </dev/null >"$var/mesh.log" 2>&1 9>&- &
        echo $! | put "$pidfile"
    fi
    up
else
    up
fi
# Last: the peer is there when all of the above is done.
sed "s/^fingerprint .*/fingerprint $Q_PRINT/" "$mesh/peer" | put "$mesh/peer"
echo "key $public"
