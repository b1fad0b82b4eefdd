# Founds the cluster: the first member of etcd and the first API server.
# Q_CONFIG: what kubeadm reads; Q_NAMES: names in its certificate; Q_PRINT: fingerprint of the spec.

tools
unused
state=$(cat "$begun" 2>/dev/null || true)
skip=
if [ -z "$state" ] || [ "$state" = init ]; then
    if [ "$state" = init ]; then
        if [ -s $kube/manifests/etcd.yaml ] && [ -s $kube/kubelet.conf ] && await 60 answers; then
            # It was cut off after the API server came up. What is left may be done twice.
            skip=preflight
        else
            clean
        fi
    fi
    switch_kubelet
    echo init | put "$begun"
    printf '%s\n' "$Q_CONFIG" >"$tmp/init.yaml"
    if [ "$Q_OFFLINE" = yes ]; then
        kubeadm config images list --config "$tmp/init.yaml" >"$tmp/wanted" 2>"$tmp/said" ||
            fail 65 "kubeadm does not take what spec.kubernetes says: $(few 3 <"$tmp/said")"
        ctr -n k8s.io images ls -q >"$tmp/there"
        missing=$(grep -vxFf "$tmp/there" "$tmp/wanted" || true)
        case $missing in
        *coredns*)
            note "no image of CoreDNS came with the packages: the cluster has no DNS of its own"
            skip=${skip:+$skip,}addon/coredns
            ;;
        esac
        # The pause image is the container runtime's matter.
        missing=$(echo "$missing" | grep -Ev '(coredns|pause)[:@]' | paste -sd' ' -)
        [ -z "$missing" ] || fail 65 "images are not there: $missing: put them into images/ of" \
            "the packages"
    fi
    adm init --config "$tmp/init.yaml" ${Q_IGNORE:+--ignore-preflight-errors="$Q_IGNORE"} \
        ${skip:+--skip-phases="$skip"} || because
    echo "init done" | put "$begun"
fi
await 120 answers || fail 1 "the cluster was founded here, and its API server does not answer"
[ -e "$var/names" ] || printf '%s\n' "$Q_NAMES" | put "$var/names"
through_proxy
kube_proxy_through_proxy
# Last: the cluster is founded when all of the above is done.
echo "$Q_PRINT" | put "$var/etcd"
