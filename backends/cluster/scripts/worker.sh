# Brings a worker to its release. On a control plane there is nothing to do: it has its own way.

tools
[ -s $kube/kubelet.conf ] || fail 1 "there is no node here"
if [ ! -s $kube/manifests/kube-apiserver.yaml ]; then
    if ! await_release; then
        adm upgrade node ${Q_IGNORE:+--ignore-preflight-errors="$Q_IGNORE"} || because
    fi
    switch_kubelet
    through_proxy
    upgrade_kubelet
fi
await_ready 120
