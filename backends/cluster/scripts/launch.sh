# Does a long work on its own: it goes on when the connection breaks, and whoever comes meanwhile
# waits for it. Q_WORK: the script; Q_WAIT: seconds until the caller is told to ask again.

prepared
run=/run/quorate
mkdir -p "$run"
chmod 0700 "$run"
begin=$(date +%s)
left() {
    left=$((begin + Q_WAIT - $(date +%s)))
    [ "$left" -gt 0 ] || left=1
    echo "$left"
}

exec 8>"$run/lock"
flock -w "$(left)" 8 || fail 75 "kubeadm is still at work on this machine"
printf '%s\n' "$Q_WORK" >"$run/work.sh"
# A session of its own: neither a time limit nor sudo's end reaches it. It holds the lock.
setsid sh "$run/work.sh" </dev/null >"$run/out" 2>"$run/said" &
worker=$!
exec 8>&-
exec 7>"$run/lock"
flock -w "$(left)" 7 || fail 75 "kubeadm is still at work on this machine"
code=0
wait $worker || code=$?
cat "$run/out"
cat "$run/said" >&2
exit $code
