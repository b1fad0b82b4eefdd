# Takes the mesh off a machine: interface, unit, key. Q_OWNER.

[ -e "$mesh" ] || [ -e "$unit" ] || exit 0
ours
lock
down
rm -f "$unit"
systemd && systemctl daemon-reload
rm -rf "$mesh" "$opt/bin"
