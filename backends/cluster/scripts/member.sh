# Changes the timing of the member of etcd here. Q_HEARTBEAT, Q_ELECTION: milliseconds; Q_CONFIG:
# what kubeadm reads; Q_PRINT: fingerprint of the spec.

tools
pod=$kube/manifests/etcd.yaml
[ -s $pod ] || fail 1 "there is no member of etcd here"
# set_flag NAME VALUE, from standard input.
set_flag() {
    awk -v name="--$1" -v value="$2" '
        index($0, "- " name "=") { sub(name "=.*", name "=" value); done = 1 }
        { lines[NR] = $0 }
        END {
            for (i = 1; i <= NR; i++) {
                print lines[i]
                if (!done && lines[i] ~ /^ *- etcd$/) {
                    indent = lines[i]
                    sub(/- etcd$/, "", indent)
                    print indent "- " name "=" value
                }
            }
        }'
}
set_flag heartbeat-interval "$Q_HEARTBEAT" <$pod | set_flag election-timeout "$Q_ELECTION" \
    >"$tmp/etcd.yaml"
if ! cmp -s "$tmp/etcd.yaml" $pod; then
    own_server maint
    put_pod "$tmp/etcd.yaml" etcd
    await_restart 180
fi
await 60 answers || fail 1 "the API server here does not answer"
own_again
# Who joins or is upgraded from now on gets the same.
for line in "heartbeat-interval $Q_HEARTBEAT" "election-timeout $Q_ELECTION"; do
    # A map in the words of old releases, a list in those of new ones.
    kept | tr -d '"\n' | grep -Eq "${line% *}(: *| *value: *)${line#* }( |$)" || changed=yes
done
[ -z "${changed:-}" ] || keep
echo "$Q_PRINT" | put "$var/etcd"
