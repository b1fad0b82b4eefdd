# Standard input becomes the agent's binary, if it is the one that was meant.
# Q_OWNER; Q_AGENT: its sha256.

prepared
lock
mkdir -p "$opt/bin"
chmod 0755 "$opt" "$opt/bin"
cat >"$agent.new"
if [ "$(sha256sum <"$agent.new" | cut -d' ' -f1)" != "$Q_AGENT" ]; then
    rm -f "$agent.new"
    fail 1 "the agent arrived damaged"
fi
chmod 0755 "$agent.new"
mv -f "$agent.new" "$agent"
