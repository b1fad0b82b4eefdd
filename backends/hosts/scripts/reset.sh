# Takes everything of ours off a machine, and nothing else. Installed packages stay.
# Q_OWNER: cluster, identity, machine.

[ -e "$etc" ] || [ -e "$var" ] || [ -e "$opt" ] || [ -e "$unit" ] || exit 0
ours
lock
down
rm -f "$unit" "$sysctls"
systemd && systemctl daemon-reload
if [ -e "$var/forward.before" ]; then
    (cat "$var/forward.before" >/proc/sys/net/ipv4/ip_forward) 2>/dev/null || true
fi
rm -rf "$opt" "$etc"
# The lock lies in it: last.
rm -rf "$var"
