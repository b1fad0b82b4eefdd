# Brings a control plane to its spec: release, names in its certificate.
# After node.sh and founding.sh.

tools
[ -s $kube/manifests/kube-apiserver.yaml ] || fail 1 "there is no control plane here"
await 60 answers || fail 1 "the API server here does not answer"

# What was cut off before somebody saw this API server.
case $(cat "$begun" 2>/dev/null || true) in
init) init preflight ;;
join)
    finish_join
    [ -e "$var/names" ] || kept_names | put "$var/names"
    echo "join done" | put "$begun"
    ;;
esac

# What of the release does not run here yet. An upgrade may have been cut off anywhere.
old() {
    sed -n 's|^ *image: .*/kube-[a-z-]*:||p' $kube/manifests/kube-*.yaml | grep -vxF "$Q_VERSION"
}
before=$(kept_version)
if [ "$before" != "$Q_VERSION" ]; then
    own_server maint
    # The first one takes the cluster along.
    adm upgrade apply -y "$Q_VERSION" --kubeconfig "$(conf_at "$Q_LOCAL")" \
        ${Q_IGNORE:+--ignore-preflight-errors="$Q_IGNORE"} || because
elif old >/dev/null || [ -e "$var/upgrading" ]; then
    : >"$var/upgrading"
    own_server maint
    adm upgrade node --kubeconfig "$(conf_at "$Q_LOCAL")" \
        ${Q_IGNORE:+--ignore-preflight-errors="$Q_IGNORE"} || because
fi
rm -f "$var/upgrading"
await 120 answers || fail 1 "the API server here does not answer after the upgrade"
own_again
switch_kubelet
through_proxy
kube_proxy_through_proxy
upgrade_kubelet

if [ "$(cat "$var/names" 2>/dev/null)" != "$Q_NAMES" ]; then
    # Made beside the old one, which is used until then.
    mkdir "$tmp/pki"
    cp $kube/pki/ca.crt $kube/pki/ca.key "$tmp/pki/"
    printf '%s\n' "$Q_CONFIG" | fill |
        sed "s|^ *\"clusterName\":|\"certificatesDir\": \"$tmp/pki\", &|" >"$tmp/certificate.yaml"
    adm init phase certs apiserver --config "$tmp/certificate.yaml" || because
    mv -f "$tmp/pki/apiserver.key" "$tmp/pki/apiserver.crt" $kube/pki/
    # Another annotation makes another pod of it.
    mark=quorate.dev/certificate
    sum=$(sha256sum <$kube/pki/apiserver.crt | cut -c 1-16)
    sed -e "/^ *$mark:/d" -e "s|^  annotations:\$|&\n    $mark: \"$sum\"|" \
        $kube/manifests/kube-apiserver.yaml >"$tmp/pod.yaml"
    grep -q "$mark" "$tmp/pod.yaml" ||
        sed -i "s|^metadata:\$|&\n  annotations:\n    $mark: \"$sum\"|" "$tmp/pod.yaml"
    put_pod "$tmp/pod.yaml" kube-apiserver
    await_restart 120
    printf '%s\n' "$Q_NAMES" | put "$var/names"
fi
[ "$(kept_names)" = "$Q_NAMES" ] || keep
await_ready 120
