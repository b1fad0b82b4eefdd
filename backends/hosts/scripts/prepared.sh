# The end of what prepares a machine. Q_PRINT: fingerprint of the spec.

if [ -d /etc/sysctl.d ]; then
    sed 's/ /=/' "$var/sysctls" | put "$sysctls"
    chmod 0644 "$sysctls"
fi
# Last: a machine is prepared when all of the above is done.
echo "$Q_PRINT" | put "$var/host"
