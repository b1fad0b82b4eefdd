# Last of all: what the spec says is there. Q_KIND: of what; Q_PRINT: fingerprint of the spec.

prepared
case $Q_KIND in
control-plane | worker) echo "$Q_PRINT" | put "$var/$Q_KIND" ;;
*) fail 65 "not a kind of node: $Q_KIND" ;;
esac
