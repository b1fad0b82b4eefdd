# What kubeadm wants to find on a machine. After host.sh, packages.sh, release.sh, runtime.sh and
# pods.sh; before prepared.sh. Repeating it changes nothing.
# Q_POD_NET: the pods' network as containerd's plugins read it; empty: somebody else makes it. Q_PODS:
# addresses of pods here, and of pods anywhere. Q_PODS_UP: the script for boots.
#
# A machine that is a node keeps its kubelet when it gets another release: only the API servers'
# turn makes room for a newer one, and `kubelet_switch` is theirs who know about that.

systemd || fail 65 "a node of Kubernetes needs systemd"
if [ -e /etc/kubernetes/kubelet.conf ] && [ ! -e "$var/kubernetes" ]; then
    fail 73 "this machine is a node of another Kubernetes cluster: \`kubeadm reset\` on it, if" \
        "nobody uses that any more"
fi
missing=
for tool in conntrack socat ethtool iptables tar containerd; do
    has "$tool" || missing="$missing $tool"
done
case $Q_SOURCE in
directory) ;;
*) has curl || has wget || missing="$missing curl ca-certificates" ;;
esac
# Split into words on purpose.
[ -z "$missing" ] || install $missing

# kubelet does not start where memory may be swapped out.
if [ "$(wc -l </proc/swaps)" -gt 1 ]; then
    note "swap is turned off, and stays off"
    swapoff -a 2>/dev/null || note "swap stays on: this machine may not turn it off"
fi
if [ -e /etc/fstab ]; then
    awk '$1 !~ /^#/ && $3 == "swap" { $0 = "#quorate# " $0 } { print }' /etc/fstab >"$var/fstab"
    cmp -s "$var/fstab" /etc/fstab || cat "$var/fstab" >/etc/fstab
    rm -f "$var/fstab"
fi
if [ "$(systemctl is-enabled swap.target 2>/dev/null || true)" != masked ]; then
    # Also those swaps that systemd finds by itself.
    systemctl --quiet mask swap.target
    : >"$var/swap.masked"
fi

for module in overlay br_netfilter; do
    modprobe -q "$module" 2>/dev/null || true
done
if [ -d /etc/modules-load.d ]; then
    printf 'overlay\nbr_netfilter\n' | put /etc/modules-load.d/quorate.conf
    chmod 0644 /etc/modules-load.d/quorate.conf
fi
grep -qw overlay /proc/filesystems || note "no overlay file system in this kernel"
# These are not there without the second module.
setting net.bridge.bridge-nf-call-iptables 1
setting net.bridge.bridge-nf-call-ip6tables 1

release_get
runtime
images
images_kept

# Our programs under their usual names, and nobody else's in their place.
mkdir -p /usr/local/bin
for program in "$release"/bin/*; do
    name=${program##*/}
    link=/usr/local/bin/$name
    if [ -e "$link" ] && [ ! -L "$link" ]; then
        case $name in
        kubeadm | kubelet) fail 73 "$link is somebody else's: remove it" ;;
        *) note "$link is somebody else's, and stays" ;;
        esac
    elif [ "$name" != kubelet ]; then
        ln -sf "$program" "$link.new"
        mv -fT "$link.new" "$link"
    fi
done
if [ ! -e /etc/kubernetes/kubelet.conf ] || [ ! -x /usr/local/bin/kubelet ]; then
    kubelet_switch "$Q_KUBERNETES"
fi
in_use=$(readlink /usr/local/bin/kubelet)
for other in "$kubernetes"/*/; do
    other=${other%/}
    [ "$other" = "$release" ] || [ "$other/bin/kubelet" = "$in_use" ] || rm -rf "$other"
done
for link in /usr/local/bin/*; do
    # Of programs that this release has not.
    case $(readlink "$link" || true) in
    "$kubernetes"/*) [ -e "$link" ] || rm -f "$link" ;;
    esac
done

# Plugins; those of the distribution where the release brings none.
mkdir -p /opt/cni/bin /etc/cni/net.d "${kubelet_more%/*}"
chmod 0755 /opt/cni /opt/cni/bin /etc/cni /etc/cni/net.d "${kubelet_more%/*}"
plugin() {
    if ! cmp -s "$1" "/opt/cni/bin/${1##*/}"; then
        cp "$1" "/opt/cni/bin/${1##*/}.new"
        chmod 0755 "/opt/cni/bin/${1##*/}.new"
        mv -f "/opt/cni/bin/${1##*/}.new" "/opt/cni/bin/${1##*/}"
        echo "${1##*/}" >>"$var/cni"
    fi
}
for file in "$release"/cni/*; do
    [ ! -f "$file" ] || plugin "$file"
done
for name in bridge host-local loopback portmap; do
    [ ! -x "/opt/cni/bin/$name" ] || continue
    for folder in /usr/lib/cni /usr/libexec/cni; do
        [ ! -x "$folder/$name" ] || plugin "$folder/$name"
    done
    [ -x "/opt/cni/bin/$name" ] || [ -z "$Q_POD_NET" ] ||
        fail 65 "there is no plugin \`$name\` for the pods' network: put it into cni/ of" \
            "\`kubernetes.packages\`, or install the distribution's"
done

changed=
keep "$kubelet_unit" <<END
[Unit]
Description=kubelet of Quorate
Wants=network-online.target
After=network-online.target containerd.service quorate-mesh.service
# Before kubeadm there is nothing to start with.
ConditionPathExists=/var/lib/kubelet/config.yaml
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/local/bin/kubelet
Restart=always
RestartSec=2

[Install]
WantedBy=multi-user.target
END
# The name that packages use, too: theirs would go before ours under any other.
keep "$kubelet_more" <<END
[Service]
Environment=KUBELET_KUBECONFIG_ARGS="--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \
--kubeconfig=/etc/kubernetes/kubelet.conf"
Environment=KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/local/bin/kubelet \$KUBELET_KUBECONFIG_ARGS \$KUBELET_CONFIG_ARGS \
\$KUBELET_KUBEADM_ARGS \$KUBELET_EXTRA_ARGS
END
if [ -n "$Q_POD_NET" ]; then
    keep "$pods_net" <<END
$Q_POD_NET
END
    echo "$Q_PODS" | put "$var/pods"
    printf '%s\n' "$Q_PODS_UP" | put "$var/pods.sh"
    keep "$pods_unit" <<END
[Unit]
Description=Way out for pods, of Quorate
After=network.target
Before=kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh $var/pods.sh

[Install]
WantedBy=multi-user.target
END
    pods_up
elif [ -e "$var/pods" ]; then
    systemctl disable --quiet --now quorate-pods.service || true
    pods_down
    rm -f "$pods_net" "$pods_unit" "$var/pods" "$var/pods.sh"
    changed=yes
fi
[ -z "$changed" ] || systemctl daemon-reload
enable() {
    systemctl -q is-enabled "$1" || systemctl enable --quiet "$1"
}
enable kubelet.service
[ -z "$Q_POD_NET" ] || enable quorate-pods.service
echo "$Q_KUBERNETES $(kubernetes_sum)" | put "$var/kubernetes"
