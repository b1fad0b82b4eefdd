# Lets the machine join. Q_ROLE: control-plane or worker; Q_STATE: what a look at it has shown;
# Q_CONFIG: what kubeadm reads, with a ticket, where it is to join; Q_PRINT: fingerprint of the
# spec of a control plane's member.

tools
unused
case $Q_STATE in
none | half)
    [ "$Q_STATE" = none ] || clean
    switch_kubelet
    echo join | put "$begun"
    printf '%s\n' "$Q_CONFIG" >"$tmp/join.yaml"
    adm join --config "$tmp/join.yaml" ${Q_IGNORE:+--ignore-preflight-errors="$Q_IGNORE"} || because
    ;;
up) finish_join ;;
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
