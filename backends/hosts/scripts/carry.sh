# Standard input, a tar compressed by gzip, becomes the packages of Kubernetes, if they are the ones
# that were meant.
# Q_OWNER; Q_FROM: sha256 of the tar.

ours
lock
mkdir -p "$kubernetes"
chmod 0755 "$opt" "$kubernetes"
gzip -dc >"$kubernetes/carried.new"
if [ "$(sha256sum <"$kubernetes/carried.new" | cut -d ' ' -f 1)" != "$Q_FROM" ]; then
    rm -f "$kubernetes/carried.new"
    fail 1 "the packages of Kubernetes arrived damaged"
fi
mv -f "$kubernetes/carried.new" "$kubernetes/carried.tar"
