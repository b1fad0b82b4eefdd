# Takes everything of ours off a machine, and nothing else. Installed packages stay.
# Q_OWNER: cluster, identity, machine.

[ -e "$etc" ] || [ -e "$var" ] || [ -e "$opt" ] || [ -e "$unit" ] || exit 0
ours
lock
for name in balancer api-proxy; do
    proxy "$name"
    proxy_remove
done
[ ! -d "$kubernetes" ] || kubernetes_remove
down
rm -f "$unit" "$sysctls"
! systemd || systemctl daemon-reload
for file in "$var"/before/*; do
    [ -e "$file" ] || continue
    name=${file##*/}
    (cat "$file" >"/proc/sys/$(echo "$name" | tr . /)") 2>/dev/null || true
done
rm -rf "$opt" "$etc"
# The lock lies in it: last.
rm -rf "$var"
