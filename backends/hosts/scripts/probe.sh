# What is on a machine, as it is and not as it was meant: one fact a line. Changes nothing.

[ ! -e "$etc/owner" ] || echo "owner $(cat "$etc/owner")"
if [ -e "$var/host" ] && has wg && has ip; then
    echo "host $(cat "$var/host") $(cat /proc/sys/net/ipv4/ip_forward)"
fi

# Says whether, in a word.
whether() {
    if "$@" >/dev/null 2>&1; then echo yes; else echo no; fi
}
runs() {
    systemd && systemctl -q is-active "$1"
}

# What is stored of Kubernetes: its release, then a digest of what stands in files of ours.
if [ -e "$var/kubernetes" ]; then
    read -r release sum <"$var/kubernetes" || true
    echo "kubernetes $sum $(kubernetes_sum) $(whether [ -x "$kubernetes/$release/bin/kubeadm" ])" \
        "$(whether [ -x /usr/local/bin/kubelet ]) $(whether runs containerd.service)"
fi
# These kubeadm has set up.
kubelet=$(whether runs kubelet.service)
for file in etcd:manifests/etcd.yaml control-plane:manifests/kube-apiserver.yaml \
    worker:kubelet.conf; do
    what=${file%%:*}
    [ ! -e "$var/$what" ] || echo "node $what $(cat "$var/$what")" \
        "$(whether [ -s "/etc/kubernetes/${file#*:}" ]) $kubelet"
done
for name in balancer api-proxy; do
    proxy "$name"
    [ ! -e "$var/$name" ] || echo "proxy $name $(cat "$var/$name") $(proxy_sum)" \
        "$(whether proxy_works)"
done

[ -e "$mesh/peer" ] || exit 0
sed 's/^/peer /' "$mesh/peer"
echo "pubkey $(wg pubkey <"$mesh/key" 2>/dev/null)" || true
if systemd; then
    echo "boot $(systemctl is-enabled quorate-mesh.service 2>/dev/null)" || true
fi
if wg show "$interface" >/dev/null 2>&1; then
    echo "live-key $(wg show "$interface" public-key)"
    echo "live-port $(wg show "$interface" listen-port)"
    ip -o link show dev "$interface" | sed 's/^/live-link /'
    ip -4 -o address show dev "$interface" | awk '{ print "live-address " $4 }'
    # Without the first line: it has the private key.
    wg show "$interface" dump | sed '1d; s/^/live-peer /'
    ip -4 route show dev "$interface" | awk '{ print "live-route " $1 }'
fi
[ ! -e "$mesh/links" ] || sed 's/^/links /' "$mesh/links"
