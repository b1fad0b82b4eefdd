# Lets the machine join. Q_ROLE: control-plane or worker; Q_STATE: what a look at it has shown;
# Q_CONFIG: what kubeadm reads, with a ticket, unless it is joined; Q_PRINT: fingerprint of the
# spec of a control plane's member.

tools
unused
printf '%s\n' "$Q_CONFIG" >"$tmp/join.yaml"
case $Q_STATE in
none | half)
    [ "$Q_STATE" = none ] || clean
    switch_kubelet
    echo join | put "$begun"
    adm join --config "$tmp/join.yaml" ${Q_IGNORE:+--ignore-preflight-errors="$Q_IGNORE"} || because
    ;;
up)
    # It was cut off after everything had started: what is left are marks on the node.
    kubectl --kubeconfig "$kube/kubelet.conf" annotate --overwrite node "$Q_NODE" \
        "kubeadm.alpha.kubernetes.io/cri-socket=$Q_RUNTIME" >/dev/null
    if [ "$Q_ROLE" = control-plane ]; then
        adm join phase control-plane-join mark-control-plane --config "$tmp/join.yaml" || because
    fi
    ;;
joined) ;;
*) fail 65 "not a state of a machine: $Q_STATE" ;;
esac
echo "join done" | put "$begun"
through_proxy
if [ "$Q_ROLE" = control-plane ]; then
    await 120 answers || fail 1 "it has joined, and its API server does not answer"
    # The certificate was made with the names that stood in the cluster.
    [ -e "$var/names" ] || kept_names | put "$var/names"
    # Last: the member is there when all of the above is done.
    echo "$Q_PRINT" | put "$var/etcd"
else
    await_ready 120
fi
