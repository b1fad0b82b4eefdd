# Takes Kubernetes off a machine. Part of other scripts; after pods.sh.

# Rules and chains that kube-proxy has made; kubeadm leaves them.
proxy_rules_remove() {
    for tool in iptables ip6tables; do
        has "$tool-save" && has "$tool-restore" || continue
        "$tool-save" 2>/dev/null | awk '
            /^\*/ { print; count = 0 }
            /^:KUBE-/ { chains[++count] = substr($1, 2) }
            /^-A KUBE-/ { next }
            /^-A .* -j KUBE-/ { sub(/^-A/, "-D"); print }
            /^COMMIT/ {
                for (i = 1; i <= count; i++) print "-F " chains[i]
                for (i = 1; i <= count; i++) print "-X " chains[i]
                print
            }' | "$tool-restore" -w --noflush 2>/dev/null || note "rules of kube-proxy may be left"
    done
}

kubernetes_remove() {
    if systemd; then
        systemctl disable --quiet --now kubelet.service 2>/dev/null || true
        systemctl disable --quiet --now quorate-pods.service 2>/dev/null || true
    fi
    # Without it kubeadm asks no API server, which may be gone: who is a member of etcd is not decided
    # here.
    rm -f /etc/kubernetes/admin.conf /etc/kubernetes/super-admin.conf
    if [ -d /etc/kubernetes ] && [ -x /usr/local/bin/kubeadm ]; then
        kubeadm reset -f --cri-socket /run/containerd/containerd.sock \
            --skip-phases=remove-etcd-member >"$var/reset.log" 2>&1 </dev/null || {
            tail -n 5 "$var/reset.log" >&2
            note "kubeadm has not taken away everything of its own"
        }
        rm -rf /var/lib/etcd /etc/kubernetes
    fi
    proxy_rules_remove
    [ ! -e "$var/pods" ] || pods_down

    for link in /usr/local/bin/*; do
        case $(readlink "$link" || true) in "$kubernetes"/*) rm -f "$link" ;; esac
    done
    if [ -e "$var/cni" ]; then
        while read -r name; do rm -f "/opt/cni/bin/$name"; done <"$var/cni"
        rmdir /opt/cni/bin /opt/cni 2>/dev/null || true
    fi
    rm -f "$kubelet_unit" "$kubelet_more" "$pods_unit" "$pods_net" /etc/modules-load.d/quorate.conf
    rmdir "${kubelet_more%/*}" 2>/dev/null || true
    if [ -e "$var/containerd.before" ]; then
        containerd_restore
        ! systemd || systemctl try-restart containerd.service || true
    fi
    if [ -e /etc/fstab ] && grep -q '^#quorate# ' /etc/fstab; then
        sed 's/^#quorate# //' /etc/fstab >"$var/fstab"
        cat "$var/fstab" >/etc/fstab
    fi
    if [ -e "$var/swap.masked" ]; then
        systemctl --quiet unmask swap.target || true
        swapon -a 2>/dev/null || true
    fi
}
