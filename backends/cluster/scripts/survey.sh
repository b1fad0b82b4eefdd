# What is left of the member of etcd here: `runs` or `halted` or `nothing`, and the revision of data
# that nobody uses. After etcdtool.sh. Changes nothing but a folder of its own.

ours
umask 077
if [ ! -e "$member/snap/db" ]; then
    echo nothing
    exit 0
fi
if ! halted; then
    echo runs
    exit 0
fi
echo halted
mkdir -p "$Q_KEEP"
trap 'rm -rf "$Q_KEEP/look.db"' EXIT
cp "$member/snap/db" "$Q_KEEP/look.db"
if said=$(tool status "$Q_KEEP/look.db" -w json 2>/dev/null); then
    echo "$said" | sed -n 's/.*"revision":\([0-9]*\).*/revision \1/p'
fi
