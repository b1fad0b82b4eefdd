# Founds the cluster: the first member of etcd and the first API server.
# Q_PRINT: fingerprint of the spec.

tools
unused
case $(cat "$begun" 2>/dev/null || true) in
"")
    switch_kubelet
    init ""
    ;;
init)
    if [ -s $kube/manifests/etcd.yaml ] && [ -s $kube/kubelet.conf ] && await 60 answers; then
        init preflight
    else
        clean
        switch_kubelet
        init ""
    fi
    ;;
esac
await 120 answers || fail 1 "the cluster was founded here, and its API server does not answer"
through_proxy
kube_proxy_through_proxy
# Last: the cluster is founded when all of the above is done.
echo "$Q_PRINT" | put "$var/etcd"
