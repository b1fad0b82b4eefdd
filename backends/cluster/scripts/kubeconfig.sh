# The administrator's credentials, for people who ask for them.

prepared
[ -s /etc/kubernetes/admin.conf ] || fail 1 "no control plane here"
cat /etc/kubernetes/admin.conf
