# On a control plane: what another machine needs to join, for half an hour. Prints it; nothing of it
# stays here. Q_NODE: who joins; Q_CONFIG: for a control plane: what kubeadm reads, else empty.

prepared
tools
[ -s "$kube/admin.conf" ] || fail 1 "no control plane here"
answers || fail 1 "the API server here is not ready"
if [ -n "$Q_CONFIG" ]; then
    key=$(head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n')
    printf '%s\n' "$Q_CONFIG" | fill "$key" >"$tmp/upload.yaml"
    log=$tmp/log
    adm init phase upload-certs --upload-certs --config "$tmp/upload.yaml" \
        --kubeconfig "$(own_conf)" || because
    echo "key $key"
fi
line=$(kubeadm token create --ttl 30m --description "for $Q_NODE" --print-join-command \
    --kubeconfig "$(own_conf)" 2>"$tmp/said") || fail 1 "kubeadm: $(scrub <"$tmp/said" | few 3)"
echo "token $(echo "$line" | sed -n 's/.*--token \([a-z0-9.]*\).*/\1/p')"
echo "authority $(echo "$line" | sed -n 's/.*--discovery-token-ca-cert-hash \([a-z0-9:]*\).*/\1/p')"
